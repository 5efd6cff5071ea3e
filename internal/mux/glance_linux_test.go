package mux

import (
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connected gives both ends of a connection over the loopback, the first with a congestion control.
func connected(t *testing.T, control string) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	var failed error
	err = socketBelow(a).Control(func(fd uintptr) {
		failed = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, control)
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return a, b
}

func TestBBRSaysHowLongTheWayIs(t *testing.T) {
	t.Parallel()
	known, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if !slices.Contains(strings.Fields(string(known)), "bbr") {
		t.Skip("this kernel has no BBR")
	}
	a, b := connected(t, "bbr")
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		if _, err := way[0].Write([]byte("how long is it?")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], make([]byte, 15)); err != nil {
			t.Fatal(err)
		}
	}
	if !sendsByBBR(socketBelow(a)) {
		t.Error("it sends by something else")
	}
	if g, ok := ask(socketBelow(a)); !ok || g.looks || g.shortest <= 0 || g.shortest > time.Minute {
		t.Errorf("it says %+v, %v", g, ok)
	}
}

func TestWhatIsNotBBRIsNotAsked(t *testing.T) {
	t.Parallel()
	a, _ := connected(t, "reno")
	if sendsByBBR(socketBelow(a)) || sendsByBBR(nil) {
		t.Error("it is taken for BBR")
	}
}
