package mux

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tcpNotSentLowat = 25
	tcpUserTimeout  = 18
	unsent          = 64 << 10
	unacknowledged  = 30_000 // milliseconds
	lookGain        = 1 << 8 // BBR's gain of what may be under way, only while it looks
)

// tuneSocket keeps what a user types from waiting behind what the kernel would buffer, and has the kernel notice a peer
// that is gone. Where it cannot, tunnels work all the same.
func tuneSocket(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsent) //nolint:gosec // a descriptor is small
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, unacknowledged)
	})
}

// tune does the same to the socket of a connection that somebody else has accepted.
func tune(socket syscall.RawConn) {
	if socket != nil {
		_ = tuneSocket("", "", socket)
	}
}

// sendsByBBR reports whether the kernel's congestion control is BBR.
func sendsByBBR(socket syscall.RawConn) (is bool) {
	if socket != nil {
		_ = socket.Control(func(fd uintptr) {
			name, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
			is = err == nil && name == "bbr"
		})
	}
	return is
}

// ask asks BBR how it stands.
func ask(socket syscall.RawConn) (g glance, ok bool) {
	_ = socket.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPCCBBRInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_CC_INFO)
		if err == nil {
			g, ok = glance{time.Duration(info.Min_rtt) * time.Microsecond, info.Cwnd_gain == lookGain}, true
		}
	})
	return g, ok
}
