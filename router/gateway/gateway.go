// Package gateway is where the two ends of a tunnel meet: a user's and a device's, both of which dialled out, or a device's
// and the server itself.
//
// It promises that nobody enters without a ticket, which opens one end of one tunnel once; that nothing goes through
// before the opening is on record; that a tunnel's limits hold whatever its ends do; that a tunnel which is ended has both
// of its sockets closed within a second; and that each tunnel which began is reported as closed, with what went through.
package gateway

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/logkey"
	"bulkhead/internal/mux"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Reason is why a tunnel ended.
type Reason string

// The reasons. Whoever ends a tunnel may have others.
const (
	UserLeft   Reason = "user_left"
	DeviceLeft Reason = "device_left"
	Idle       Reason = "idle"
	Expired    Reason = "expired"
	NotJoined  Reason = "not_joined" // an end did not come
	Shutdown   Reason = "shutdown"
	NotOnBook  Reason = "not_recorded" // the opening could not be put on record
)

// Pass is what may go through.
type Pass struct {
	ID         string
	Expires    time.Time
	Idle       time.Duration
	MaxStreams int
	Rate       int64 // bytes per second each way; 0: any
	// Inside says that the user's end is this server: it comes by Enter, and there is no ticket for it.
	Inside bool
}

// Tickets let the two ends in, each once. One that is inside has none.
type Tickets struct{ User, Device secret.Value }

// Closing is how a tunnel ended.
type Closing struct {
	Reason         Reason
	Sent, Received int64 // bytes from the user to the device, and back
	Streams        int
	Began          time.Time // zero where the ends never met
	Duration       time.Duration
}

// Events are told what happens to tunnels. They may block; what they block is the one tunnel.
type Events interface {
	// Opened puts on record that both ends have met. Where it fails, the tunnel ends.
	Opened(ctx context.Context, id string) error
	// Streams tells of streams that have begun, by their number from 1.
	Streams(ctx context.Context, id string, first, last int)
	Closed(ctx context.Context, id string, c Closing)
}

// Config is what a Gateway needs. Events and Log are required.
type Config struct {
	Events Events
	Log    *slog.Logger
	// Settle is told of each connection whose peer has proved itself; may be nil.
	Settle func(net.Conn)
	// JoinWithin is how long the ends may take to come, default 30 s.
	JoinWithin time.Duration
	// Tunnels is the most at once, default 4096.
	Tunnels int
	// Ping is how often the ends must show that they are there, default 10 s.
	Ping time.Duration
}

// Gateway pairs ends. Make one with New and Close it.
type Gateway struct {
	config Config
	group  *lifecycle.Group
	up     websocket.Upgrader

	mu      sync.Mutex // guards what follows
	tunnels map[string]*tunnel
	doors   map[[sha256.Size]byte]door
}

// door is what a ticket opens.
type door struct {
	tunnel *tunnel
	end    end
}

// end is a side of a tunnel.
type end string

const (
	userEnd   end = "user"
	deviceEnd end = "device"
)

// New makes a Gateway without tunnels.
func New(c Config) *Gateway {
	if c.JoinWithin <= 0 {
		c.JoinWithin = 30 * time.Second
	}
	if c.Tunnels <= 0 {
		c.Tunnels = 4096
	}
	return &Gateway{
		config: c, group: lifecycle.NewGroup(context.Background()), tunnels: map[string]*tunnel{}, doors: map[[sha256.Size]byte]door{},
		up: websocket.Upgrader{
			HandshakeTimeout: 10 * time.Second, ReadBufferSize: mux.Buffer, WriteBufferPool: &sync.Pool{},
			Subprotocols: []string{wire.TunnelProtocol}, CheckOrigin: func(r *http.Request) bool { return len(r.Header.Values("Origin")) == 0 },
		},
	}
}

// Admit makes a tunnel that waits for its ends.
func (g *Gateway) Admit(p Pass) (Tickets, error) {
	if p.ID == "" || p.MaxStreams < 1 || p.Idle <= 0 || p.Rate < 0 {
		return Tickets{}, errs.E(wire.Internal, "a pass that says nothing")
	}
	t := newTunnel(g, p)
	tickets := Tickets{Device: secret.Random()}
	if !p.Inside {
		tickets.User = secret.Random()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.tunnels) >= g.config.Tunnels {
		return Tickets{}, errs.E(wire.Exhausted, "there are too many tunnels at once: try again later")
	}
	if g.tunnels[p.ID] != nil {
		return Tickets{}, errs.E(wire.Conflict, "the tunnel is open")
	}
	if !g.group.Go(t.run) {
		return Tickets{}, errs.E(wire.Unavailable, "the server is stopping")
	}
	g.tunnels[p.ID] = t
	t.tickets = [2][sha256.Size]byte{sha256.Sum256(tickets.User.Reveal()), sha256.Sum256(tickets.Device.Reveal())}
	g.doors[t.tickets[1]] = door{t, deviceEnd}
	if !p.Inside {
		g.doors[t.tickets[0]] = door{t, userEnd}
	}
	return tickets, nil
}

// End ends a tunnel and reports whether there was one. It does not wait.
func (g *Gateway) End(id string, why Reason) bool {
	g.mu.Lock()
	t := g.tunnels[id]
	g.mu.Unlock()
	if t == nil {
		return false
	}
	t.end(why)
	return true
}

// Extend gives a tunnel a later end.
func (g *Gateway) Extend(id string, expires time.Time) bool {
	g.mu.Lock()
	t := g.tunnels[id]
	g.mu.Unlock()
	if t == nil {
		return false
	}
	t.expires.Store(expires.UnixNano())
	return true
}

// Usage is what has gone through a tunnel.
type Usage struct {
	Sent, Received int64
	Streams, Open  int // begun, and open now
}

// Usage tells what has gone through a tunnel so far.
func (g *Gateway) Usage(id string) (Usage, bool) {
	g.mu.Lock()
	t := g.tunnels[id]
	g.mu.Unlock()
	if t == nil {
		return Usage{}, false
	}
	return t.usage(), true
}

// Close ends all tunnels and waits for that.
func (g *Gateway) Close() { g.group.Stop() }

// ServeHTTP lets an end in.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	of := map[string]end{wire.TunnelPathUser: userEnd, wire.TunnelPathDevice: deviceEnd}[r.URL.Path]
	if !websocket.IsWebSocketUpgrade(r) || r.Method != http.MethodGet {
		http.Error(w, "want a WebSocket", http.StatusBadRequest)
		return
	}
	t, ok := g.redeem(r.Header.Values("Authorization"), of)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="bulkhead tunnel"`)
		http.Error(w, "the ticket is not valid", http.StatusUnauthorized)
		return
	}
	ws, err := g.up.Upgrade(w, r, nil)
	if err != nil {
		t.end(NotJoined) // the ticket is gone, and so is the tunnel; gorilla has answered
		return
	}
	if g.config.Settle != nil {
		g.config.Settle(ws.NetConn())
	}
	t.join(of, ws)
}

// redeem takes a ticket. It opens its own end only, and nothing after that.
func (g *Gateway) redeem(headers []string, of end) (*tunnel, bool) {
	if len(headers) != 1 {
		return nil, false
	}
	text, ok := strings.CutPrefix(headers[0], "Bearer ")
	if !ok || of == "" {
		return nil, false
	}
	hash := sha256.Sum256([]byte(text))
	g.mu.Lock()
	defer g.mu.Unlock()
	d, ok := g.doors[hash]
	if !ok || d.end != of {
		return nil, false
	}
	delete(g.doors, hash)
	return d.tunnel, true
}

// forget removes a tunnel with the tickets that were not used.
func (g *Gateway) forget(t *tunnel) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tunnels, t.pass.ID)
	for _, hash := range t.tickets {
		delete(g.doors, hash)
	}
}

func (g *Gateway) log(t *tunnel) *slog.Logger { return g.config.Log.With(logkey.Tunnel, t.pass.ID) }
