package transport

import (
	"errors"
	"net"
	"syscall"
)

// Of a connection that is silent: how long until it is asked whether it lives, how often, and how many times.
const (
	keepIdle     = 15 // seconds, as is what follows
	keepInterval = 15
	keepProbes   = 9
	// firstBytes is for how long a connection that says nothing is kept from the one who accepts.
	firstBytes = 1
)

// tune sets what all connections have in common on the socket that listens: they inherit it, which saves four calls for each.
// Paths of several networks at once (MPTCP) are not offered: no client of this server asks for them, and a socket that could
// take them costs the others.
func tune(c *net.ListenConfig) {
	c.KeepAlive = -1 // it is inherited
	c.SetMultipathTCP(false)
	c.Control = func(_, _ string, raw syscall.RawConn) error {
		var failed error
		set := func(fd uintptr, level, option, value int) {
			failed = errors.Join(failed, syscall.SetsockoptInt(int(fd), level, option, value)) //nolint:gosec // a descriptor is small
		}
		err := raw.Control(func(fd uintptr) {
			set(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
			set(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, keepIdle)
			set(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, keepInterval)
			set(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepProbes)
			set(fd, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, firstBytes)
		})
		return errors.Join(err, failed)
	}
}
