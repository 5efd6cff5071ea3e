package wampx

import (
	"context"
	"fmt"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// maxProgress bounds the results of one call that its caller has not looked at yet.
const maxProgress = 4096

// waiter waits for the answers to one request.
type waiter struct {
	kind    wamp.MessageType // of the request
	answers *mailbox[wamp.Message]
	// accept runs on the receive loop before the next message is looked at, so that what follows a SUBSCRIBED or a
	// REGISTERED finds its handler.
	accept func(wamp.Message)
	// undo makes the router forget what an abandoned request has achieved.
	undo      func(wamp.Message)
	abandoned bool // guarded by Session.mu
	settled   bool // guarded by Session.mu: the last answer is on its way into answers
}

// start sends a request and gives its id. Requests leave in the order of their ids.
func (s *Session) start(ctx context.Context, w *waiter, build func(wamp.ID) wamp.Message) (wamp.ID, error) {
	select {
	case s.turn <- struct{}{}:
	case <-s.done:
		return 0, s.over()
	case <-ctx.Done():
		return 0, fmt.Errorf("send: %w", ctx.Err())
	}
	defer func() { <-s.turn }()
	id := s.lastID + 1
	if w != nil {
		s.mu.Lock()
		s.waiters[id] = w
		s.mu.Unlock()
	}
	if err := s.send(ctx, build(id)); err != nil {
		s.forget(id)
		return 0, err
	}
	s.lastID = id
	return id, nil
}

func (s *Session) forget(id wamp.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiters, id)
}

// abandon gives a waiter up, unless its answer is there already or at any moment. What has an undo is kept for its late
// answer.
func (s *Session) abandon(id wamp.ID, w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case w.settled:
		return false
	case w.undo != nil:
		w.abandoned = true
	default:
		delete(s.waiters, id)
	}
	return true
}

// request sends a request and waits for its one answer.
func (s *Session) request(ctx context.Context, w *waiter, build func(wamp.ID) wamp.Message) (wamp.Message, error) {
	w.answers = newMailbox[wamp.Message](1)
	id, err := s.start(ctx, w, build)
	if err != nil {
		return nil, err
	}
	return s.waitOnly(ctx, id, w)
}

// waitOnly waits for the one answer to a request. Either it gives the answer, or the answer's effect is undone.
func (s *Session) waitOnly(ctx context.Context, id wamp.ID, w *waiter) (wamp.Message, error) {
	answer, err := s.wait(ctx, w)
	if stopped(ctx, err) && !s.abandon(id, w) {
		return s.wait(context.WithoutCancel(ctx), w)
	}
	return answer, err
}

// wait waits for the next answer. An ERROR becomes an error.
func (s *Session) wait(ctx context.Context, w *waiter) (wamp.Message, error) {
	for {
		if m, ok, _ := w.answers.take(); ok {
			if refusal, ok := m.(*wamp.Error); ok {
				return nil, fromWAMP(refusal)
			}
			return m, nil
		}
		select {
		case <-w.answers.wake:
		case <-s.done:
			if w.answers.empty() {
				return nil, s.over()
			} // else the answer came just before the end
		case <-ctx.Done():
			return nil, errs.As(errs.KindOf(ctx.Err()), ctx.Err(), "no answer in time")
		}
	}
}

// settle hands an answer to its waiter; last tells that no other follows. It runs on the receive loop.
func (s *Session) settle(kind wamp.MessageType, id wamp.ID, m wamp.Message, last bool) {
	s.mu.Lock()
	w, ok := s.waiters[id]
	if !ok || w.kind != kind {
		s.mu.Unlock()
		return // a late answer: its waiter has given up
	}
	if last {
		delete(s.waiters, id)
	}
	abandoned := w.abandoned
	w.settled = last && !abandoned
	s.mu.Unlock()
	_, failed := m.(*wamp.Error)
	switch {
	case failed && abandoned:
	case abandoned:
		w.undo(m)
	default:
		if w.accept != nil && !failed {
			w.accept(m)
		}
		if !w.answers.put(m) {
			s.overrun(id)
		}
	}
}

// overrun ends a call whose caller does not look at its progress.
func (s *Session) overrun(id wamp.ID) {
	s.mu.Lock()
	w, ok := s.waiters[id]
	delete(s.waiters, id)
	s.mu.Unlock()
	if ok {
		w.answers.limit++ // only the receive loop puts
		w.answers.put(&wamp.Error{Type: wamp.CALL, Request: id, Error: wamp.URI(errs.Of(wire.Exhausted).URI),
			Arguments: wamp.List{"the caller does not keep up with the progress"}})
		s.aside(&wamp.Cancel{Request: id, Options: wamp.Dict{"mode": "killnowait"}})
	}
}

// aside sends from a goroutine of its own what the receive loop must not wait for. Only when many such messages are stuck,
// because the router takes none, does the loop wait with them.
func (s *Session) aside(m wamp.Message) {
	select {
	case s.asides <- struct{}{}:
	case <-s.done:
		return
	}
	s.group.Go(func(ctx context.Context) {
		_ = s.send(ctx, m)
		<-s.asides
	})
}
