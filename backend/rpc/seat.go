package rpc

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

const (
	joinTimeout  = 10 * time.Second
	closeTimeout = 2 * time.Second
	minBackoff   = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
	maxCalls     = 1024 // of one realm at once
)

// seat is the Server's place in one realm, through however many sessions.
type seat struct {
	server  *Server
	realm   realms.Realm
	log     *slog.Logger
	before  <-chan struct{} // closed when the seat before this one is empty; nil where there was none
	ctx     context.Context // ends when the seat is to be left
	leave   context.CancelFunc
	left    chan struct{} // closed when the seat is empty
	events  *events
	wake    chan struct{}                 // has a token when changed is set
	changed atomic.Bool                   // the agents are to be told
	session atomic.Pointer[wampx.Session] // while seated
	seated  atomic.Bool                   // the session is there and its procedures are offered
	first   chan struct{}                 // closed when that is so for the first time
	once    sync.Once                     // closes first
}

func newSeat(s *Server, r realms.Realm, before <-chan struct{}) *seat {
	one := &seat{
		server: s, realm: r, log: s.log.With(logkey.Realm, r.Name()), before: before,
		left: make(chan struct{}), events: newEvents(), wake: make(chan struct{}, 1), first: make(chan struct{}),
	}
	one.ctx, one.leave = context.WithCancel(s.group.Context())
	return one
}

// run keeps a session in the realm until the seat is left.
func (s *seat) run(context.Context) {
	defer close(s.left)
	defer s.leave()
	ctx := s.ctx
	if s.before != nil {
		<-s.before
	}
	for attempt := 0; ctx.Err() == nil; attempt++ {
		began := time.Now()
		err := s.sit(ctx)
		s.seated.Store(false)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxBackoff {
			attempt = 0
		}
		s.complain(attempt, err)
		pause(ctx, attempt)
	}
}

// complain tells of the first failure in a row, and of the tenth.
func (s *seat) complain(attempt int, err error) {
	switch attempt {
	case 0:
		s.log.Info("session in the realm is lost, joining again", logkey.Error, err)
	case 10:
		s.log.Error("realm cannot be served", logkey.Error, err)
	}
}

func pause(ctx context.Context, attempt int) {
	timer := time.NewTimer(minBackoff/2 + rand.N(min(maxBackoff, minBackoff<<min(attempt, 10))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// sit joins the realm, offers its procedures and stays until the session is over or ctx ends.
func (s *seat) sit(ctx context.Context) error {
	opening, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	offers, stay, err := s.prepare(opening)
	if err != nil {
		return err
	}
	session, err := s.join(opening)
	if err != nil {
		return err
	}
	defer s.close(ctx, session)
	if err := offer(opening, session, offers); err != nil {
		return err
	}
	s.session.Store(session)
	s.seated.Store(true)
	s.once.Do(func() { close(s.first) })
	return stay(ctx, session)
}

// prepare gives what the realm's kind asks for.
func (s *seat) prepare(ctx context.Context) (offers []procedure, stay func(context.Context, *wampx.Session) error, err error) {
	switch s.realm.Kind {
	case realms.Data:
		return s.prepareData(ctx)
	case realms.Devices:
		return s.deviceProcedures(), s.tellAgents, nil
	default:
		return nil, nil, errs.E(wire.Internal, "a realm of no kind")
	}
}

func (s *seat) join(ctx context.Context) (*wampx.Session, error) {
	self := realms.Principal{Role: realms.RoleBackend, AuthID: "backend", Project: s.realm.Project}
	peer, err := s.server.config.Router.Join(ctx, s.realm.Name(), self)
	if err != nil {
		return nil, errs.Wrap("join "+s.realm.Name(), err)
	}
	return wampx.FromPeer(ctx, peer, s.realm.Name(), wampx.Options{Log: s.log, MaxInvocations: maxCalls})
}

// close says goodbye, also when ctx has ended.
func (s *seat) close(ctx context.Context, session *wampx.Session) {
	s.session.Store(nil)
	s.seated.Store(false)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := session.Close(closing); err != nil {
		s.log.Warn("session does not end", logkey.Error, err)
	}
}

// procedure is one that is offered: an exact URI, or all with a prefix.
type procedure struct {
	uri     string
	match   wampx.Match
	handler wampx.Handler
}

// offer registers all procedures in one round trip.
func offer(ctx context.Context, session *wampx.Session, offers []procedure) error {
	pending := make([]*wampx.PendingRegistration, 0, len(offers))
	for _, p := range offers {
		one, err := session.BeginRegister(ctx, p.uri, wampx.RegisterOptions{Match: p.match}, p.handler)
		if err != nil {
			return err
		}
		pending = append(pending, one)
	}
	for _, one := range pending {
		if _, err := one.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
