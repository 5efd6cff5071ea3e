package server

import (
	"context"
	"sync"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/backend/privilege/granting"
	"bulkhead/db"
)

// privileges decide who may do what, and end what is open when that changes.
type privileges struct {
	granting *granting.Granting
	live     *granting.Live
	wake     chan struct{} // has a token when decisions have changed

	mu    sync.Mutex // guards ended
	ended []func()   // what looks anew at what it has open
}

// makePrivileges makes what decides; it denies everything until loadPrivileges.
func (s *Server) makePrivileges() {
	store := db.NewPrivileges(s.db)
	p := &privileges{live: granting.NewLive(store, time.Now, s.log), wake: make(chan struct{}, 1)}
	p.granting = granting.New(store, p.live, time.Now, s.log)
	p.live.Watch(func() {
		select {
		case p.wake <- struct{}{}:
		default: // who is awake already looks at what is so now
		}
	})
	s.privileges = p
}

// loadPrivileges reads what is granted, follows it, and begins to end what is not allowed any more.
func (s *Server) loadPrivileges(ctx context.Context) error {
	if err := s.privileges.live.Load(ctx); err != nil {
		return err
	}
	s.OnPrivileges(s.router.Reconsider)
	s.group.Go(s.privileges.live.Run)
	s.group.Go(s.privileges.enforce)
	return nil
}

// OnPrivileges has f called after each change of decisions, so that it ends what it has open and is not allowed any more:
// sessions, downloads, tunnels. The calls are made one after the other.
func (s *Server) OnPrivileges(f func()) {
	s.privileges.mu.Lock()
	defer s.privileges.mu.Unlock()
	s.privileges.ended = append(s.privileges.ended, f)
}

// enforce runs what was registered after each change.
func (p *privileges) enforce(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		p.mu.Lock()
		all := p.ended[:len(p.ended):len(p.ended)]
		p.mu.Unlock()
		for _, look := range all {
			look()
		}
	}
}

// authorizer decides for the API.
func (s *Server) authorizer() httpapi.Privileges {
	return httpapi.Privileges{Snapshots: s.privileges.live, Now: time.Now}
}

// policy decides for the sessions of people. The router is made before anything is loaded; until then nobody enters.
func (s *Server) policy() granting.Console {
	return granting.Console{Live: s.privileges.live, Now: time.Now}
}

// Granting has the use cases of members, owners and grants.
func (s *Server) Granting() *granting.Granting { return s.privileges.granting }
