package wampx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// goodbyeTimeout is how long the answer to the router's GOODBYE may take to leave.
const goodbyeTimeout = 2 * time.Second

// receive looks at every message until the session is over. It never waits for a handler or a caller.
func (s *Session) receive() {
	defer s.peer.Close()
	defer s.senders.Wait()
	for {
		select {
		case m, open := <-s.peer.Recv():
			if !open {
				s.end(lost(s.peer))
				return
			}
			if err := s.dispatch(m); err != nil {
				s.end(err)
				return
			}
		case <-s.done:
			return
		}
	}
}

// lost tells why the peer's messages ended.
func lost(peer wamp.Peer) error {
	cause := errors.New("the peer closed")
	if p, ok := peer.(interface{ Err() error }); ok && p.Err() != nil {
		cause = p.Err()
	}
	return errs.As(wire.Unavailable, cause, "the connection to the router is lost")
}

// dispatch acts on one message; an error ends the session.
func (s *Session) dispatch(m wamp.Message) error {
	switch m := m.(type) {
	case *wamp.Event:
		s.event(m)
	case *wamp.Invocation:
		s.invoke(m)
	case *wamp.Interrupt:
		s.interrupt(m)
	case *wamp.Result:
		progress, _ := m.Details["progress"].(bool)
		s.settle(wamp.CALL, m.Request, m, !progress)
	case *wamp.Error:
		s.settle(m.Type, m.Request, m, true)
	case *wamp.Published:
		s.settle(wamp.PUBLISH, m.Request, m, true)
	case *wamp.Subscribed:
		s.settle(wamp.SUBSCRIBE, m.Request, m, true)
	case *wamp.Unsubscribed:
		s.settle(wamp.UNSUBSCRIBE, m.Request, m, true)
	case *wamp.Registered:
		s.settle(wamp.REGISTER, m.Request, m, true)
	case *wamp.Unregistered:
		s.settle(wamp.UNREGISTER, m.Request, m, true)
	case *wamp.Goodbye:
		return s.goodbye(m)
	case *wamp.Abort:
		return refused(m.Reason, m.Details)
	default:
		return protocolViolation(m)
	}
	return nil
}

// goodbye answers the router's GOODBYE, or takes the answer to ours.
func (s *Session) goodbye(m *wamp.Goodbye) error {
	s.mu.Lock()
	ours := s.closing
	s.mu.Unlock()
	if ours {
		return ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	_ = s.send(ctx, &wamp.Goodbye{Details: wamp.Dict{}, Reason: wamp.ErrGoodbyeAndOut})
	return refused(m.Reason, m.Details)
}

func protocolViolation(m wamp.Message) error {
	return errs.As(wire.Unavailable, fmt.Errorf("unexpected %s", m.MessageType()), "the router broke the protocol")
}
