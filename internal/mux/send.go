package mux

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"net"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// sender writes messages to a WebSocket past gorilla, which copies each into a buffer of its own and masks it word by word: a
// message is given with room for its head, so that both are one TLS record. Other goroutines of gorilla's may write control
// frames in between, because each Write of a TLS connection is whole.
//
// While more is to come it has the connection below TLS keep what was written, where that can.
type sender struct {
	conn   net.Conn
	masks  bool // as the side that dialled must
	key    [maskBlock]byte
	socket syscall.RawConn // nil: it cannot be asked
	below  *corkable       // nil: nothing is kept
	keeps  bool            // something may be kept
	bbr    bool            // it is what the kernel sends by
}

const (
	// headRoom is what the head of a WebSocket message takes at most: 2 bytes, a length of 2 and a key of 4.
	headRoom   = 8
	maskBlock  = 1 << 10
	finBinary  = 0x80 | websocket.BinaryMessage
	isMasked   = 0x80
	longLength = 126
)

func newSender(conn net.Conn, masks bool) *sender {
	socket := socketBelow(conn)
	return &sender{conn: conn, masks: masks, socket: socket, below: corkableBelow(conn), bbr: sendsByBBR(socket)}
}

// send writes one message: what follows the headRoom bytes at the beginning of b. It may be kept where more is to come; flush
// says that none does.
func (s *sender) send(b []byte, more bool) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if more && !s.keeps && s.below != nil {
		s.below.cork()
		s.keeps = true
	}
	if _, err := s.conn.Write(s.frame(b)); err != nil || more {
		return err
	}
	return s.flush()
}

// flush writes what was kept.
func (s *sender) flush() error {
	if !s.keeps {
		return nil
	}
	s.keeps = false
	return s.below.uncork()
}

// frame writes the head before what follows the first headRoom bytes of b, and gives both.
func (s *sender) frame(b []byte) []byte {
	length := len(b) - headRoom
	var head [headRoom]byte
	h := append(head[:0], finBinary, byte(length))
	if length >= longLength {
		h[1] = longLength
		h = binary.BigEndian.AppendUint16(h, uint16(length)) //nolint:gosec // no message is longer
	}
	if s.masks {
		h[1] |= isMasked
		_, _ = rand.Read(s.key[:4]) // it never fails
		h = append(h, s.key[:4]...)
		s.mask(b[headRoom:])
	}
	copy(b[headRoom-len(h):], h)
	return b[headRoom-len(h):]
}

// mask hides b, or shows it again, with the key at the beginning of s.key.
func (s *sender) mask(b []byte) {
	for n := 4; n < min(maskBlock, len(b)); n *= 2 {
		copy(s.key[n:], s.key[:n])
	}
	for len(b) > 0 {
		b = b[subtle.XORBytes(b, b, s.key[:min(maskBlock, len(b))]):]
	}
}

// socketBelow finds the socket below a connection; nil where there is none.
func socketBelow(c net.Conn) syscall.RawConn {
	for c != nil {
		if raw, ok := c.(syscall.Conn); ok {
			socket, err := raw.SyscallConn()
			if err != nil {
				return nil
			}
			return socket
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = below.NetConn()
	}
	return nil
}
