package message

import (
	"fmt"
	"maps"

	"github.com/gammazero/nexus/v3/wamp"
)

// ToNexus converts a message to nexus's type, with its arguments decoded. Maps and lists in it belong to the caller.
//
// What a client receives loses its options of payload passthru mode: nexus's client asserts that such a payload has certain Go
// types, and panics where a peer lied. What nexus has no field for is lost, too: the arguments of an Abort and the details of a
// revocation.
func ToNexus(m Message) (wamp.Message, error) {
	c := nexusConverter{}
	out := c.message(m)
	if c.err != nil {
		return nil, fmt.Errorf("convert %T: %w", m, c.err)
	}
	return out, nil
}

// nexusConverter remembers the first error.
type nexusConverter struct{ err error }

func (c *nexusConverter) payload(p Payload) (wamp.List, wamp.Dict) {
	args, kwargs, err := p.Decode()
	if err != nil {
		c.err = err
	}
	return args, kwargs
}

// dict gives the dictionary that write appends.
func (c *nexusConverter) dict(write func(w *writer)) wamp.Dict {
	w := writer{f: MsgPack}
	write(&w)
	if w.err != nil {
		c.err = w.err
		return nil
	}
	r := reader{f: MsgPack, s: string(w.b)}
	dict, _ := r.any().(Dict)
	return dict
}

// open copies an open dictionary.
func open(dict Dict) wamp.Dict {
	out := make(wamp.Dict, len(dict))
	maps.Copy(out, dict)
	for k, v := range out {
		if fixed, ok := v.(*Fixed); ok {
			out[k] = fixed.value()
		}
	}
	return out
}

// welcomed gives all that a Welcome says.
func welcomed(m *Welcome) wamp.Dict {
	out, a := open(m.Details), m.Admission
	for k, v := range map[string]string{
		optAuthID: a.AuthID, optAuthMethod: a.AuthMethod, optAuthProvider: a.AuthProvider, optAuthRole: a.AuthRole, optRealm: a.Realm,
	} {
		if v != "" {
			out[k] = v
		}
	}
	if a.Roles != nil {
		out[optRoles] = a.Roles.value()
	}
	return out
}

func (c *nexusConverter) message(m Message) wamp.Message {
	switch m := m.(type) {
	case *Publish:
		args, kwargs := c.payload(m.Payload)
		return &wamp.Publish{
			Request: wamp.ID(m.Request), Options: c.dict(func(w *writer) { w.publishOptions(&m.Options) }),
			Topic: wamp.URI(m.Topic), Arguments: args, ArgumentsKw: kwargs,
		}
	case *Event:
		args, kwargs := c.payload(m.Payload)
		details := m.Details
		details.Passthru = nil
		return &wamp.Event{
			Subscription: wamp.ID(m.Subscription), Publication: wamp.ID(m.Publication),
			Details: c.dict(func(w *writer) { w.eventDetails(&details) }), Arguments: args, ArgumentsKw: kwargs,
		}
	case *Published:
		return &wamp.Published{Request: wamp.ID(m.Request), Publication: wamp.ID(m.Publication)}
	case *Subscribe:
		return &wamp.Subscribe{
			Request: wamp.ID(m.Request), Options: c.dict(func(w *writer) { w.subscribeOptions(&m.Options) }),
			Topic: wamp.URI(m.Topic),
		}
	case *Subscribed:
		return &wamp.Subscribed{Request: wamp.ID(m.Request), Subscription: wamp.ID(m.Subscription)}
	case *Unsubscribe:
		return &wamp.Unsubscribe{Request: wamp.ID(m.Request), Subscription: wamp.ID(m.Subscription)}
	case *Unsubscribed:
		return &wamp.Unsubscribed{Request: wamp.ID(m.Request)}
	default:
		return c.callMessage(m)
	}
}

func (c *nexusConverter) callMessage(m Message) wamp.Message {
	switch m := m.(type) {
	case *Call:
		args, kwargs := c.payload(m.Payload)
		return &wamp.Call{
			Request: wamp.ID(m.Request), Options: c.dict(func(w *writer) { w.callOptions(&m.Options) }),
			Procedure: wamp.URI(m.Procedure), Arguments: args, ArgumentsKw: kwargs,
		}
	case *Invocation:
		args, kwargs := c.payload(m.Payload)
		details := m.Details
		details.Passthru = nil
		return &wamp.Invocation{
			Request: wamp.ID(m.Request), Registration: wamp.ID(m.Registration),
			Details: c.dict(func(w *writer) { w.invocationDetails(&details) }), Arguments: args, ArgumentsKw: kwargs,
		}
	case *Result:
		args, kwargs := c.payload(m.Payload)
		return &wamp.Result{
			Request: wamp.ID(m.Request), Details: c.dict(func(w *writer) { w.progressOptions(m.Details.Progress, nil) }),
			Arguments: args, ArgumentsKw: kwargs,
		}
	case *Yield:
		args, kwargs := c.payload(m.Payload)
		return &wamp.Yield{
			Request: wamp.ID(m.Request), Options: c.dict(func(w *writer) { w.progressOptions(m.Options.Progress, m.Options.Passthru) }),
			Arguments: args, ArgumentsKw: kwargs,
		}
	case *Cancel:
		return &wamp.Cancel{Request: wamp.ID(m.Request), Options: c.dict(func(w *writer) { w.stopOptions(m.Mode, "") })}
	case *Interrupt:
		return &wamp.Interrupt{Request: wamp.ID(m.Request), Options: c.dict(func(w *writer) { w.stopOptions(m.Mode, m.Reason) })}
	default:
		return c.registerMessage(m)
	}
}

func (c *nexusConverter) registerMessage(m Message) wamp.Message {
	switch m := m.(type) {
	case *Register:
		return &wamp.Register{
			Request: wamp.ID(m.Request), Options: c.dict(func(w *writer) { w.registerOptions(&m.Options) }),
			Procedure: wamp.URI(m.Procedure),
		}
	case *Registered:
		return &wamp.Registered{Request: wamp.ID(m.Request), Registration: wamp.ID(m.Registration)}
	case *Unregister:
		return &wamp.Unregister{Request: wamp.ID(m.Request), Registration: wamp.ID(m.Registration)}
	case *Unregistered:
		return &wamp.Unregistered{Request: wamp.ID(m.Request)}
	default:
		return c.sessionMessage(m)
	}
}

func (c *nexusConverter) sessionMessage(m Message) wamp.Message {
	switch m := m.(type) {
	case *Hello:
		return &wamp.Hello{Realm: wamp.URI(m.Realm), Details: m.All()}
	case *Welcome:
		return &wamp.Welcome{ID: wamp.ID(m.Session), Details: welcomed(m)}
	case *Abort:
		return &wamp.Abort{Details: open(m.Details), Reason: wamp.URI(m.Reason)}
	case *Challenge:
		return &wamp.Challenge{AuthMethod: m.Method, Extra: open(m.Extra)}
	case *Authenticate:
		return &wamp.Authenticate{Signature: m.Signature, Extra: open(m.Extra)}
	case *Goodbye:
		return &wamp.Goodbye{Details: open(m.Details), Reason: wamp.URI(m.Reason)}
	case *Error:
		args, kwargs := c.payload(m.Payload)
		return &wamp.Error{
			Type: wamp.MessageType(m.Request), Request: wamp.ID(m.RequestID),
			Details: open(m.Details), Error: wamp.URI(m.URI), Arguments: args, ArgumentsKw: kwargs,
		}
	}
	c.err = fmt.Errorf("no such message: %T", m)
	return nil
}
