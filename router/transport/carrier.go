package transport

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// carrier is what the TLS of a link runs over. A TLS connection cannot be asked whether a write would wait, nor be told to go on
// with a record that was written in part; so what it writes here never waits: what the system does not take at once is kept, for
// drain. It reads as much as there is in one system call, where TLS would take a record in two; but it gives TLS one record after
// the other, so that who has read all of one can wait here, without memory for what comes.
//
// Until it is released it writes as any connection does: while the handshakes are made, the peer's time is bounded otherwise.
type carrier struct {
	net.Conn
	in   inbound // of the one who reads, as is what follows
	head [recordHead]byte
	seen int // of the head of the record that is being read
	rest int // of its body, when the head was seen

	passed bool // it is read and written by others, and nothing of this is done

	mu       sync.Mutex
	released bool    // guarded by mu
	attempt  attempt // guarded by mu
	left     []byte  // guarded by mu; encrypted, and to be written before anything else
	draining bool    // guarded by mu; a part of left is being written
}

// recordHead is the size of what comes before a TLS record: its type, a version and the length, in two bytes.
const recordHead = 5

// maxLeft bounds what a carrier keeps: a piece of writeAll, and what TLS itself has to say.
const maxLeft = 8 * gather

var errCarrierFull = errors.New("transport: the peer makes TLS write, and does not read")

// overCarrier makes TLS of a connection.
func overCarrier(c net.Conn, config *tls.Config) *tls.Conn {
	if descriptor(c) == nil {
		return tls.Server(c, config) // it may wait, and will be written to by goroutines
	}
	under := &carrier{Conn: c}
	under.in.use(c, func() {})
	return tls.Server(under, config)
}

// carrierOf gives the carrier of a TLS connection; nil where it has none.
func carrierOf(c net.Conn) *carrier {
	if t, ok := c.(*tls.Conn); ok {
		if under, ok := t.NetConn().(*carrier); ok && !under.passed {
			return under
		}
	}
	return nil
}

// NetConn gives the connection itself, for what is set of a socket.
func (c *carrier) NetConn() net.Conn { return c.Conn }

// pass leaves the connection to others, for good.
func (c *carrier) pass() { c.passed = true }

// release makes writes return without waiting, from now on.
func (c *carrier) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released = true
}

// Read gives what there is of one record, or waits.
func (c *carrier) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.passed && len(c.in.data) == 0 {
		c.in.release()
		return c.Conn.Read(p)
	}
	if err := c.in.fill(); err != nil {
		return 0, err
	}
	if c.seen == recordHead && c.rest == 0 {
		c.seen = 0
	}
	if c.seen < recordHead {
		n = copy(p, c.in.data[:min(len(c.in.data), recordHead-c.seen)])
		copy(c.head[c.seen:], p[:n])
		if c.seen += n; c.seen == recordHead {
			c.rest = int(binary.BigEndian.Uint16(c.head[3:]))
		}
	}
	if c.seen == recordHead {
		body := copy(p[n:], c.in.data[n:min(len(c.in.data), n+c.rest)])
		c.rest -= body
		n += body
	}
	c.in.data = c.in.data[n:]
	return n, nil
}

// Write writes what the system takes, and keeps the rest.
func (c *carrier) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.released {
		return c.Conn.Write(p) // nobody else uses it
	}
	n := 0
	if !c.draining && len(c.left) == 0 {
		var err error
		if n, err = c.attempt.write(c.in.raw, p); err != nil || n == len(p) {
			return n, err
		}
	}
	if len(c.left)+len(p)-n > maxLeft {
		return n, errCarrierFull
	}
	c.left = append(c.left, p[n:]...)
	return len(p), nil
}

// SetWriteDeadline does nothing once no write waits: TLS sets one that is over when it has said its farewell, which may be among
// what is kept.
func (c *carrier) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.released {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// full reports whether something was kept.
func (c *carrier) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left) > 0
}

// drain writes what was kept. It waits for the peer; closing the connection ends that.
func (c *carrier) drain() error {
	for {
		p := c.take()
		if len(p) == 0 {
			return nil
		}
		if _, err := c.Conn.Write(p); err != nil {
			return err // draining stays: nothing can be written any more
		}
	}
}

// take gives what is to be written next.
func (c *carrier) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.left
	c.left, c.draining = nil, len(p) > 0
	return p
}
