package transport

import (
	"net"
	"slices"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

const (
	// smallRead is how much an idle link is ready to read: most messages fit.
	smallRead = 512
	// aheadRead is how much a link reads at once that was found to have more.
	aheadRead = 16 << 10
)

// errOverBudget ends a session whose message is too much for what the sessions of its realm already send and do not receive.
var errOverBudget = &errs.Error{Kind: wire.Exhausted, User: "the sessions of this realm hold too many bytes"}

// inbound reads from a connection with few system calls and, while nothing comes, little memory. It is used by one goroutine.
type inbound struct {
	conn  net.Conn
	alive func()
	small [smallRead]byte
	ahead *[]byte // nil but while much comes
	data  []byte  // read and not taken, in small or ahead
	full  bool    // the last read filled its buffer: there is more
	held  holding // the message that is being read
}

// fill waits for data where there is none.
func (in *inbound) fill() error {
	if len(in.data) > 0 {
		return nil
	}
	buf := in.small[:]
	if in.full {
		buf = in.readAhead()
	} else {
		in.release()
	}
	n, err := in.conn.Read(buf)
	in.data, in.full = buf[:n], n == len(buf)
	if n > 0 {
		in.alive()
		return nil
	}
	return err
}

func (in *inbound) readAhead() []byte {
	if in.ahead == nil {
		in.ahead = buffers.get()
		*in.ahead = slices.Grow((*in.ahead)[:0], aheadRead)
	}
	return (*in.ahead)[:aheadRead]
}

func (in *inbound) release() {
	if in.ahead != nil {
		buffers.put(in.ahead)
		in.ahead = nil
	}
}

// bytes reads exactly len(p) bytes.
func (in *inbound) bytes(p []byte) error {
	for len(p) > 0 {
		if len(in.data) == 0 && len(p) >= aheadRead {
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
