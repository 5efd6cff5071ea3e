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
func connected(t *testing.T, control string) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = one.Close() })
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	onSocket(t, one, func(fd int) error { return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, control) })
	return one.(*net.TCPConn), other.(*net.TCPConn)
}

func onSocket(t *testing.T, c net.Conn, do func(fd int) error) {
	t.Helper()
	var failed error
	if err := socketBelow(c).Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// echo has the kernel learn something of the line.
func echo(t *testing.T, a, b net.Conn) {
	t.Helper()
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		if _, err := way[0].Write([]byte("how fast is it?")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], make([]byte, 15)); err != nil {
			t.Fatal(err)
		}
	}
}

func control(t *testing.T, c net.Conn) (name string) {
	t.Helper()
	onSocket(t, c, func(fd int) (err error) {
		name, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		return err
	})
	return name
}

// rateOf is how fast a line is in BBR's model; 0: it has none.
func rateOf(t *testing.T, c net.Conn) (rate uint64) {
	t.Helper()
	onSocket(t, c, func(fd int) error {
		info, err := unix.GetsockoptTCPCCBBRInfo(fd, unix.IPPROTO_TCP, unix.TCP_CC_INFO)
		if err == nil {
			rate = uint64(info.Bw_hi)<<32 | uint64(info.Bw_lo)
		}
		return err
	})
	return rate
}

func TestBBRBeginsItsModelAnewUnlessTheWayIsLonger(t *testing.T) {
	t.Parallel()
	known, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if !slices.Contains(strings.Fields(string(known)), "bbr") {
		t.Skip("this kernel has no BBR")
	}
	for _, c := range []struct {
		name string
		trip time.Duration
		anew bool
	}{
		{"the way is as long as it was", time.Microsecond, true},
		{"the way is longer", time.Hour, false},
		{"nobody knows how long the way is", 0, false},
	} {
		a, b := connected(t, "bbr")
		echo(t, a, b)
		if rateOf(t, a) == 0 {
			t.Fatal("BBR has no model of a line that was used")
		}
		begin(socketBelow(a), c.trip)
		if anew := rateOf(t, a) == 0; anew != c.anew {
			t.Errorf("%s: it begins anew: %v", c.name, anew)
		}
		if got := control(t, a); got != "bbr" {
			t.Errorf("%s: left with %s", c.name, got)
		}
		echo(t, a, b)
	}
}

func TestWhatIsNotBBRIsLeftAlone(t *testing.T) {
	t.Parallel()
	a, b := connected(t, "reno")
	echo(t, a, b)
	begin(socketBelow(a), time.Microsecond)
	if got := control(t, a); got != "reno" {
		t.Errorf("it is %s now", got)
	}
}
