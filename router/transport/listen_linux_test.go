package transport

import (
	"net"
	"syscall"
	"testing"
)

func TestAcceptedConnectionsHaveWhatTheListenerWasGiven(t *testing.T) {
	t.Parallel()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	if _, err := dialed.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	for _, o := range []struct {
		name                string
		level, option, want int
	}{
		{"keepalive", syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{"idle", syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, keepIdle},
		{"interval", syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, keepInterval},
		{"probes", syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepProbes},
		{"no delay", syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
	} {
		if got := socketOption(t, accepted, o.level, o.option); got != o.want {
			t.Errorf("%s: %d, want %d", o.name, got, o.want)
		}
	}
	if got := socketOption(t, l, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT); got < firstBytes {
		t.Errorf("silent connections are kept from the one who accepts for %d s, want %d", got, firstBytes)
	}
}

func socketOption(t *testing.T, of any, level, option int) (value int) {
	t.Helper()
	raw, err := of.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { value, failed = syscall.GetsockoptInt(int(fd), level, option) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return value
}
