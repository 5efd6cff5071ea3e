package wampx

import (
	"fmt"
	"math"
	"reflect"

	"github.com/gammazero/nexus/v3/wamp"
)

var mapType = reflect.TypeFor[map[string]any]()

// toList makes a message that a client sends the list that is written.
func toList(m wamp.Message) ([]any, error) {
	switch m := m.(type) {
	case *wamp.Hello:
		return []any{uint64(wamp.HELLO), string(m.Realm), dict(m.Details)}, nil
	case *wamp.Authenticate:
		return []any{uint64(wamp.AUTHENTICATE), m.Signature, dict(m.Extra)}, nil
	case *wamp.Goodbye:
		return []any{uint64(wamp.GOODBYE), dict(m.Details), string(m.Reason)}, nil
	case *wamp.Publish:
		return payload([]any{uint64(wamp.PUBLISH), uint64(m.Request), dict(m.Options), string(m.Topic)}, m.Arguments, m.ArgumentsKw), nil
	case *wamp.Subscribe:
		return []any{uint64(wamp.SUBSCRIBE), uint64(m.Request), dict(m.Options), string(m.Topic)}, nil
	case *wamp.Unsubscribe:
		return []any{uint64(wamp.UNSUBSCRIBE), uint64(m.Request), uint64(m.Subscription)}, nil
	case *wamp.Call:
		return payload([]any{uint64(wamp.CALL), uint64(m.Request), dict(m.Options), string(m.Procedure)}, m.Arguments, m.ArgumentsKw), nil
	case *wamp.Cancel:
		return []any{uint64(wamp.CANCEL), uint64(m.Request), dict(m.Options)}, nil
	case *wamp.Register:
		return []any{uint64(wamp.REGISTER), uint64(m.Request), dict(m.Options), string(m.Procedure)}, nil
	case *wamp.Unregister:
		return []any{uint64(wamp.UNREGISTER), uint64(m.Request), uint64(m.Registration)}, nil
	case *wamp.Yield:
		return payload([]any{uint64(wamp.YIELD), uint64(m.Request), dict(m.Options)}, m.Arguments, m.ArgumentsKw), nil
	case *wamp.Error:
		head := []any{uint64(wamp.ERROR), uint64(m.Type), uint64(m.Request), dict(m.Details), string(m.Error)} //nolint:gosec // type codes are small
		return payload(head, m.Arguments, m.ArgumentsKw), nil
	default:
		return nil, fmt.Errorf("a client does not send %s", m.MessageType())
	}
}

// dict gives a dictionary the plain type, deeply, so that a serializer may walk and change it.
func dict(d wamp.Dict) map[string]any { return plainDict(d) }

func payload(head []any, args wamp.List, kwargs wamp.Dict) []any {
	switch {
	case len(kwargs) > 0:
		return append(head, plainList(args), dict(kwargs))
	case len(args) > 0:
		return append(head, plainList(args))
	default:
		return head
	}
}

// fields reads the fields of a message; the first that is not what it must be is kept as err.
type fields struct {
	list []any
	next int
	err  error
}

func (f *fields) take(what string) any {
	if f.next >= len(f.list) {
		f.fail(what + " is missing")
		return nil
	}
	f.next++
	return f.list[f.next-1]
}

func (f *fields) fail(problem string) {
	if f.err == nil {
		f.err = fmt.Errorf("field %d: %s", f.next, problem)
	}
}

func (f *fields) id(what string) wamp.ID {
	n, _ := plainNumber(f.take(what)) // each serializer has its own integer types
	if n, ok := n.(uint64); ok && n <= 1<<53 {
		return wamp.ID(n)
	}
	f.fail(what + " is not an id")
	return 0
}

// code reads a message's type code.
func (f *fields) code(what string) wamp.MessageType {
	id := f.id(what)
	if id > math.MaxUint8 {
		f.fail(what + " is no type of message")
		return 0
	}
	return wamp.MessageType(id) //nolint:gosec // at most 255
}

func (f *fields) text(what string) string {
	s, ok := f.take(what).(string)
	if !ok {
		f.fail(what + " is not a text")
	}
	return s
}

func (f *fields) uri(what string) wamp.URI { return wamp.URI(f.text(what)) }

func (f *fields) dict(what string) wamp.Dict {
	d, ok := f.take(what).(map[string]any)
	if !ok {
		f.fail(what + " is not a dictionary")
	}
	return d
}

// payload reads the arguments, which may be absent.
func (f *fields) payload() (args wamp.List, kwargs wamp.Dict) {
	if f.next < len(f.list) {
		list, ok := f.take("args").([]any)
		if !ok {
			f.fail("args is not a list")
		}
		args = list
	}
	if f.next < len(f.list) {
		kwargs = f.dict("kwargs")
	}
	return args, kwargs
}

// fromList reads a message that a router sends.
func fromList(list []any) (wamp.Message, error) {
	f := &fields{list: list}
	code := f.code("the type")
	m := read(code, f)
	if m == nil && f.err == nil {
		f.err = fmt.Errorf("a router does not send messages of type %d", code)
	}
	if f.err != nil {
		return nil, fmt.Errorf("%s: %w", code, f.err)
	}
	return m, nil
}

func read(code wamp.MessageType, f *fields) wamp.Message {
	switch code {
	case wamp.WELCOME:
		return &wamp.Welcome{ID: f.id("session"), Details: f.dict("details")}
	case wamp.ABORT:
		return &wamp.Abort{Details: f.dict("details"), Reason: f.uri("reason")}
	case wamp.CHALLENGE:
		return &wamp.Challenge{AuthMethod: f.text("method"), Extra: f.dict("extra")}
	case wamp.GOODBYE:
		return &wamp.Goodbye{Details: f.dict("details"), Reason: f.uri("reason")}
	case wamp.ERROR:
		m := &wamp.Error{Type: f.code("type"), Request: f.id("request"), Details: f.dict("details"), Error: f.uri("error")}
		m.Arguments, m.ArgumentsKw = f.payload()
		return m
	case wamp.PUBLISHED:
		return &wamp.Published{Request: f.id("request"), Publication: f.id("publication")}
	case wamp.SUBSCRIBED:
		return &wamp.Subscribed{Request: f.id("request"), Subscription: f.id("subscription")}
	case wamp.UNSUBSCRIBED:
		return &wamp.Unsubscribed{Request: f.id("request")}
	case wamp.EVENT:
		m := &wamp.Event{Subscription: f.id("subscription"), Publication: f.id("publication"), Details: f.dict("details")}
		m.Arguments, m.ArgumentsKw = f.payload()
		return m
	case wamp.RESULT:
		m := &wamp.Result{Request: f.id("request"), Details: f.dict("details")}
		m.Arguments, m.ArgumentsKw = f.payload()
		return m
	case wamp.REGISTERED:
		return &wamp.Registered{Request: f.id("request"), Registration: f.id("registration")}
	case wamp.UNREGISTERED:
		return &wamp.Unregistered{Request: f.id("request")}
	case wamp.INVOCATION:
		m := &wamp.Invocation{Request: f.id("request"), Registration: f.id("registration"), Details: f.dict("details")}
		m.Arguments, m.ArgumentsKw = f.payload()
		return m
	case wamp.INTERRUPT:
		return &wamp.Interrupt{Request: f.id("request"), Options: f.dict("options")}
	default:
		return nil
	}
}
