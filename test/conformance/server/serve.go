package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/gammazero/nexus/v3/client"

	"bulkhead/router"
	"bulkhead/router/transport"
)

// server is the router with its open realm.
type server struct {
	router  *router.Nexus
	backend *client.Client
	log     *slog.Logger
}

func newServer(log *slog.Logger) (*server, error) {
	r, err := router.New(router.Config{Logger: log})
	if err != nil {
		return nil, err
	}
	s := &server{router: router.NewNexus(r), log: log}
	if err := s.router.AddRealm(realmConfig()); err != nil {
		s.router.Close()
		return nil, err
	}
	if s.backend, err = offer(s.router, &silent{}); err != nil {
		s.router.Close()
		return nil, err
	}
	return s, nil
}

// serve serves until ctx ends, and returns when everything has.
func (s *server) serve(ctx context.Context, listeners ports) error {
	web := transport.HTTPServer(everywhere(s.router.Handler()), transport.Limits{}, s.log)
	var group sync.WaitGroup
	failed := make([]error, len(listeners))
	for i, l := range listeners {
		group.Go(func() { failed[i] = s.accept(web, l) })
	}
	<-ctx.Done()
	s.router.Close()
	err := web.Close()
	group.Wait()
	return errors.Join(append(failed, err)...)
}

func (s *server) accept(web *http.Server, l net.Listener) error {
	err := web.Serve(transport.NewGuard(l, transport.GuardLimits{}, s.router.Refused))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// everywhere serves WebSocket at every path: each suite has one of its own.
func everywhere(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = router.Paths[0]
		h.ServeHTTP(w, r)
	})
}
