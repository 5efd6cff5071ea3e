package wampx

import (
	"context"
	"time"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// maxInvocationTime is the longest that a handler may take, whatever its caller allows.
const maxInvocationTime = 24 * time.Hour

// Invocation is one call of a procedure that is offered here. Who calls is what the router says, never the payload.
type Invocation struct {
	Procedure    string
	Caller       uint64 // session, zero where the router does not say
	CallerAuthID string
	CallerRole   string
	Args         []any
	Kwargs       map[string]any
	// ReceiveProgress tells that the caller looks at progress.
	ReceiveProgress bool

	s  *Session
	id wamp.ID
}

// Result is the answer to an invocation.
type Result struct {
	Args   []any
	Kwargs map[string]any
}

// Handler answers one invocation. ctx ends when the caller cancels, its time is up or the session is over. What the
// caller reads of an error is errs.URIOf and errs.UserText.
type Handler func(ctx context.Context, in *Invocation) (Result, error)

// Progress sends part of the answer before the answer, where the caller looks at progress.
func (in *Invocation) Progress(ctx context.Context, args []any, kwargs map[string]any) error {
	if !in.ReceiveProgress {
		return errs.E(wire.Invalid, "the caller does not receive progress")
	}
	return in.yield(ctx, Result{args, kwargs}, wamp.Dict{"progress": true})
}

func (in *Invocation) yield(ctx context.Context, r Result, options wamp.Dict) error {
	list, dict, err := outgoing(r.Args, r.Kwargs)
	if err != nil {
		return err
	}
	return in.s.send(ctx, &wamp.Yield{Request: in.id, Options: options, Arguments: list, ArgumentsKw: dict})
}

// invoke starts the handler of an INVOCATION. It runs on the receive loop.
func (s *Session) invoke(m *wamp.Invocation) {
	s.mu.Lock()
	r, known := s.registrations[m.Registration]
	_, running := s.invocations[m.Request]
	room := len(s.invocations) < s.maxInvocation
	var ctx context.Context
	if known && room && !running {
		ctx = s.openInvocation(m)
	}
	s.mu.Unlock()
	switch {
	case running: // more of a progressive invocation, which this callee does not announce
	case ctx != nil:
		if !s.group.Go(func(context.Context) { s.answer(ctx, r, m) }) {
			s.closeInvocation(m.Request)
		}
	case !known:
		s.aside(toWAMP(m.Request, errs.E(wire.NotFound, "no longer offered")))
	case !room:
		s.aside(toWAMP(m.Request, errs.E(wire.Exhausted, "too many calls at once")))
	}
}

// openInvocation makes the context of an invocation's handler. The caller holds mu.
func (s *Session) openInvocation(m *wamp.Invocation) context.Context {
	timeout := maxInvocationTime
	if ms := number(m.Details["timeout"]); ms > 0 && ms < uint64(timeout.Milliseconds()) { //nolint:gosec // a positive constant
		timeout = time.Duration(ms) * time.Millisecond //nolint:gosec // less than the constant
	}
	ctx, cancel := context.WithTimeout(s.group.Context(), timeout)
	s.invocations[m.Request] = cancel
	return ctx
}

func (s *Session) closeInvocation(id wamp.ID) {
	s.mu.Lock()
	cancel := s.invocations[id]
	delete(s.invocations, id)
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (s *Session) interrupt(m *wamp.Interrupt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel, ok := s.invocations[m.Request]; ok {
		cancel()
	}
}

// answer runs a handler and sends what it says. The answer leaves under the session's time, not the invocation's: a
// cancelled invocation is answered too.
func (s *Session) answer(ctx context.Context, r *Registration, m *wamp.Invocation) {
	defer s.closeInvocation(m.Request)
	in := newInvocation(s, r.uri, m)
	m.Arguments, m.ArgumentsKw = nil, nil // in has a copy: handlers that wait hold one, not two
	result, err := s.handled(ctx, r, in)
	if err == nil {
		if err = in.yield(s.group.Context(), result, wamp.Dict{}); err == nil {
			return
		}
	}
	_ = s.send(s.group.Context(), toWAMP(m.Request, err))
}

func (s *Session) handled(ctx context.Context, r *Registration, in *Invocation) (result Result, err error) {
	err = errs.E(wire.Internal, "the handler did not return") // where it panics
	defer s.recovered("invocation", r.uri)
	result, err = r.handler(ctx, in)
	return result, err
}

func newInvocation(s *Session, uri string, m *wamp.Invocation) *Invocation {
	if p := text(m.Details["procedure"]); p != "" {
		uri = p
	} else if p, ok := m.Details["procedure"].(wamp.URI); ok {
		uri = string(p)
	}
	progress, _ := m.Details["receive_progress"].(bool)
	return &Invocation{
		Procedure:       uri,
		Caller:          number(m.Details["caller"]),
		CallerAuthID:    text(m.Details["caller_authid"]),
		CallerRole:      text(m.Details["caller_authrole"]),
		Args:            plainList(m.Arguments),
		Kwargs:          plainDict(m.ArgumentsKw),
		ReceiveProgress: progress,
		s:               s,
		id:              m.Request,
	}
}
