// Package router serves realms to WAMP clients.
//
// It promises that a session sees its own realm and nothing else; that who a session is was proved before it was let in and
// is stamped by the router on all it does; that it decides from one snapshot in memory, and a change of that snapshot is in
// force, on open sessions too, when Apply returns; that a session which misbehaves, stands still or makes the router panic
// ends alone; that realms share nothing on the way of a message; and that removing a realm, ending a session and closing
// take at most a second, whatever the peers do.
package router

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/realms"
	"bulkhead/router/authn"
	"bulkhead/router/core"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// Sink takes what sessions publish to tables. Accept must not block; it calls done once, then or later, from any goroutine:
// the publisher is told what done was given.
type Sink interface {
	Accept(s wire.Submission, done func(error))
}

// Config is what a Router is made of. The zero Config gives a router without tickets, tables and metrics.
type Config struct {
	Logger *slog.Logger // nil: the default
	// Tickets opens sessions of people; nil: none.
	Tickets authn.Tickets
	// Keys opens sessions of devices that sign; nil: none.
	Keys authn.PublicKeys
	// Certificates opens sessions of devices that show a TLS certificate; nil: none. The listener has to ask for one.
	Certificates authn.Certificates
	// Sink takes the publications to <project>.<app>.<table> and bulk.<project>.<app>.<table>; nil: they are only routed.
	Sink Sink
	// Limits bound what one peer may take.
	Limits transport.Limits
	// Origins are the origins from which browsers may connect, such as https://console.example.com.
	Origins []string
	// Elsewhere reports whether a host is not this router's; see transport.Config.
	Elsewhere func(host string) bool
	// Quotas are the limits of a realm of the kind; nil: DefaultQuotas.
	Quotas func(realms.Kind) core.Quotas
	// Slow says what becomes of sessions that do not keep up with their events; nil: all are closed.
	Slow func(realms.Kind, realms.Role) transport.Policy
	// Rates bound what one session may send; nil: none.
	Rates func(realms.Kind, realms.Role) Rate
	// Policy decides what people may do, within what their role may; nil: all that their role may.
	Policy Policy
	// Metrics gets the router's metrics; nil: none are published.
	Metrics prometheus.Registerer
}

// Router is a set of realms. Use New.
type Router struct {
	config Config
	limits transport.Limits
	log    *slog.Logger
	authn  *authn.Authenticator
	server *transport.Server
	stats  *stats
	group  *lifecycle.Group // sessions of this process's own

	directory atomic.Pointer[realms.Directory]
	applying  sync.Mutex // one Apply at a time

	mu     sync.RWMutex
	realms map[string]*realm // guarded by mu
	closed bool              // guarded by mu
}

// New starts a Router that has no realms until Apply. Close ends it.
func New(c Config) (*Router, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Quotas == nil {
		c.Quotas = DefaultQuotas
	}
	if c.Slow == nil {
		c.Slow = func(realms.Kind, realms.Role) transport.Policy { return transport.CloseSlow }
	}
	r := &Router{
		config: c, limits: c.Limits.WithDefaults(), log: c.Logger, stats: newStats(), realms: map[string]*realm{},
		authn: authn.New(authn.Config{Tickets: c.Tickets, Keys: c.Keys, Certificates: c.Certificates}),
		group: lifecycle.NewGroup(context.Background()),
	}
	r.directory.Store(&realms.Directory{})
	if c.Metrics != nil {
		if err := c.Metrics.Register(r.stats); err != nil {
			return nil, errs.Wrap("router: register metrics", err)
		}
	}
	r.server = transport.NewServer(transport.Config{
		Limits: c.Limits, Origins: c.Origins, Elsewhere: c.Elsewhere, Meter: &r.stats.joining, Logger: c.Logger,
		Refused: r.stats.refused, Join: r.join,
	})
	return r, nil
}

// Handler serves WebSocket connections at /ws, /ws-ua-usr and /ws-agent. They are one: what a session may do depends on who it
// proves to be, not on the door.
func (r *Router) Handler() http.Handler {
	mux := http.NewServeMux()
	ws := r.server.WebSocket()
	for _, path := range Paths {
		mux.Handle("GET "+path, ws)
	}
	return mux
}

// Front serves WebSocket connections at the paths of Handler, on what the listener accepts, over TLS where there is a
// configuration; what asks for anything else is accepted from the listener that it gives, by a server of transport.HTTPServer.
// It is the cheaper way in; requests that are unusual take the other one, through Handler.
func (r *Router) Front(l net.Listener, config *tls.Config) net.Listener {
	return r.server.Front(l, config, Paths)
}

// ServeRawSocket serves rawsocket connections until the listener is closed, and returns why it ended; the listener is the
// caller's to close. They speak TLS with the configuration; nil is for a loopback listener behind something that speaks it.
func (r *Router) ServeRawSocket(l net.Listener, config *tls.Config) error {
	return r.server.ServeRawSocket(l, config)
}

// Paths are where Handler serves.
var Paths = []string{"/ws", "/ws-ua-usr", "/ws-agent"}

// Refused counts a connection that was refused before it reached the router, for the guard of a listener.
func (r *Router) Refused(reason string) { r.stats.refused(reason) }

// Close tells every session wamp.close.system_shutdown, writes what waits for it, and waits until all have ended or ctx has.
// It takes no more than the time to linger, whatever the peers do. Closing twice is fine.
func (r *Router) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	all := r.realms
	r.realms = map[string]*realm{}
	r.mu.Unlock()
	for _, realm := range all {
		realm.end(closeShutdown, "the server is shutting down")
	}
	r.server.Close(ctx, abort(errShutdown)) // for those that have not joined
	done := make(chan struct{})
	go func() { // ends when the group has; ctx only bounds how long it is waited for
		defer close(done)
		r.group.Stop()
	}()
	if r.config.Metrics != nil {
		r.config.Metrics.Unregister(r.stats)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errs.Wrap("router: close", ctx.Err())
	}
}

// realm finds a realm that is open.
func (r *Router) realm(name string) (*realm, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return nil, errShutdown
	}
	if realm, ok := r.realms[name]; ok {
		return realm, nil
	}
	return nil, errNoSuchRealm
}

// Reasons with which sessions are closed or refused.
const (
	closeShutdown     = "wamp.close.system_shutdown"
	closeRealm        = "wamp.close.close_realm"
	closeBackpressure = "wamp.close.backpressure"
	closeKilled       = "wamp.close.killed"
	closeAndOut       = "wamp.close.goodbye_and_out"
	noSuchRealm       = "wamp.error.no_such_realm"
	noSuchRole        = "wamp.error.no_such_role"
	payloadTooLarge   = "wamp.error.payload_size_exceeded"
)

var (
	errShutdown    = &errs.Error{Kind: wire.Unavailable, URI: closeShutdown, User: "the server is shutting down"}
	errNoSuchRealm = &errs.Error{Kind: wire.NotFound, URI: noSuchRealm, User: "no such realm"}
	errTooLarge    = &errs.Error{Kind: wire.Exhausted, URI: payloadTooLarge, User: "the result is larger than this connection takes"}
	errNotWelcomed = errs.E(wire.Internal, "no WELCOME that this client takes could be made")
	errWithdrawn   = errs.As(wire.Unauthenticated, errors.New("the credential was withdrawn while it was used"), "authentication failed")
)

// DefaultQuotas are the limits of a realm where Config has none.
func DefaultQuotas(realms.Kind) core.Quotas {
	return core.Quotas{
		Session: core.Limits{
			Subscriptions: 10_000, Registrations: 2_000, Calls: 10_000, Testaments: 100, TestamentBytes: 1 << 20,
		},
		AuthID: core.Limits{Sessions: 256, Retained: 1_000, RetainedBytes: 16 << 20},
		Realm: core.Limits{
			Sessions: 50_000, Subscriptions: 500_000, Registrations: 200_000, Calls: 100_000, Testaments: 50_000,
			TestamentBytes: 64 << 20, Retained: 10_000, RetainedBytes: 128 << 20,
		},
	}
}
