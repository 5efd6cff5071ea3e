// Package wampx gives typed WAMP sessions: the client's side of a realm, over WSS or inside the router's process.
//
// It promises that no call blocks beyond its context; that a slow handler delays neither replies nor other handlers; that
// a router which stops answering is noticed within two ping intervals; that events of one subscription reach their handler
// in order, with a count where any were lost; that WAMP error URIs and errs.Error are one thing seen from two sides; and
// that it carries no server code, so that a device can use it.
//
// The message types are nexus's. Its client package is not used: it imports nexus's router, its receive loop can park on a
// reply whose waiter has just given up, and a slow handler stops the loop.
package wampx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/wire"
)

// ErrClosed is why a session ended that Close ended.
var ErrClosed = errors.New("the session was closed")

// Session is one joined WAMP session. Its methods may be called from many goroutines, from handlers too, except Close,
// which waits for the handlers. Whoever has one calls Close in the end, also when Done has told that it is over.
type Session struct {
	peer    wamp.Peer
	realm   string
	id      wamp.ID
	details map[string]any
	log     *slog.Logger
	group   *lifecycle.Group
	cancel  context.CancelFunc // ends the group's context, which every handler's comes from
	done    chan struct{}      // closed when the session is over

	turn   chan struct{} // holds a token while a request is sent: request ids must leave in order
	lastID wamp.ID       // of a request; guarded by turn
	asides chan struct{} // holds a token for each message that is sent beside the receive loop

	senders sync.WaitGroup // sends under way; the peer closes after them

	mu            sync.Mutex // guards what follows
	ended         bool
	closing       bool // a GOODBYE is on its way
	err           error
	waiters       map[wamp.ID]*waiter
	subscriptions map[wamp.ID]*fanout
	registrations map[wamp.ID]*Registration
	invocations   map[wamp.ID]context.CancelFunc
	maxInvocation int
}

// Options are what a session may be told beside where to join. The zero Options are the defaults.
type Options struct {
	// Log gets what no caller can be told: a handler's panic, lost events. Default slog.Default().
	Log *slog.Logger
	// MaxInvocations bounds the invocations that run at once; callers beyond it get wire.Exhausted. Default 256.
	MaxInvocations int
}

func newSession(peer wamp.Peer, realm string, welcome *wamp.Welcome, o Options) *Session {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Session{
		peer:          peer,
		realm:         realm,
		id:            welcome.ID,
		details:       plainDict(welcome.Details),
		log:           o.Log,
		group:         lifecycle.NewGroup(ctx),
		cancel:        cancel,
		done:          make(chan struct{}),
		turn:          make(chan struct{}, 1),
		asides:        make(chan struct{}, 64),
		waiters:       map[wamp.ID]*waiter{},
		subscriptions: map[wamp.ID]*fanout{},
		registrations: map[wamp.ID]*Registration{},
		invocations:   map[wamp.ID]context.CancelFunc{},
		maxInvocation: o.MaxInvocations,
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.maxInvocation <= 0 {
		s.maxInvocation = 256
	}
	s.group.Go(func(context.Context) { s.receive() })
	return s
}

// ID is the session's id in its realm.
func (s *Session) ID() uint64 { return uint64(s.id) }

// Realm is the realm that the session is in.
func (s *Session) Realm() string { return s.realm }

// AuthID is who the router says that the session is.
func (s *Session) AuthID() string { return text(s.details["authid"]) }

// AuthRole is the role that the router gave the session.
func (s *Session) AuthRole() string { return text(s.details["authrole"]) }

// Done is closed when the session is over, whoever ended it.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err tells why the session is over, and is nil before that.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close says GOODBYE, waits for the answer and for every handler to return, and ends the session at the latest when ctx
// does. It must not be called from a handler. Closing twice is fine.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closing && !s.ended
	s.closing = true
	s.mu.Unlock()
	if first && s.send(ctx, &wamp.Goodbye{Details: wamp.Dict{}, Reason: wamp.CloseNormal}) == nil {
		select {
		case <-s.done:
		case <-ctx.Done():
		}
	}
	s.end(ErrClosed)
	stopped := make(chan struct{})
	go func() { // ends when the last handler returns; Stop cannot be given up
		s.group.Stop()
		close(stopped)
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return errs.Wrap("close session", ctx.Err())
	}
}

// end ends the session once; the first reason stays.
func (s *Session) end(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended, s.err = true, reason
	close(s.done)
	s.cancel()
	for _, f := range s.subscriptions {
		f.close()
	}
}

// over is the error of what a session that is over cannot do any more.
func (s *Session) over() error {
	return errs.As(wire.Unavailable, s.Err(), "the session is over")
}

// send hands m to the peer. A message that cannot be written is its sender's error and harms nobody else.
func (s *Session) send(ctx context.Context, m wamp.Message) error {
	if p, ok := s.peer.(*socket); ok {
		var err error
		if m, err = p.encode(m); err != nil {
			return err
		}
	}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return s.over()
	}
	s.senders.Add(1)
	s.mu.Unlock()
	defer s.senders.Done()
	select {
	case s.peer.Send() <- m:
		return nil
	case <-s.done:
		return s.over()
	case <-ctx.Done():
		return fmt.Errorf("send: %w", ctx.Err())
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
