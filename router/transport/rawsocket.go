package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"bulkhead/router/message"
)

// The first octet of a handshake, and its errors.
const (
	rawMagic = 0x7f

	rawErrSerializer = 1
	rawErrLength     = 2
	rawErrReserved   = 3
)

// The types of a frame.
const (
	rawMessage = 0
	rawPing    = 1
	rawPong    = 2
)

const (
	// rawLengths is what the server announces: it takes messages of up to 2^24 bytes; how many really is for the limits.
	rawLengths = 15
	// rawLeast is the least that a client has to announce, 2^11 bytes: a WELCOME has about half of that.
	rawLeast = 2
	// rawHead is the size of a frame's header.
	rawHead = 4
	// rawLargest is the largest length that a frame can have. It alone needs the bit rawExtra.
	rawLargest = 1 << 24
	rawExtra   = 0x08
	// maxRawPing is the largest ping that is answered.
	maxRawPing = 4 << 10
)

// ServeRawSocket accepts rawsocket connections until the listener is closed, and returns why it ended. They speak TLS with the
// configuration; nil is for a loopback listener behind something that speaks it.
func (s *Server) ServeRawSocket(l net.Listener, config *tls.Config) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if !s.group.Go(func(ctx context.Context) { s.raw(ctx, c, config) }) {
			_ = c.Close() // it is refused: there is nobody to tell
			return ErrClosed
		}
	}
}

// raw takes a connection through its handshakes.
func (s *Server) raw(ctx context.Context, conn net.Conn, config *tls.Config) {
	plain := conn
	stop := context.AfterFunc(ctx, func() { _ = plain.Close() }) // wakes whoever waits for the peer
	defer stop()
	at := accepted(conn)
	_ = conn.SetDeadline(at.Add(s.limits.TLSHandshake))
	var state *tls.ConnectionState
	if config != nil {
		t := overCarrier(conn, config)
		if err := t.Handshake(); err != nil {
			s.refused("upgrade")
			_ = conn.Close() // the peer knows
			return
		}
		cs := t.ConnectionState()
		conn, state = t, &cs
	}
	_ = conn.SetDeadline(at.Add(s.limits.Handshake))
	c, largest, err := rawHandshake(conn)
	if err != nil {
		s.refused("upgrade")
		_ = conn.Close() // the peer knows
		return
	}
	_ = conn.SetDeadline(time.Time{})
	a := s.arrivals.add(plain, at.Add(s.limits.Handshake))
	if a == nil {
		_ = conn.Close() // the server is closing
		return
	}
	l := newLink(conn, below(conn), c, peerOf(conn, c, state), &s.limits, &s.clock, s.config.Meter)
	l.largest = largest
	l.in.full = l.carrier != nil // TLS may have what follows the handshake already
	l.source = &rawSource{in: &l.in, pong: func(p []byte) { _ = l.push(nil, &frame{data: append(rawHeader(nil, rawPong, len(p)), p...)}) }}
	s.start(l, a, at)
}

// errRawHandshake is a handshake that is none.
var errRawHandshake = errors.New("transport: no rawsocket handshake that this server knows")

// rawHandshake agrees with the client on the serializer, and learns how large messages to it may be.
func rawHandshake(conn net.Conn) (c codec, largest int, err error) {
	var b [4]byte
	for n := 0; n < len(b); {
		m, err := conn.Read(b[n:])
		if err != nil {
			return c, 0, err
		}
		n += m
		if b[0] != rawMagic {
			return c, 0, errRawHandshake
		}
	}
	f, ok := message.RawSocketFormat(b[1] & 0x0f)
	fault := byte(0)
	switch {
	case b[2] != 0 || b[3] != 0:
		fault = rawErrReserved
	case !ok:
		fault = rawErrSerializer
	case b[1]>>4 < rawLeast:
		fault = rawErrLength
	}
	reply := []byte{rawMagic, rawLengths<<4 | b[1]&0x0f, 0, 0}
	if fault != 0 {
		reply[1] = fault << 4
	}
	if _, err := conn.Write(reply); err != nil {
		return c, 0, err
	}
	if fault != 0 {
		return c, 0, errRawHandshake
	}
	return codec{f, rawSocket}, 1 << (9 + b[1]>>4), nil
}

// rawSource reads rawsocket frames.
type rawSource struct {
	in   *inbound
	head [rawHead]byte
	pong func([]byte)
}

// read gives the next message.
func (s *rawSource) read(limit int) (*[]byte, error) {
	n, err := s.next(limit)
	if err != nil {
		return nil, err
	}
	buf := buffers.get()
	if *buf, err = s.in.growing((*buf)[:0], n); err != nil {
		buffers.put(buf)
		return nil, err
	}
	return buf, nil
}

// more looks for a message.
func (s *rawSource) more() bool {
	b := s.in.data
	if len(b) < rawHead {
		return false
	}
	kind, n := rawPrefix([rawHead]byte(b))
	return kind == rawMessage && len(b) >= rawHead+n
}

// next reads headers up to that of a message, and answers pings.
func (s *rawSource) next(limit int) (n int, err error) {
	for {
		if err := s.in.bytes(s.head[:]); err != nil {
			return 0, err
		}
		kind, n := rawPrefix(s.head)
		switch {
		case kind > rawPong:
			return 0, violation("a rawsocket frame of an unknown type")
		case kind == rawMessage && n > limit:
			return 0, violation("the message is larger than %d bytes", limit)
		case kind == rawMessage:
			return n, nil
		case n > maxRawPing:
			return 0, violation("a ping is larger than %d bytes", maxRawPing)
		}
		payload := make([]byte, n)
		if err := s.in.bytes(payload); err != nil {
			return 0, err
		}
		if kind == rawPing {
			s.pong(payload)
		}
	}
}

// rawPrefix gives the type and the length in a frame's header; the type is an unknown one where the header is none.
func rawPrefix(head [rawHead]byte) (kind byte, n int) {
	kind, n = head[0], int(head[1])<<16|int(head[2])<<8|int(head[3])
	if kind&rawExtra != 0 && n == 0 {
		return kind &^ rawExtra, rawLargest
	}
	return kind, n
}

// rawHeader appends the header of a rawsocket frame: its type and its length in 25 bits.
func rawHeader(b []byte, kind byte, n int) []byte {
	if n == rawLargest {
		kind |= rawExtra
	}
	return append(b, kind, byte(n>>16), byte(n>>8), byte(n))
}

// ping is a frame that the peer answers.
func (c codec) ping() []byte {
	if c.framing == rawSocket {
		return rawHeader(nil, rawPing, 0)
	}
	return wsHeader(nil, opPing, 0)
}
