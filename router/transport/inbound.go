package transport

import (
	"errors"
	"io"
	"net"
	"slices"
	"syscall"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// readSize is how much is read at once.
const readSize = 16 << 10

// smallRead is with how much memory a link over TLS waits that has no carrier.
const smallRead = 512

// errOverBudget ends a session whose message is too much for what the sessions of its realm already send and do not receive.
var errOverBudget = &errs.Error{Kind: wire.Exhausted, User: "the sessions of this principal, or of this realm, hold too many bytes"}

// inbound reads from a connection with few system calls and, while nothing comes, little memory. It is used by one goroutine.
type inbound struct {
	conn  net.Conn
	alive func()
	held  holding // the message that is being read
	// outbox is what is to be flushed before this waits; nil: nothing.
	outbox *Outbox

	data []byte  // read and not taken, in buf or small
	buf  *[]byte // from the pool; nil while nothing comes

	// Of a connection without TLS: it waits without memory.
	raw   syscall.RawConn
	try   func(fd uintptr) bool
	tried error

	// Of one with TLS: it waits in its carrier, or with a buffer of its own where it has none.
	carrier *carrier
	small   []byte
	full    bool // TLS may have more: the last read filled its buffer
}

// use makes the inbound read from conn.
func (in *inbound) use(conn net.Conn, alive func()) {
	in.conn, in.alive = conn, alive
	if in.raw = descriptor(conn); in.raw != nil {
		in.try = in.read
		return
	}
	if in.carrier = carrierOf(conn); in.carrier == nil {
		in.small = make([]byte, smallRead)
	}
}

// descriptor gives that by which a connection is used without waiting; nil where there is no such thing, as with TLS.
func descriptor(conn net.Conn) syscall.RawConn {
	if g, ok := conn.(*guarded); ok {
		conn = g.Conn
	}
	if s, ok := conn.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// fill waits for data where there is none.
func (in *inbound) fill() error {
	if len(in.data) > 0 {
		return nil
	}
	if err := in.wait(); err != nil {
		return err
	}
	in.alive()
	return nil
}

func (in *inbound) wait() error {
	if in.raw != nil {
		return in.readOrWait()
	}
	buf, err := in.waiting()
	if err != nil {
		return err
	}
	n, err := in.conn.Read(buf)
	in.data, in.full = buf[:n], n == len(buf)
	if n > 0 {
		return nil
	}
	return err
}

// errNothing says that nothing has come, and that there is something to do before waiting for it.
var errNothing = errors.New("transport: nothing to read yet")

// readOrWait flushes the outbox between two reads, not within one: closing the connection waits for a read to end.
func (in *inbound) readOrWait() error {
	for {
		if err := in.raw.Read(in.try); err != nil {
			return err
		}
		if in.tried != errNothing { //nolint:errorlint // it is set by read, which does not wrap it
			return in.tried
		}
		in.outbox.FlushToWait()
	}
}

// waiting gives the memory for the next read of a TLS connection. One that has a carrier takes it when something has come.
func (in *inbound) waiting() ([]byte, error) {
	if in.full {
		return in.pooled(), nil
	}
	if in.release(); in.carrier == nil {
		return in.small, nil
	}
	if err := in.carrier.in.fill(); err != nil {
		return nil, err
	}
	return in.pooled(), nil
}

// read takes what there is, with memory from the pool; false says that there is nothing yet, and it has none.
func (in *inbound) read(fd uintptr) (done bool) {
	buf := in.pooled()
	n, err := syscall.Read(int(fd), buf)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), buf)
	}
	switch {
	case n > 0:
		in.data, in.tried = buf[:n], nil
		return true
	case err == nil:
		err = io.EOF
	}
	in.release()
	if in.tried = err; err != syscall.EAGAIN {
		return true
	}
	in.tried = errNothing
	return in.outbox.waits()
}

func (in *inbound) pooled() []byte {
	if in.buf == nil {
		in.buf = buffers.get()
		*in.buf = slices.Grow((*in.buf)[:0], readSize)
	}
	return (*in.buf)[:readSize]
}

func (in *inbound) release() {
	if in.buf != nil {
		buffers.put(in.buf)
		in.buf = nil
	}
}

// bytes reads exactly len(p) bytes.
func (in *inbound) bytes(p []byte) error {
	for len(p) > 0 {
		if len(in.data) == 0 && len(p) >= readSize {
			n, err := in.conn.Read(p)
			if n == 0 && err != nil {
				return err
			}
			in.alive()
			p = p[n:]
			continue
		}
		if err := in.fill(); err != nil {
			return err
		}
		n := copy(p, in.data)
		p, in.data = p[n:], in.data[n:]
	}
	return nil
}

// growing appends n bytes to buf. It takes memory as the bytes come, not as they are announced.
func (in *inbound) growing(buf []byte, n int) ([]byte, error) {
	for n > 0 {
		piece := min(n, max(unit, len(buf)))
		if in.held.set(len(buf) + piece); in.held.over() {
			return buf, errOverBudget
		}
		start := len(buf)
		buf = slices.Grow(buf, piece)[:start+piece]
		if err := in.bytes(buf[start:]); err != nil {
			return buf[:start], err
		}
		n -= piece
	}
	return buf, nil
}
