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
	failed := make(chan error, 3*len(listeners))
	for _, l := range listeners {
		port := newSplit(l)
		group.Go(func() { failed <- port.serve() })
		group.Go(func() { failed <- web.Serve(s.guard(port.web)) })
		group.Go(func() { failed <- s.router.ServeRawSocket(s.guard(port.raw), nil) })
	}
	<-ctx.Done()
	err := listeners.close()
	s.router.Close()
	err = errors.Join(err, web.Close())
	group.Wait()
	close(failed)
	for f := range failed {
		if !errors.Is(f, http.ErrServerClosed) && !errors.Is(f, net.ErrClosed) {
			err = errors.Join(err, f)
		}
	}
	return err
}

func (s *server) guard(l net.Listener) net.Listener {
	return transport.NewGuard(l, transport.GuardLimits{}, s.router.Refused)
}

// everywhere serves WebSocket at every path: each suite has one of its own.
func everywhere(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = router.Paths[0]
		h.ServeHTTP(w, r)
	})
}
