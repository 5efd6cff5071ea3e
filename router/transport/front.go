package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/internal/logkey"
)

// front takes the connections of a listener that ask for a WebSocket, and passes the others on. What net/http does for each
// connection, goroutines, buffers and contexts, costs more than joining.
type front struct {
	net.Listener
	server *Server
	config *tls.Config
	paths  []string
	prefix string // of all paths

	others  chan net.Conn // for who accepts
	waiting atomic.Int32  // goroutines that wait for a connection; their stacks have grown already
	closed  chan struct{}
	close   sync.Once
	err     error // why nothing more is accepted; set before closed is
}

// mostWaiting is how many goroutines wait for the next connection.
const mostWaiting = 16

// Front serves WAMP over WebSocket at the paths on what the listener accepts, over TLS where there is a configuration, and
// gives who accepts from it, which is to be a server of HTTPServer, all connections that ask for anything else, with what they
// have sent. When the Server closes, the listener is closed; the one who accepts is to close what Front gives.
func (s *Server) Front(l net.Listener, config *tls.Config, paths []string) net.Listener {
	f := &front{
		Listener: l, server: s, config: config, paths: paths, prefix: "GET " + commonPrefix(paths),
		others: make(chan net.Conn), closed: make(chan struct{}),
	}
	context.AfterFunc(s.group.Context(), func() { _ = l.Close() }) // wakes who waits
	if !s.group.Go(f.serve) {
		f.shut(ErrClosed)
	}
	return f
}

func commonPrefix(paths []string) string {
	first, last := slices.Min(paths), slices.Max(paths)
	n := 0
	for n < min(len(first), len(last)) && first[n] == last[n] {
		n++
	}
	return first[:n]
}

// Accept waits for a connection that asks for no WebSocket.
func (f *front) Accept() (net.Conn, error) {
	select {
	case c := <-f.others:
		return c, nil
	case <-f.closed:
		return nil, f.err
	}
}

// Close closes the listener.
func (f *front) Close() error {
	f.shut(net.ErrClosed)
	return f.Listener.Close()
}

func (f *front) shut(err error) {
	f.close.Do(func() {
		f.err = err
		close(f.closed)
	})
}

// serve takes one connection after the other, until the listener is closed. Who takes one while nobody else waits for the next
// has another do that: so it goes on by itself, while what it has read is at hand.
func (f *front) serve(ctx context.Context) {
	for f.waiting.Add(1) <= mostWaiting {
		c, err := f.accept(ctx)
		if f.waiting.Add(-1) == 0 && err == nil {
			f.server.group.Go(f.serve) // not when the server is closing
		}
		if err != nil {
			return
		}
		f.enter(c)
	}
	f.waiting.Add(-1)
}

// accept waits for a connection. An error is the end of the listener.
func (f *front) accept(ctx context.Context) (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		wait, temporary := pause(err)
		switch {
		case err == nil:
			return c, nil
		case ctx.Err() != nil:
			return nil, err // who accepts from here is closed by its owner
		case !temporary:
			f.shut(err)
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-f.closed:
			return nil, err
		}
	}
}

// pause is how long to wait after an error that passes, such as too many open files.
func pause(err error) (time.Duration, bool) {
	t, ok := err.(interface{ Temporary() bool }) //nolint:errorlint // as net/http does it: a listener's error is not wrapped
	return 5 * time.Millisecond, ok && t.Temporary()
}

// enter takes a connection as far as WELCOME, or passes it on. A panic ends the connection and nothing else.
func (f *front) enter(c net.Conn) {
	s := f.server
	a := s.arrivals.add(c, accepted(c).Add(s.limits.TLSHandshake))
	if a == nil {
		_ = c.Close() // the server is closing
		return
	}
	defer func() {
		a.end()
		if p := recover(); p != nil {
			s.config.Logger.Error("panic while a connection was made", logkey.Error, fmt.Sprint(p), logkey.Stack, string(debug.Stack()))
			_ = c.Close() // nobody else will
		}
	}()
	conn, state, err := f.secure(c, a)
	if err != nil {
		s.refused("upgrade")
		_ = c.Close() // the peer knows
		return
	}
	buf := buffers.get()
	*buf = slices.Grow((*buf)[:0], maxUpgrade)
	u, ok, err := f.request(conn, buf)
	switch {
	case err != nil:
		s.refused("upgrade")
		_ = c.Close() // it has asked for nothing
	case ok:
		*buf = u.appendAccepted(*buf)
		if _, err = conn.Write((*buf)[bytes.Index(*buf, endOfHead)+len(endOfHead):]); err != nil {
			s.refused("upgrade")
			_ = c.Close()
		}
	default:
		a.end()
		f.pass(&passed{Conn: conn, sent: bytes.Clone(*buf), state: state})
	}
	buffers.put(buf)
	if ok && err == nil {
		runtime.Gosched() // as others go on HELLO comes: to wait for it costs more
		s.adopt(conn, u.codec, state, a)
	}
}

// secure makes TLS of a connection, where it is to be.
func (f *front) secure(c net.Conn, a *arrival) (net.Conn, *tls.ConnectionState, error) {
	if f.config == nil {
		return c, nil, nil
	}
	t := overCarrier(c, f.config)
	if err := t.Handshake(); err != nil {
		return nil, nil, err
	}
	state := t.ConnectionState()
	a.extend(nil, time.Now().Add(f.server.limits.TLSHandshake))
	return t, &state, nil
}

// request reads until it is clear what a connection asks for.
func (f *front) request(c net.Conn, buf *[]byte) (u upgrade, ok bool, err error) {
	for b := *buf; ; {
		n, err := c.Read(b[len(b):maxUpgrade])
		b = b[:len(b)+n]
		*buf = b
		if end := bytes.Index(b, endOfHead); end >= 0 || len(b) == maxUpgrade || !f.maybe(b) {
			u, ok = parseUpgrade(b, f.paths, f.server.config.Origins)
			return u, ok && !f.server.elsewhere(string(u.host)), nil
		}
		if err != nil {
			return u, false, err
		}
	}
}

// maybe reports whether a request that begins with b may be for a WebSocket.
func (f *front) maybe(b []byte) bool {
	n := min(len(b), len(f.prefix))
	return strings.HasPrefix(f.prefix, string(b[:n]))
}

func (f *front) pass(c *passed) {
	if under := carrierOf(c.Conn); under != nil {
		under.pass()
	}
	select {
	case f.others <- c:
	case <-f.closed:
		_ = c.Close() // the server is closing
	}
}

// passed is a connection of which something has been read.
type passed struct {
	net.Conn
	sent  []byte
	state *tls.ConnectionState
}

// Read gives what was read, then what comes.
func (c *passed) Read(p []byte) (int, error) {
	if len(c.sent) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.sent)
	if c.sent = c.sent[n:]; len(c.sent) == 0 {
		c.sent = nil
	}
	return n, nil
}

// NetConn gives the connection itself, for what is set of a socket.
func (c *passed) NetConn() net.Conn { return c.Conn }

// CloseWrite closes the writing half.
func (c *passed) CloseWrite() error {
	closeWrite(c.Conn)
	return nil
}
