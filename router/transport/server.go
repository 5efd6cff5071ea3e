package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/internal/lifecycle"
	"bulkhead/internal/network"
	"bulkhead/router/message"
)

// Config is what a Server needs.
type Config struct {
	Limits Limits
	// Origins are the origins from which browsers may connect, such as https://console.example.com.
	Origins []string
	// Join is called for each link, on the goroutine of its request. It gives what is to be run for the session, nil for none;
	// the link ends when that returns. It runs in a goroutine of its own, because joining needs twice the stack that an idle
	// session does, and a stack that has grown stays.
	Join func(*Link) (session func())
	// Elsewhere reports whether a host is not this server's: what asks for a WebSocket there goes to net/http. May be nil.
	Elsewhere func(host string) bool
	// Refused is told the reason of each connection that was refused before it became a link; may be nil.
	Refused func(reason string)
	// Meter counts for links that have not joined.
	Meter  *Meter
	Logger *slog.Logger
}

// Server makes links out of connections and watches over them. Use NewServer.
type Server struct {
	config Config
	limits Limits
	clock  clock
	group  *lifecycle.Group

	arrivals *arrivals

	mu     sync.Mutex
	links  map[*Link]struct{} // guarded by mu
	closed bool               // guarded by mu
}

// NewServer starts a Server. Close ends it.
func NewServer(c Config) *Server {
	s := &Server{config: c, limits: c.Limits.WithDefaults(), group: lifecycle.NewGroup(context.Background()), links: map[*Link]struct{}{}}
	s.arrivals = newArrivals(&s.limits, s.expire)
	s.clock.set(time.Now())
	s.group.Go(s.watch)
	return s
}

func (s *Server) refused(reason string) {
	if s.config.Refused != nil {
		s.config.Refused(reason)
	}
}

func (s *Server) elsewhere(host string) bool {
	return s.config.Elsewhere != nil && s.config.Elsewhere(host)
}

// start runs a link that was accepted at the given time. It returns when the peer has joined, or has not.
func (s *Server) start(l *Link, a *arrival, at time.Time) {
	l.mu.Lock()
	l.arrival = a
	l.mu.Unlock()
	a.extend(l, toJoin(at, s.limits.Handshake))
	s.mu.Lock()
	if !s.closed {
		s.links[l] = struct{}{}
	}
	closed := s.closed
	s.mu.Unlock()
	if closed {
		l.kill()
		return
	}
	s.join(l)
}

// toJoin is until when a connection has time to join. One that was kept open by other requests starts anew.
func toJoin(accepted time.Time, limit time.Duration) time.Time {
	if now := time.Now(); now.Sub(accepted) >= limit {
		return now.Add(limit)
	}
	return accepted.Add(limit)
}

// expire ends a link that took too long to join.
func (s *Server) expire(l *Link) {
	if l.joins() {
		s.refused("timeout")
		l.kill()
	}
}

func (s *Server) join(l *Link) {
	var session func()
	defer func() { // even if Join panics
		if session == nil || !s.group.Go(func(context.Context) { s.run(l, session) }) {
			s.run(l, func() {})
		}
	}()
	session = s.config.Join(l)
}

func (s *Server) run(l *Link, session func()) {
	defer s.forget(l)
	defer l.end()
	session()
}

func (s *Server) forget(l *Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
}

// Links is how many there are.
func (s *Server) Links() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.links)
}

// Close refuses new links, finishes those that are not finishing yet with the last message, and waits until all have ended; it
// closes at once those that remain when ctx ends.
func (s *Server) Close(ctx context.Context, last message.Message) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.arrivals.close()
	all := s.snapshot()
	for _, l := range all {
		l.Finish(last, s.limits.Linger)
	}
	for _, l := range all {
		select {
		case <-l.Done():
		case <-ctx.Done():
			l.kill()
		}
	}
	s.group.Stop()
}

func (s *Server) snapshot() []*Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Link, 0, len(s.links))
	for l := range s.links {
		out = append(out, l)
	}
	return out
}

// watch keeps the clock and looks for dead peers.
func (s *Server) watch(ctx context.Context) {
	ticker := time.NewTicker(min(time.Second, s.limits.PingEvery/4, s.limits.Write/4))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s.clock.set(now)
			for _, l := range s.snapshot() {
				l.check(now)
			}
		}
	}
}

// clock is the time to within a second, for what asks often.
type clock struct{ nanos atomic.Int64 }

func (c *clock) set(t time.Time) { c.nanos.Store(t.UnixNano()) }
func (c *clock) now() int64      { return c.nanos.Load() }

// alive notes a sign of life.
func (l *Link) alive() {
	l.heard.Store(l.clock.now())
	l.pings.Store(0)
}

// maxPings is how many pings a peer may leave without a sign of life.
const maxPings = 2

// check ends a write that takes too long, pings a silent peer and gives up a dead one. A peer that is being written to is not
// pinged: the write shows whether it lives.
func (l *Link) check(now time.Time) {
	if since := l.writingSince.Load(); since != 0 && now.UnixNano()-since > int64(l.limits.Write) {
		l.meter.Load().Dead.Add(1)
		l.kill()
		return
	}
	pings := l.pings.Load()
	silent := time.Duration(now.UnixNano() - l.heard.Load())
	if silent < l.limits.PingEvery*time.Duration(pings+1) || !l.watched() {
		return
	}
	if pings >= maxPings {
		l.meter.Load().Dead.Add(1)
		l.kill()
		return
	}
	l.pings.Add(1)
	_ = l.push(nil, &frame{data: l.codec.ping()}) // a link that cannot take a ping is closing
}

func (l *Link) watched() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.phase == joined && !l.writing
}

func peerOf(conn net.Conn, c codec, state *tls.ConnectionState) Peer {
	addr, from := addressOf(conn.RemoteAddr())
	p := Peer{Addr: addr, Network: from, Protocol: c.name(), Details: codecDetails[c.index()]}
	if state != nil && len(state.VerifiedChains) > 0 {
		p.Certificate = state.VerifiedChains[0][0]
	}
	return p
}

// addressOf gives an address as text, and its network.
func addressOf(a net.Addr) (string, netip.Prefix) {
	at := addrPort(a)
	if !at.IsValid() {
		return a.String(), netip.Prefix{}
	}
	return at.String(), network.Of(at.Addr()).Own
}

// addrPort is the zero AddrPort for what has no IP address.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok { // as is, for there is one for each connection
		at := t.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	}
	at, _ := netip.ParseAddrPort(a.String()) // the zero one is the answer
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// below gives the connection that TLS runs over.
func below(c net.Conn) net.Conn {
	if p, ok := c.(*passed); ok {
		c = p.Conn
	}
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if under, ok := c.(*carrier); ok {
		return under.Conn
	}
	return c
}
