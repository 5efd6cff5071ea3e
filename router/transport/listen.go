package transport

import (
	"context"
	"net"

	"bulkhead/internal/errs"
)

// Listen listens on an address of TCP for peers that speak first, as they do in TLS, in HTTP and in rawsocket. Where the system
// can do it, a connection is there to be accepted when its first bytes are, or after a second without any.
func Listen(addr string) (net.Listener, error) {
	c := net.ListenConfig{}
	tune(&c)
	l, err := c.Listen(context.Background(), "tcp", addr)
	return l, errs.Wrap("transport: listen", err)
}
