package transport

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// door is a listener whose connections come from the addresses that are put in.
type door struct{ knocks chan string }

func (d door) Accept() (net.Conn, error) {
	from, ok := <-d.knocks
	if !ok {
		return nil, net.ErrClosed
	}
	addr, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		return nil, err
	}
	here, there := net.Pipe()
	_ = there.Close() // nobody is there
	return caller{here, addr}, nil
}

func (d door) Close() error   { return nil }
func (d door) Addr() net.Addr { return &net.TCPAddr{} }

type caller struct {
	net.Conn
	from net.Addr
}

func (c caller) RemoteAddr() net.Addr { return c.from }

func TestOneNetworkCannotHaveAllPendingConnections(t *testing.T) {
	t.Parallel()
	refused := map[string]int{}
	d := door{make(chan string, 200)}
	g := NewGuard(d, GuardLimits{PerNetwork: 1000, Pending: 40}, func(reason string) { refused[reason]++ })
	for i := range 100 {
		d.knocks <- fmt.Sprintf("192.0.2.1:%d", 1000+i)
	}
	d.knocks <- "192.0.2.2:1"
	var taken []net.Conn
	for len(taken) < 21 {
		c, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, c)
	}
	if last := taken[20].RemoteAddr().String(); last != "192.0.2.2:1" || refused["too_many_from_network"] != 80 {
		t.Errorf("the last is %s; refused: %v", last, refused)
	}
	settle(taken[0])
	settle(taken[0])
	_ = taken[1].Close()
	_ = taken[1].Close()
	for i := range 2 { // room was made for two
		d.knocks <- fmt.Sprintf("192.0.2.1:%d", 2000+i)
		c, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, c)
	}
	for _, c := range taken {
		_ = c.Close()
	}
	if len(g.network) != 0 || g.pending != 0 {
		t.Errorf("when all have left: %v, %d pending", g.network, g.pending)
	}
}

// came gives the connections that are let in of those that knock, and why others are not.
func came(t *testing.T, limits GuardLimits, knocks ...string) (g *Guard, let []net.Conn, refused map[string]int) {
	t.Helper()
	refused = map[string]int{}
	d := door{make(chan string, len(knocks))}
	g = NewGuard(d, limits, func(reason string) { refused[reason]++ })
	for _, from := range knocks {
		d.knocks <- from
	}
	close(d.knocks)
	for {
		c, err := g.Accept()
		if err != nil {
			break
		}
		let = append(let, c)
	}
	t.Cleanup(func() {
		for _, c := range let {
			_ = c.Close()
		}
		if len(g.network) != 0 || g.pending != 0 || g.oldest.first != nil || g.oldest.last != nil {
			t.Errorf("when all have left: %v, %d pending, %v", g.network, g.pending, g.oldest)
		}
	})
	return g, let, refused
}

func knocks(n int, form string, more ...any) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(form, append([]any{i}, more...)...))
	}
	return all
}

func has(t *testing.T, let []net.Conn, from string, want bool) {
	t.Helper()
	if slices.ContainsFunc(let, func(c net.Conn) bool { return c.RemoteAddr().String() == from }) != want {
		t.Errorf("%s is let in: %t", from, !want)
	}
}

func TestTwoNetworksCannotHaveAllPendingConnections(t *testing.T) {
	t.Parallel()
	flood := append(knocks(40, "192.0.2.1:%d1"), knocks(40, "192.0.2.2:%d1")...)
	g, let, refused := came(t, GuardLimits{PerNetwork: 1000, Pending: 40}, append(flood, "192.0.2.3:5", "192.0.2.1:999", "192.0.2.4:5")...)
	has(t, let, "192.0.2.3:5", true)
	has(t, let, "192.0.2.4:5", true)
	has(t, let, "192.0.2.1:999", true) // there was room for it again
	if g.pending != 40 || refused["too_many_pending"] != 3 {
		t.Errorf("%d pending, refused: %v", g.pending, refused)
	}
	closed := 0
	for _, c := range let {
		if c.(*guarded).closed {
			closed++
		}
	}
	if closed != 3 {
		t.Errorf("%d gave way", closed)
	}
}

func TestWhoHasManyNetworksOfIPv6HasNotAsManyConnections(t *testing.T) {
	t.Parallel()
	flood := knocks(100, "[2001:db8:7:%x::1]:5")
	_, let, refused := came(t, GuardLimits{PerNetwork: 3, Pending: 1000}, append(flood, "[2001:db8:8::1]:5")...)
	has(t, let, "[2001:db8:8::1]:5", true)
	if len(let) != 31 || refused["too_many_from_network"] != 70 {
		t.Errorf("%d are let in; refused: %v", len(let), refused)
	}
	_, let, _ = came(t, GuardLimits{PerNetwork: 1000, Pending: 60}, append(flood, "[2001:db8:8::1]:5")...)
	has(t, let, "[2001:db8:8::1]:5", true)
	if len(let) != 31 {
		t.Errorf("%d of one customer are pending", len(let)-1)
	}
}

func TestANetworkOpensConnectionsAtABoundedRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := map[string]int{}
		d := door{make(chan string, 200)}
		g := NewGuard(d, GuardLimits{PerNetwork: 1000, Pending: 1000, PerSecond: 3}, func(reason string) { refused[reason]++ })
		let := func(n int, form string) (in int) {
			for range n {
				d.knocks <- form
			}
			d.knocks <- "198.51.100.1:1" // somebody else, last
			for {
				c, err := g.Accept()
				if err != nil {
					t.Fatal(err)
				}
				_ = c.Close()
				if c.RemoteAddr().String() == "198.51.100.1:1" {
					return in
				}
				in++
			}
		}
		if in := let(100, "192.0.2.1:1"); in != 30 || refused["too_fast_from_network"] != 70 {
			t.Errorf("%d are let in; refused: %v", in, refused)
		}
		if in := let(100, "127.0.0.1:1"); in != 100 {
			t.Errorf("%d of this machine are let in", in)
		}
		time.Sleep(10 * time.Second)
		if in := let(30, "192.0.2.1:1"); in != 30 {
			t.Errorf("%d are let in, later", in)
		}
	})
}
