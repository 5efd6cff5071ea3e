package core

import (
	"time"

	"bulkhead/internal/errs"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// The modes of CANCEL and INTERRUPT.
const (
	skip       = "skip"
	kill       = "kill"
	killNoWait = "killnowait" // where none is given
)

const errCanceled, errTimeout = "wamp.error.canceled", "wamp.error.timeout"

// cancel ends a call on its caller's wish. One that has been answered meanwhile is nobody's fault.
func (r *Realm) cancel(s *Session, m *message.Cancel) {
	c := s.calls[m.Request]
	if c == nil {
		return
	}
	canInterrupt := c.callee.session.details.Features.CallCanceling
	switch {
	case m.Mode == kill && canInterrupt:
		if !c.killing {
			c.killing = true
			r.interrupt(c, kill, errCanceled)
		}
		return
	case m.Mode != skip && canInterrupt:
		r.interrupt(c, killNoWait, errCanceled)
	}
	r.fail(c, errs.E(wire.Canceled, "the call was canceled"))
}

// interrupt asks the callee to stop, where it understands that.
func (r *Realm) interrupt(c *call, mode, reason string) {
	if c.callee.session.details.Features.CallCanceling {
		r.send(c.callee.session, &message.Interrupt{Request: c.invocation, Mode: mode, Reason: reason})
	}
}

// abandon ends a call for reasons of the router's: the caller gets an error, the callee is asked to stop.
func (r *Realm) abandon(c *call, why error) {
	r.interrupt(c, killNoWait, errs.URIOf(why))
	r.fail(c, why)
}

var errCalleeLeft = errs.E(wire.Canceled, "the callee has left")

// expire ends the calls whose time is up.
func (r *Realm) expire(now time.Time) {
	for {
		c := r.deadlines.due(now)
		if c == nil {
			return
		}
		r.abandon(c, &errs.Error{Kind: wire.Unavailable, User: "the call took too long", URI: errTimeout})
	}
}

// maxTimeout is the longest timeout that is told apart from none.
const maxTimeout = 10 * 365 * 24 * time.Hour

func clampTimeout(ms int64) time.Duration {
	if ms <= 0 || ms > int64(maxTimeout/time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
