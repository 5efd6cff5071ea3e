package wampx

import (
	"context"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

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
		req, err := Argument[Req](in)
		if err != nil {
			return Result{}, err
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

// Argument gives the first argument of an invocation; the zero value where there is none.
func Argument[T any](in *Invocation) (v T, err error) {
	if len(in.Args) > 0 {
		if v, err = into[T](in.Args[0]); err != nil {
			return v, errs.As(wire.Invalid, err, "args[0] is not what %s takes", in.Procedure)
		}
	}
	return v, nil
}
