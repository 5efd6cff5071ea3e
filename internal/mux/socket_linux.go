package mux

import (
	"net"
	"syscall"
)

const (
	tcpNotSentLowat = 25
	tcpUserTimeout  = 18
	unsent          = 64 << 10
	unacknowledged  = 30_000 // milliseconds
)

// tuneSocket keeps what a user types from waiting behind what the kernel would buffer, and has the kernel notice a peer
// that is gone. Where it cannot, tunnels work all the same.
func tuneSocket(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, unsent) //nolint:gosec // a descriptor is small
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, unacknowledged)
	})
}

// tune does the same to the socket below a connection that somebody else has accepted.
func tune(c net.Conn) {
	for c != nil {
		if raw, ok := c.(syscall.Conn); ok {
			if r, err := raw.SyscallConn(); err == nil {
				_ = tuneSocket("", "", r)
			}
			return
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		c = below.NetConn()
	}
}
