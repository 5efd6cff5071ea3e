package floor

import (
	"net"
	"sync"

	"bulkhead/test/peers/internal/frame"
)

// connection queues bytes. What is queued while a write is under way goes out with the next one: the gathering needs no
// timer.
type connection struct {
	conn   net.Conn
	s      frame.Serializer
	signal chan struct{} // holds one token while there is something to do

	mu     sync.Mutex // guards queued and closed
	queued []byte
	closed bool
}

func newConnection(conn net.Conn, s frame.Serializer) *connection {
	return &connection{conn: conn, s: s, signal: make(chan struct{}, 1)}
}

// queue queues a frame's bytes.
func (c *connection) queue(b []byte) {
	c.mu.Lock()
	c.queued = append(c.queued, b...)
	first := len(c.queued) == len(b)
	c.mu.Unlock()
	if first {
		c.wake()
	}
}

// acknowledge queues an answer that is nothing but a code, the request's id and one of its own.
func (c *connection) acknowledge(code, request uint64) {
	c.queue(frame.AppendServer(nil, c.s.Op(), frame.AppendHead(nil, c.s, code, request, 1)))
}

func (c *connection) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.wake()
}

func (c *connection) wake() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// write runs until the connection is closed or cannot be written to.
func (c *connection) write() {
	var out []byte
	for range c.signal {
		c.mu.Lock()
		out, c.queued = c.queued, out[:0]
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return
		}
		if _, err := c.conn.Write(out); err != nil {
			return
		}
	}
}
