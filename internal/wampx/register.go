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

// RegisterOptions say how a procedure is offered. The zero RegisterOptions offer one exact URI, alone.
type RegisterOptions struct {
	Match  Match
	Invoke string // single, roundrobin, random, first or last; "" is single
	// ForceReregister takes the procedure over from another session of the same authid.
	ForceReregister bool
}

func (o RegisterOptions) dict() wamp.Dict {
	d := o.Match.dict()
	if o.Invoke != "" {
		d["invoke"] = o.Invoke
	}
	if o.ForceReregister {
		d["force_reregister"] = true
	}
	return d
}

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

// Registration is one procedure that is offered.
type Registration struct {
	s       *Session
	uri     string
	handler Handler
	id      wamp.ID // guarded by Session.mu
}

// Register offers a procedure of the contract. A request that is not what the contract says is answered with wire.Invalid.
func Register[Req, Rep any](ctx context.Context, s *Session, p wire.Procedure[Req, Rep], o RegisterOptions,
	handler func(ctx context.Context, in *Invocation, req Req) (Rep, error),
) (*Registration, error) {
	return s.RegisterURI(ctx, p.URI, o, func(ctx context.Context, in *Invocation) (Result, error) {
		var req Req
		if len(in.Args) > 0 {
			var err error
			if req, err = into[Req](in.Args[0]); err != nil {
				return Result{}, errs.As(wire.Invalid, err, "args[0] is not what %s takes", in.Procedure)
			}
		}
		rep, err := handler(ctx, in, req)
		if err != nil {
			return Result{}, err
		}
		return Result{Args: []any{rep}}, nil
	})
}

// RegisterURI offers every procedure that uri matches.
func (s *Session) RegisterURI(ctx context.Context, uri string, o RegisterOptions, handler Handler) (*Registration, error) {
	pending, err := s.BeginRegister(ctx, uri, o, handler)
	if err != nil {
		return nil, err
	}
	return pending.Wait(ctx)
}

// PendingRegistration is a registration whose answer is still awaited.
type PendingRegistration struct {
	r  *Registration
	w  *waiter
	id wamp.ID
}

// BeginRegister asks to offer a procedure and returns at once, so that many can be asked for in one round trip; Wait of
// the PendingRegistration tells what became of it.
func (s *Session) BeginRegister(ctx context.Context, uri string, o RegisterOptions, handler Handler) (*PendingRegistration, error) {
	r := &Registration{s: s, uri: uri, handler: handler}
	w := &waiter{
		kind:    wamp.REGISTER,
		answers: newMailbox[wamp.Message](1),
		accept:  func(m wamp.Message) { s.addRegistration(r, m) },
		undo: func(m wamp.Message) {
			s.addRegistration(r, m)
			s.group.Go(func(ctx context.Context) { _ = r.Close(ctx) })
		},
	}
	id, err := s.start(ctx, w, func(id wamp.ID) wamp.Message {
		return &wamp.Register{Request: id, Options: o.dict(), Procedure: wamp.URI(uri)}
	})
	if err != nil {
		return nil, errs.Wrap("register "+uri, err)
	}
	return &PendingRegistration{r, w, id}, nil
}

// Wait waits until the procedure is offered or refused. It is called once.
func (p *PendingRegistration) Wait(ctx context.Context) (*Registration, error) {
	if _, err := p.r.s.waitOnly(ctx, p.id, p.w); err != nil {
		return nil, errs.Wrap("register "+p.r.uri, err)
	}
	return p.r, nil
}

func (s *Session) addRegistration(r *Registration, m wamp.Message) {
	if registered, ok := m.(*wamp.Registered); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		r.id = registered.Registration
		s.registrations[r.id] = r
	}
}

// Close withdraws the procedure. Invocations that run go on.
func (r *Registration) Close(ctx context.Context) error {
	s := r.s
	s.mu.Lock()
	known := s.registrations[r.id] == r
	delete(s.registrations, r.id)
	s.mu.Unlock()
	if !known {
		return nil
	}
	_, err := s.request(ctx, &waiter{kind: wamp.UNREGISTER}, func(id wamp.ID) wamp.Message {
		return &wamp.Unregister{Request: id, Registration: r.id}
	})
	return errs.Wrap("unregister "+r.uri, err)
}

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
