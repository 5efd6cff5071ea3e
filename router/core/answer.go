package core

import (
	"time"

	"bulkhead/router/message"
)

// answered finds the call that a callee answers. It is nil where the call has ended meanwhile, which is nobody's fault;
// an id that this session was never invoked with is a violation.
func (s *Session) answered(invocation message.ID) (*call, error) {
	if c := s.invocations[invocation]; c != nil {
		return c, nil
	}
	if invocation > s.invoked {
		return nil, violation("there was no INVOCATION with this request id")
	}
	return nil, nil
}

func (r *Realm) yield(s *Session, m *message.Yield, now time.Time) error {
	passthru := m.Options.Passthru != nil
	if passthru && !s.details.Features.CalleePassthru {
		return violation("payload passthru was not announced for the role callee")
	}
	c, err := s.answered(m.Request)
	if c == nil {
		return err
	}
	if passthru && !c.caller.details.Features.CallPassthru {
		r.undeliverable(c, m.Options.Progress)
		return nil
	}
	if m.Options.Progress {
		return r.progress(c, m, now)
	}
	r.end(c)
	r.send(c.caller, result(c, m))
	return nil
}

// progress passes on one of several results; the timeout starts anew (WAMP, "Progressive Call Results", timeouts).
func (r *Realm) progress(c *call, m *message.Yield, now time.Time) error {
	if !c.details.ReceiveProgress {
		return violation("the caller did not ask for progressive results")
	}
	if c.timeout > 0 {
		r.deadlines.set(c, now.Add(c.timeout))
	}
	r.send(c.caller, result(c, m))
	return nil
}

// undeliverable ends a call whose caller could not read the result.
func (r *Realm) undeliverable(c *call, more bool) {
	if more {
		r.interrupt(c, killNoWait, errUnsupported.URI)
	}
	r.fail(c, errUnsupported)
}

func result(c *call, m *message.Yield) *message.Result {
	return &message.Result{
		Request: c.request, Payload: m.Payload,
		Details: message.ResultDetails{Progress: m.Options.Progress, Passthru: m.Options.Passthru},
	}
}

// failed passes a callee's ERROR on. Its details stay behind: they are the callee's word, and callers take details for
// the router's.
func (r *Realm) failed(s *Session, m *message.Error) error {
	if m.Request != message.CodeInvocation {
		return violation("ERROR answers an INVOCATION and nothing else")
	}
	c, err := s.answered(m.RequestID)
	if c == nil {
		return err
	}
	r.end(c)
	r.send(c.caller, &message.Error{
		Request: message.CodeCall, RequestID: c.request, Details: noDetails,
		Passthru: m.Passthru, URI: m.URI, Payload: m.Payload,
	})
	return nil
}

// fail ends a call with an error for the caller, and tells the callee nothing.
func (r *Realm) fail(c *call, why error) {
	r.end(c)
	r.refuse(c.caller, message.CodeCall, c.request, why)
}
