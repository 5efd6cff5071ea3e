package tunnel_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"

	"bulkhead/agent/tunnel"
)

// nameserver answers each question for an IPv4 address with the next of its answers, and the last for ever.
func nameserver(t *testing.T, answers ...string) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		question := make([]byte, 512)
		for {
			n, from, err := socket.ReadFrom(question)
			if err != nil {
				return
			}
			end := 12
			for end < n && question[end] != 0 {
				end += int(question[end]) + 1
			}
			if end += 5; end > n {
				continue
			}
			reply := append([]byte(nil), question[:end]...)
			binary.BigEndian.PutUint16(reply[2:], 0x8180) // an answer, without error
			binary.BigEndian.PutUint32(reply[8:], 0)
			if binary.BigEndian.Uint16(reply[end-4:]) == 1 {
				binary.BigEndian.PutUint16(reply[6:], 1)
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name, valid for no time
				address := netip.MustParseAddr(answers[0]).As4()
				reply = append(reply, address[:]...)
				answers = answers[min(1, len(answers)-1):]
			}
			_, _ = socket.WriteTo(reply, from)
		}
	})
	t.Cleanup(func() { _ = socket.Close(); wg.Wait() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

// The name leads to what is allowed when it is first asked about, and elsewhere from then on.
func TestANameThatItsNameserverPointsElsewhereReachesNothing(t *testing.T) {
	t.Parallel()
	resolver := nameserver(t, "127.0.0.1", "169.254.169.254", "127.0.0.2")
	var mu sync.Mutex
	var dialled []string
	s := newStage(t, "version: 1\nallow:\n  - {protocol: tcp, hosts: [plc.example, 127.0.0.1], ports: [PORT]}\n", func(c *tunnel.Config) {
		c.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return resolver.LookupNetIP(ctx, "ip", host+".")
		}
		c.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			dialled = append(dialled, a.Addr().String())
			mu.Unlock()
			var d net.Dialer
			return d.DialContext(ctx, "tcp", a.String())
		}
	})
	g := s.grant()
	g.Target.Host = "plc.example"
	session, reply := s.enter(g)
	if err := s.ask(session, reply); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.ask(session, reply); err == nil {
			t.Error("the name was followed")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(dialled) != 1 || dialled[0] != "127.0.0.1" {
		t.Errorf("dialled %v", dialled)
	}
}
