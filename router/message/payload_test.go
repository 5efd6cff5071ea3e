package message

import (
	"testing"
)

// payloadField is the payload of m, nil where its type has none.
func payloadField(m Message) *Payload {
	switch m := m.(type) {
	case *Abort:
		return &m.Payload
	case *Error:
		return &m.Payload
	case *Publish:
		return &m.Payload
	case *Event:
		return &m.Payload
	case *Call:
		return &m.Payload
	case *Result:
		return &m.Payload
	case *Invocation:
		return &m.Payload
	case *Yield:
		return &m.Payload
	}
	return nil
}

// inJSON transcodes the payload of m.
func inJSON(t *testing.T, m Message) Message {
	t.Helper()
	if p := payloadField(m); p != nil {
		var err error
		if *p, err = p.In(JSON); err != nil {
			t.Fatal(err)
		}
	}
	return m
}
