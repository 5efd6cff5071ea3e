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

	"bulkhead/internal/network"
)

// GuardLimits bound how many connections a listener keeps. A zero field means its default.
type GuardLimits struct {
	// PerNetwork is how many one address, or one IPv6 /64, may have. Default: a quarter of the file descriptors. An IPv6 /48,
	// which one customer may have as a whole, may have network.Wide times as many.
	PerNetwork int
	// PerSecond is how many new ones an address, or one IPv6 /64, may open in a second, on the average of ten; an IPv6 /48
	// network.Wide times as many. Those from this machine are not counted. Default: any number.
	PerSecond int
	// Pending is how many may be open without having joined or made a request; one address, or one IPv6 /48, may have half of
	// them, and where all are there, the oldest of who has most gives way to who comes, so that few cannot keep all others
	// out. Default: an eighth of the file descriptors.
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

	mu      sync.Mutex // guards all below
	network map[netip.Prefix]held
	pending int
	oldest  list // of those that are pending
	since   time.Time
	opened  map[netip.Prefix]int // since then, where that is bounded
}

// held is what a network has.
type held struct{ open, pending int }

const (
	// leastShare is how many pending connections any network may have, if the limit for all is so high.
	leastShare = 16
	// window is how long new connections are counted.
	window = 10 * time.Second
	// maxVictims is how many of the oldest are looked at to find the one that gives way.
	maxVictims = 64
)

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
		entered := &guarded{Conn: c, guard: g, from: network.Of(addrPort(c.RemoteAddr()).Addr()), at: time.Now(), pending: true}
		away, reason := g.enter(entered)
		if away != nil {
			g.refused("too_many_pending")
			reset(away.Conn)
			_ = away.Close() // as below
		}
		if reason != "" {
			g.refused(reason)
			reset(c)
			_ = c.Close() // it is refused: there is nobody to tell
			continue
		}
		return entered, nil
	}
}

// enter counts a connection, or gives the reason why it is one too many. Where another gives way to it, that is to be closed.
func (g *Guard) enter(c *guarded) (away *guarded, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for from, times := range c.from.Each() {
		of := g.network[from]
		if from.IsValid() && (of.open >= g.limits.PerNetwork*times || of.pending >= max(leastShare, g.limits.Pending/2)) {
			return nil, "too_many_from_network"
		}
	}
	if g.tooFast(c) {
		return nil, "too_fast_from_network"
	}
	if g.pending >= g.limits.Pending {
		if away = g.victim(g.network[c.from.Own].pending); away == nil {
			return nil, "too_many_pending"
		}
		away.settle() // its place is free
	}
	g.pending++
	g.oldest.push(c)
	for from := range c.from.Each() {
		of := g.network[from]
		g.network[from] = held{of.open + 1, of.pending + 1}
	}
	return away, ""
}

// tooFast counts a new connection where that is bounded, and tells whether there were too many lately. The guard is locked.
func (g *Guard) tooFast(c *guarded) bool {
	if g.limits.PerSecond <= 0 || !c.from.Own.IsValid() || c.from.Own.Addr().IsLoopback() {
		return false
	}
	if c.at.Sub(g.since) >= window {
		g.since, g.opened = c.at, map[netip.Prefix]int{}
	}
	most := g.limits.PerSecond * int(window/time.Second)
	for from, times := range c.from.Each() {
		if g.opened[from] >= most*times {
			return true
		}
	}
	for from := range c.from.Each() {
		g.opened[from]++
	}
	return false
}

// victim finds the pending connection that gives way to one of a network with so many: of the oldest, one of who has most, if
// that are more. The guard is locked.
func (g *Guard) victim(than int) (found *guarded) {
	for c, looked := g.oldest.first, 0; c != nil && looked < maxVictims; c, looked = c.next, looked+1 {
		if n := g.network[c.from.Own].pending; n > than {
			found, than = c, n
		}
	}
	return found
}

// list is of connections in the order in which they came.
type list struct{ first, last *guarded }

func (l *list) push(c *guarded) {
	if c.previous = l.last; l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
}

func (l *list) remove(c *guarded) {
	if c.previous != nil {
		c.previous.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.previous = c.previous
	} else {
		l.last = c.previous
	}
	c.previous, c.next = nil, nil
}

// guarded is a connection that a Guard counts.
type guarded struct {
	net.Conn
	guard *Guard
	from  network.Networks
	at    time.Time

	// guarded by guard.mu
	pending        bool
	closed         bool
	previous, next *guarded // of the pending
}

// Close closes the connection and makes room for another.
func (c *guarded) Close() error {
	g := c.guard
	g.mu.Lock()
	if !c.closed {
		c.closed = true
		c.settle()
		c.count(func(of *held) { of.open-- })
	}
	g.mu.Unlock()
	return c.Conn.Close()
}

// settle ends the state of having done nothing yet. The guard is locked.
func (c *guarded) settle() {
	if c.pending {
		c.pending = false
		c.guard.pending--
		c.guard.oldest.remove(c)
		c.count(func(of *held) { of.pending-- })
	}
}

// count changes what its networks have. The guard is locked.
func (c *guarded) count(change func(*held)) {
	for from := range c.from.Each() {
		of := c.guard.network[from]
		if change(&of); of.open > 0 {
			c.guard.network[from] = of
		} else {
			delete(c.guard.network, from)
		}
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
