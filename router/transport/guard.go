package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// GuardLimits bound how many connections a listener keeps. A zero field means its default.
type GuardLimits struct {
	// PerNetwork is how many one address, or one IPv6 /64, may have. Default: a quarter of the file descriptors.
	PerNetwork int
	// Pending is how many may be open without having joined or made a request; one address, or one IPv6 /64, may have half of
	// them, so that it cannot keep all others out. Default: an eighth of the file descriptors.
	Pending int
}

func (l GuardLimits) withDefaults() GuardLimits {
	files := 1024
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err == nil {
		files = int(min(r.Cur, 1<<20))
	}
	orInt(&l.PerNetwork, max(16, files/4))
	orInt(&l.Pending, max(16, files/8))
	return l
}

// Guard is a listener that closes connections which are too many, and stamps the others with the time at which they came.
type Guard struct {
	net.Listener
	limits  GuardLimits
	refused func(reason string)

	mu      sync.Mutex
	network map[netip.Prefix]held // guarded by mu
	pending int                   // guarded by mu
}

// held is what a network has.
type held struct{ open, pending int }

// leastShare is how many pending connections any network may have, if the limit for all is so high.
const leastShare = 16

// NewGuard guards a listener of plain TCP; TLS belongs above it. Refused is told the reason of each refusal; may be nil.
func NewGuard(l net.Listener, limits GuardLimits, refused func(reason string)) *Guard {
	if refused == nil {
		refused = func(string) {}
	}
	return &Guard{Listener: l, limits: limits.withDefaults(), refused: refused, network: map[netip.Prefix]held{}}
}

// Accept waits for a connection that is not one too many.
func (g *Guard) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := NetworkOf(c.RemoteAddr())
		if reason := g.enter(from); reason != "" {
			g.refused(reason)
			reset(c)
			_ = c.Close() // it is refused: there is nobody to tell
			continue
		}
		return &guarded{Conn: c, guard: g, from: from, at: time.Now(), pending: true}, nil
	}
}

func (g *Guard) enter(from netip.Prefix) (reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.network[from]
	switch {
	case g.pending >= g.limits.Pending:
		return "too_many_pending"
	case from.IsValid() && (of.open >= g.limits.PerNetwork || of.pending >= max(leastShare, g.limits.Pending/2)):
		return "too_many_from_network"
	}
	g.pending++
	g.network[from] = held{of.open + 1, of.pending + 1}
	return ""
}

// guarded is a connection that a Guard counts.
type guarded struct {
	net.Conn
	guard *Guard
	from  netip.Prefix
	at    time.Time

	pending bool // guarded by guard.mu
	closed  bool // guarded by guard.mu
}

// Close closes the connection and makes room for another.
func (c *guarded) Close() error {
	g := c.guard
	g.mu.Lock()
	if !c.closed {
		c.closed = true
		c.settle()
		of := g.network[c.from]
		if of.open--; of.open > 0 {
			g.network[c.from] = of
		} else {
			delete(g.network, c.from)
		}
	}
	g.mu.Unlock()
	return c.Conn.Close()
}

// settle ends the state of having done nothing yet. The guard is locked.
func (c *guarded) settle() {
	if c.pending {
		c.pending = false
		c.guard.pending--
		of := c.guard.network[c.from]
		of.pending--
		c.guard.network[c.from] = of
	}
}

// NetConn gives the connection itself, for what is set of a socket.
func (c *guarded) NetConn() net.Conn { return c.Conn }

// CloseWrite closes the writing half.
func (c *guarded) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

// SetLinger sets what closing does with data that was not sent.
func (c *guarded) SetLinger(seconds int) error {
	if t, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return t.SetLinger(seconds)
	}
	return nil
}

// Settle tells the guard of a connection that its peer has proved who it is. It takes connections with and without TLS,
// and does nothing for those of other listeners.
func Settle(c net.Conn) { settle(below(c)) }

func settle(raw net.Conn) {
	if c, ok := raw.(*guarded); ok {
		c.guard.mu.Lock()
		defer c.guard.mu.Unlock()
		c.settle()
	}
}

// accepted is when the connection came; now for those of other listeners.
func accepted(raw net.Conn) time.Time {
	if c, ok := raw.(*guarded); ok {
		return c.at
	}
	return time.Now()
}

// HTTPServer makes a server with the time limits that links need, to be run on a Front, or over TLS on a Guard. A connection
// stops counting as pending when its first request is answered; whoever hijacks one calls Settle.
func HTTPServer(h http.Handler, l Limits, log *slog.Logger) *http.Server {
	l = l.WithDefaults()
	s := &http.Server{
		Handler:           withTLS(h),
		ReadHeaderTimeout: l.TLSHandshake, // bounds the TLS handshake as well
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what strangers do wrong
	}
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if p, ok := c.(*passed); ok && p.state != nil {
			ctx = context.WithValue(ctx, tlsState{}, p.state)
		}
		return ctx
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			Settle(c)
		}
	}
	return s
}

// tlsState is the key of a connection's TLS, where a front has made it.
type tlsState struct{}

// withTLS tells requests of the TLS that a front has made.
func withTLS(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if state, ok := r.Context().Value(tlsState{}).(*tls.ConnectionState); ok && r.TLS == nil {
			r.TLS = state
		}
		h.ServeHTTP(w, r)
	})
}
