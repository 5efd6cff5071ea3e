package mux

import (
	"net"
	"sync"
)

// corked is how much a corked connection keeps.
const corked = 128 << 10

// corks lends what corked connections keep.
var corks = sync.Pool{New: func() any { return new([corked]byte) }}

// corkable is a TCP connection that can keep what is written to it. TLS writes each record by itself, and each would wake who
// reads it: where more is to come at once, many go out in one system call.
type corkable struct {
	*net.TCPConn
	mu   sync.Mutex
	on   bool
	kept *[corked]byte // nil: nothing is
	size int
	err  error // of writing what was kept; what comes after would not be understood
}

var _ net.Conn = (*corkable)(nil)

// Listen has the connections that a listener accepts be corkable, as far as they are of TCP. Sessions with many streams cost a
// fifth less processor time then.
func Listen(l net.Listener) net.Listener { return corkableListener{l} }

type corkableListener struct{ net.Listener }

func (l corkableListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newCorkable(c), nil
}

// newCorkable leaves alone what is not of TCP.
func newCorkable(c net.Conn) net.Conn {
	if tcp, ok := c.(*net.TCPConn); ok {
		return &corkable{TCPConn: tcp}
	}
	return c
}

// Write keeps b where the connection is corked, and what is kept does not become too much.
func (c *corkable) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size > 0 && c.size+len(b) > corked {
		c.flush()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case !c.on || len(b) > corked:
		return c.TCPConn.Write(b)
	case c.kept == nil:
		c.kept = corks.Get().(*[corked]byte) //nolint:forcetypeassert // nothing else is put there
	}
	c.size += copy(c.kept[c.size:], b)
	return len(b), nil
}

// cork has what is written be kept until uncork.
func (c *corkable) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = true
}

// uncork writes what was kept.
func (c *corkable) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = false
	c.flush()
	if c.kept != nil {
		corks.Put(c.kept)
		c.kept = nil
	}
	return c.err
}

func (c *corkable) flush() {
	if c.err == nil && c.size > 0 {
		_, c.err = c.TCPConn.Write(c.kept[:c.size])
	}
	c.size = 0
}

// corkableBelow finds what can be corked below a connection; nil where there is nothing.
func corkableBelow(c net.Conn) *corkable {
	for {
		if found, ok := c.(*corkable); ok {
			return found
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = below.NetConn()
	}
}
