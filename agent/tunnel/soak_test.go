package tunnel_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/agent/tunnel"
	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/router/gateway"
	"bulkhead/wire"
)

var abruptEnds = flag.Int("ends", 120, "how many tunnels end abruptly")

// silent is how long an end may be silent before it is asked whether it is there.
const silent = 3 * time.Second

// remembered are used grants, without a disk.
type remembered struct{ used sync.Map }

func (r *remembered) UseGrant(nonce string, _, _, _ time.Time) (bool, error) {
	_, used := r.used.LoadOrStore(nonce, true)
	return !used, nil
}

// ended tells of each tunnel why it ended.
type ended struct{ why sync.Map } // ids to chan gateway.Closing

func (*ended) Opened(context.Context, string) error      { return nil }
func (*ended) Streams(context.Context, string, int, int) {}
func (e *ended) Closed(_ context.Context, id string, c gateway.Closing) {
	if why, ok := e.why.Load(id); ok {
		why.(chan gateway.Closing) <- c
	}
}

// network is what lies between the ends of one tunnel and the gateway. It fails as networks do.
type network struct {
	net.Listener
	to     string
	silent atomic.Bool // what is sent is lost, and nobody is told
	wg     sync.WaitGroup

	mu    sync.Mutex // guards pairs
	pairs []*pair
}

// pair is one connection through the network.
type pair struct{ near, far *net.TCPConn }

func newNetwork(t *testing.T, to string) *network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{Listener: l, to: to}
	n.wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			n.wg.Go(func() { n.carry(near.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); n.cut(); n.wg.Wait() })
	return n
}

func (n *network) carry(near *net.TCPConn) {
	far, err := net.Dial("tcp", n.to)
	if err != nil {
		_ = near.Close()
		return
	}
	p := &pair{near, far.(*net.TCPConn)}
	n.mu.Lock()
	n.pairs = append(n.pairs, p)
	n.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { n.forward(p.far, p.near) })
	n.forward(p.near, p.far)
	wg.Wait()
	_, _ = p.near.Close(), p.far.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, other := range n.pairs {
		if other == p {
			n.pairs = append(n.pairs[:i], n.pairs[i+1:]...)
			break
		}
	}
}

func (n *network) forward(to, from *net.TCPConn) {
	buffer := make([]byte, 16<<10)
	for {
		got, err := from.Read(buffer)
		if got > 0 && !n.silent.Load() {
			_, errTo := to.Write(buffer[:got])
			if err == nil {
				err = errTo
			}
		}
		if err != nil && n.silent.Load() { // an end is lost as well: the other is not told
			return
		}
		if err != nil {
			mux.Break(to)
			mux.Break(from)
			return
		}
	}
}

// cut resets connections at both ends: the user's, the others', or all.
func (n *network) cut(which ...func(*pair) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.pairs {
		if len(which) == 0 || which[0](p) {
			mux.Break(p.near)
			mux.Break(p.far)
		}
	}
}

func (n *network) quiet() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.pairs) == 0
}

// mayhem is one way in which a tunnel ends, and whether the gateway is told by the network.
type mayhem func(s *stage, n *network, id string, user *websocket.Conn)

var mayhems = []mayhem{
	func(_ *stage, _ *network, _ string, user *websocket.Conn) { mux.Break(user.NetConn()) }, // the user's program is gone
	func(_ *stage, n *network, _ string, user *websocket.Conn) { n.cut(ofUser(user)) },       // the user's line is cut
	func(_ *stage, n *network, _ string, user *websocket.Conn) { // the device's line is cut
		n.cut(func(p *pair) bool { return !ofUser(user)(p) })
	},
	func(_ *stage, n *network, _ string, _ *websocket.Conn) { n.cut() },
	func(s *stage, _ *network, id string, _ *websocket.Conn) { s.gateway.End(id, "killed") },
	func(s *stage, _ *network, id string, _ *websocket.Conn) {
		_ = s.Close(context.Background(), wire.TunnelCloseRequest{ID: id}) // it always succeeds
	},
}

func ofUser(user *websocket.Conn) func(*pair) bool {
	return func(p *pair) bool { return p.near.RemoteAddr().String() == user.LocalAddr().String() }
}

func silence(_ *stage, n *network, _ string, _ *websocket.Conn) { n.silent.Store(true) }

// descriptors counts those of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// This test runs alone, because it counts what the whole process has.
func TestAbruptEndsLeaveNothingAtGatewayAgentAndUser(t *testing.T) { //nolint:paralleltest // see above
	events := &ended{}
	s := newStageWith(t, loopback, gateway.Config{Events: events, Ping: silent}, func(c *tunnel.Config) { c.Used, c.Ping = &remembered{}, silent })
	const perAgent = 12
	networks := make([]*network, min(60, perAgent+*abruptEnds/200)) // each is a tunnel at full speed
	var agents []*tunnel.Tunnels
	for i := range networks {
		networks[i] = newNetwork(t, strings.TrimPrefix(s.url, "wss://"))
		if i%perAgent == 0 {
			agents = append(agents, tunnel.New(s.config))
			defer agents[len(agents)-1].Stop()
		}
	}
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	var next, running atomic.Int64
	var wg sync.WaitGroup
	for i, n := range networks {
		of := *s
		of.Tunnels = agents[i/perAgent]
		wg.Go(func() {
			for i := next.Add(1); i <= int64(*abruptEnds) && !t.Failed(); i = next.Add(1) {
				end := mayhems[i%int64(len(mayhems))]
				if i%100 == 0 {
					end = silence
				}
				ran, err := of.endAbruptly(n, events, fmt.Sprintf("soak-%d", i), end)
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
				if ran {
					running.Add(1)
				}
			}
		})
	}
	wg.Wait()
	var g, f int
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if g, f = runtime.NumGoroutine(), descriptors(t); g <= goroutines && f <= files {
			break
		}
	}
	t.Logf("after %d abrupt ends: %d goroutines, before %d; %d descriptors, before %d", *abruptEnds, g, goroutines, f, files)
	if n := running.Load(); n < int64(*abruptEnds)*3/4 { // on a machine that is busy some end before they run
		t.Errorf("%d of %d ran", n, *abruptEnds)
	}
	if g > goroutines || f > files {
		t.Error("something is left")
	}
}

// endAbruptly opens a tunnel, ends it in mid-transfer, and waits until nobody has anything of it any more.
func (s *stage) endAbruptly(n *network, events *ended, id string, end mayhem) (ran bool, _ error) {
	n.silent.Store(false)
	closed := make(chan gateway.Closing, 1)
	events.why.Store(id, closed)
	defer events.why.Delete(id)
	tickets, err := s.gateway.Admit(gateway.Pass{ID: id, Expires: time.Now().Add(time.Hour), Idle: time.Hour, MaxStreams: 64})
	if err != nil {
		return false, err
	}
	g := s.grantNamed(id)
	g.Gateway = "wss://" + n.Addr().String() + wire.TunnelPathDevice
	reply, err := s.Open(context.Background(), s.request(g, string(tickets.Device.Reveal())))
	for errs.KindOf(err) == wire.Exhausted { // the agent may be about to notice the ends before
		runtime.Gosched()
		g.Nonce += "again"
		reply, err = s.Open(context.Background(), s.request(g, string(tickets.Device.Reveal())))
	}
	if err == nil {
		err = s.meet(g, reply)
	}
	if err != nil {
		return false, err
	}
	door := s.door
	door.URL, door.Ticket = "wss://"+n.Addr().String()+wire.TunnelPathUser, tickets.User
	ws, err := mux.Dial(context.Background(), door)
	if err != nil {
		return false, err
	}
	session, err := mux.Client(ws, mux.Config{Window: 1 << 20, Budget: 1 << 20, Ping: silent})
	if err != nil {
		return false, err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer session.Close()
	if stream, err := s.stream(session, reply); err == nil {
		wg.Go(func() { // ends with the session
			for _, err := stream.Write(make([]byte, 16<<10)); err == nil; _, err = stream.Write(make([]byte, 16<<10)) {
			}
		})
		_, err = io.ReadFull(stream, make([]byte, 32<<10))
		ran = err == nil
	}
	end(s, n, id, ws)
	select {
	case <-closed:
	case <-time.After(time.Minute):
		return ran, fmt.Errorf("the gateway does not tell of its end")
	}
	session.Close()
	for deadline := time.Now().Add(time.Minute); !n.quiet(); runtime.Gosched() {
		if time.Now().After(deadline) {
			return ran, fmt.Errorf("an end keeps its connection")
		}
	}
	return ran, nil
}
