package mux

import (
	"net"
	"os"
	"time"
)

// conn is what a stream's user has of it.
type conn struct {
	stream  *stream
	session *session
	// guarded by session.mu
	readBy, writeBy deadline
}

var _ Stream = (*conn)(nil)

func (c *conn) Read(b []byte) (n int, err error) {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	err = c.wait(len(b) > 0, func(now time.Time) (bool, error) {
		n, err = c.session.table.read(c.stream, b, now)
		return n > 0, err
	})
	return n, err
}

// give is Read without copying: it waits for data, and appends chunks of it to into as far as that has room.
func (c *conn) give(into []*chunk) (_ []*chunk, err error) {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	err = c.wait(true, func(now time.Time) (bool, error) {
		into, err = c.session.table.give(c.stream, into, now)
		return len(into) > 0, err
	})
	return into, err
}

// wait tries to read until something has come. The session is locked.
func (c *conn) wait(waits bool, try func(now time.Time) (bool, error)) error {
	for {
		if c.readBy.over() {
			return os.ErrDeadlineExceeded
		}
		before := len(c.session.table.control)
		some, err := try(time.Now())
		if len(c.session.table.control) != before {
			c.session.work.Signal()
		}
		if some || err != nil || !waits {
			return err
		}
		c.stream.changed.Wait()
	}
}

// take is Write without copying. The chunks are the stream's, or free, whatever comes of it.
func (c *conn) take(some []*chunk) error {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	for i := 0; i < len(some); {
		if c.writeBy.over() {
			free(some[i:])
			return os.ErrDeadlineExceeded
		}
		taken, err := c.session.table.take(c.stream, some[i], time.Now())
		switch {
		case err != nil:
			free(some[i:])
			return err
		case taken:
			i++
			c.session.work.Signal()
		default:
			c.stream.changed.Wait()
		}
	}
	return nil
}

func (c *conn) Write(b []byte) (written int, err error) {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	for {
		if c.writeBy.over() {
			return written, os.ErrDeadlineExceeded
		}
		n, err := c.session.table.write(c.stream, b[written:], time.Now())
		written += n
		if n > 0 {
			c.session.work.Signal()
		}
		if err != nil || written == len(b) {
			return written, err
		}
		c.stream.changed.Wait()
	}
}

// do does something to the stream that may have to be told.
func (c *conn) do(what func(t *table, s *stream, now time.Time)) {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	what(c.session.table, c.stream, time.Now())
	c.stream.changed.Broadcast()
	c.session.work.Signal()
}

func (c *conn) CloseWrite() (err error) {
	c.do(func(t *table, s *stream, now time.Time) {
		if err = s.broken; err == nil {
			t.end(s, now)
		}
	})
	return err
}

func (c *conn) Reset() error {
	c.do(func(t *table, s *stream, _ time.Time) { t.reset(s) })
	return nil
}

func (c *conn) Close() error {
	c.do(func(t *table, s *stream, now time.Time) {
		t.close(s, now)
		c.readBy.stop()
		c.writeBy.stop()
	})
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.session.ws.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr { return c.session.ws.RemoteAddr() }

func (c *conn) SetDeadline(t time.Time) error {
	c.set(t, &c.readBy, &c.writeBy)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.set(t, &c.readBy)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.set(t, &c.writeBy)
	return nil
}

func (c *conn) set(t time.Time, which ...*deadline) {
	c.do(func(*table, *stream, time.Time) {
		for _, d := range which {
			d.stop()
			if d.at = t; !t.IsZero() && !c.stream.closed {
				d.timer = time.AfterFunc(time.Until(t), func() { c.do(func(*table, *stream, time.Time) {}) })
			}
		}
	})
}

// deadline is when waiting ends.
type deadline struct {
	at    time.Time // zero: never
	timer *time.Timer
}

func (d *deadline) over() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
