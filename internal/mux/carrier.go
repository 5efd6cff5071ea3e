package mux

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// message is the most that one WebSocket message carries: with its head, the plaintext of one TLS record.
	message = 16<<10 - 14
	// waiting is what may wait to be written while a write runs; what is written together goes out together.
	waiting = 64 << 10
	// writeTimeout is how long the other side may take no byte.
	writeTimeout = 30 * time.Second
	// Buffer is the size of the read and write buffers that a WebSocket below a session should have: gorilla cuts what it
	// sends at its buffer.
	Buffer = 16 << 10
)

// carrier makes a byte stream of a WebSocket. Small writes that come while another runs are gathered into one message.
type carrier struct {
	ws     *websocket.Conn
	reader io.Reader     // of the reader's goroutine
	done   chan struct{} // closed when the writer has ended
	once   sync.Once

	mu      sync.Mutex // guards what follows
	room    *sync.Cond
	pending []byte
	closed  bool
	failed  error
}

var _ net.Conn = (*carrier)(nil)

func newCarrier(ws *websocket.Conn) *carrier {
	c := &carrier{ws: ws, done: make(chan struct{})}
	c.room = sync.NewCond(&c.mu)
	ws.SetReadLimit(1 << 20)
	go c.write() // Close waits for it
	return c
}

var errText = errors.New("mux: a message that is not binary")

func (c *carrier) Read(b []byte) (int, error) {
	for {
		if c.reader == nil {
			kind, r, err := c.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errText
			}
			c.reader = r
		}
		n, err := c.reader.Read(b)
		if errors.Is(err, io.EOF) {
			c.reader, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write has b written. It returns when there is room for it, not when it is written.
func (c *carrier) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) > 0 && len(c.pending)+len(b) > waiting && !c.closed && c.failed == nil {
		c.room.Wait()
	}
	if c.failed != nil {
		return 0, c.failed
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	c.pending = append(c.pending, b...)
	c.room.Broadcast()
	return len(b), nil
}

// write writes what waits until the carrier is closed; then what is left, as far as that goes at once.
func (c *carrier) write() {
	defer close(c.done)
	var batch []byte
	for {
		c.mu.Lock()
		for len(c.pending) == 0 && !c.closed {
			c.room.Wait()
		}
		batch, c.pending = c.pending, batch[:0]
		c.room.Broadcast()
		c.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if err := c.send(batch); err != nil {
			c.mu.Lock()
			c.failed = err
			c.room.Broadcast()
			c.mu.Unlock()
			_ = c.ws.Close() // so that the reader learns of it
			return
		}
	}
}

func (c *carrier) send(batch []byte) error {
	for len(batch) > 0 {
		n := min(len(batch), message)
		_ = c.ws.SetWriteDeadline(time.Now().Add(writeTimeout)) // it only notes the time
		if err := c.ws.WriteMessage(websocket.BinaryMessage, batch[:n]); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// linger is how long what waits may take to be written after Close.
const linger = 300 * time.Millisecond

// Close closes the WebSocket; what waits is still written if the other side takes it at once.
func (c *carrier) Close() error {
	c.once.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.room.Broadcast()
		c.mu.Unlock()
		patience := time.AfterFunc(linger, func() { _ = c.ws.Close() })
		<-c.done
		patience.Stop()
		_ = c.ws.Close()
	})
	return nil
}

func (c *carrier) LocalAddr() net.Addr  { return c.ws.LocalAddr() }
func (c *carrier) RemoteAddr() net.Addr { return c.ws.RemoteAddr() }

// Deadlines are the carrier's own business: the session above notices a silent peer by its pings.

func (c *carrier) SetDeadline(time.Time) error      { return nil }
func (c *carrier) SetReadDeadline(time.Time) error  { return nil }
func (c *carrier) SetWriteDeadline(time.Time) error { return nil }
