package message

import "fmt"

// Append appends the encoded message to dst. It allocates only to make room in dst, except for messages with open dictionaries
// and for payloads that come in another serializer; transcode those once with Payload.In where a message has many receivers.
// On an error, which only a message that did not come from Decode can cause, dst comes back as it was.
func Append(dst []byte, f Format, m Message) ([]byte, error) {
	if !f.Valid() {
		return dst, errFormat
	}
	w := writer{f: f, b: dst}
	mark := w.open(false)
	w.uint(uint64(m.Code()))
	n := w.message(m)
	w.close(mark, false, n+1)
	if w.err != nil {
		return dst, fmt.Errorf("encode %s: %w", m.Code(), w.err)
	}
	return w.b, nil
}

// message appends the elements of m after its code, and tells how many they are.
func (w *writer) message(m Message) (n int) {
	switch m := m.(type) {
	case *Event:
		w.id(m.Subscription)
		w.id(m.Publication)
		w.eventDetails(&m.Details)
		return 3 + w.payload(m.Payload)
	case *Publish:
		w.id(m.Request)
		w.publishOptions(&m.Options)
		w.text(m.Topic)
		return 3 + w.payload(m.Payload)
	case *Published:
		return w.ids(m.Request, m.Publication)
	case *Subscribe:
		w.id(m.Request)
		w.subscribeOptions(&m.Options)
		w.text(m.Topic)
		return 3
	case *Subscribed:
		return w.ids(m.Request, m.Subscription)
	case *Unsubscribe:
		return w.ids(m.Request, m.Subscription)
	case *Unsubscribed:
		return w.withdrawn(m.Request, optSubscription, m.Subscription, m.Reason)
	default:
		return w.callMessage(m)
	}
}

func (w *writer) callMessage(m Message) (n int) {
	switch m := m.(type) {
	case *Call:
		w.id(m.Request)
		w.callOptions(&m.Options)
		w.text(m.Procedure)
		return 3 + w.payload(m.Payload)
	case *Result:
		w.id(m.Request)
		w.progressOptions(m.Details.Progress, m.Details.Passthru)
		return 2 + w.payload(m.Payload)
	case *Invocation:
		w.id(m.Request)
		w.id(m.Registration)
		w.invocationDetails(&m.Details)
		return 3 + w.payload(m.Payload)
	case *Yield:
		w.id(m.Request)
		w.progressOptions(m.Options.Progress, m.Options.Passthru)
		return 2 + w.payload(m.Payload)
	case *Cancel:
		w.id(m.Request)
		w.stopOptions(m.Mode, "")
		return 2
	case *Interrupt:
		w.id(m.Request)
		w.stopOptions(m.Mode, m.Reason)
		return 2
	default:
		return w.registerMessage(m)
	}
}

func (w *writer) registerMessage(m Message) (n int) {
	switch m := m.(type) {
	case *Register:
		w.id(m.Request)
		w.registerOptions(&m.Options)
		w.text(m.Procedure)
		return 3
	case *Registered:
		return w.ids(m.Request, m.Registration)
	case *Unregister:
		return w.ids(m.Request, m.Registration)
	case *Unregistered:
		return w.withdrawn(m.Request, optRegistration, m.Registration, m.Reason)
	default:
		return w.sessionMessage(m)
	}
}

func (w *writer) sessionMessage(m Message) (n int) {
	switch m := m.(type) {
	case *Hello:
		w.text(m.Realm)
		w.dict(Dict(m.All()))
	case *Welcome:
		w.id(m.Session)
		w.welcomeDetails(m)
	case *Abort:
		w.dict(m.Details)
		w.text(m.Reason)
		return 2 + w.payload(m.Payload)
	case *Challenge:
		w.text(m.Method)
		w.dict(m.Extra)
	case *Authenticate:
		w.text(m.Signature)
		w.dict(m.Extra)
	case *Goodbye:
		w.dict(m.Details)
		w.text(m.Reason)
	case *Error:
		w.uint(uint64(m.Request))
		w.id(m.RequestID)
		w.errorDetails(m.Details, m.Passthru)
		w.text(m.URI)
		return 4 + w.payload(m.Payload)
	default:
		w.fail(fmt.Errorf("no such message: %T", m))
	}
	return 2
}

func (w *writer) ids(a, b ID) int {
	w.id(a)
	w.id(b)
	return 2
}

// payload appends args and kwargs, and tells how many elements they are.
func (w *writer) payload(p Payload) int {
	n := 0
	for _, part := range [...]string{p.args, p.kwargs} {
		switch {
		case part == "":
			return n
		case p.format == w.f:
			w.raw(part)
		default:
			w.transcode(p.format, part)
		}
		n++
	}
	return n
}
