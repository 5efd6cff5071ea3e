package transport

import (
	"fmt"
	"net"
	"testing"
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
