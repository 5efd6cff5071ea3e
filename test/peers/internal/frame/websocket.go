// Package frame reads and writes WebSocket frames and the heads of WAMP messages for a load generator.
//
// It promises that a message which is sent often is encoded once and only its request id and its stamp are written
// again; that what is received is not decoded beyond its head; and that a peer which breaks the framing is an error,
// never a panic.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The WebSocket opcodes that routers use.
const (
	OpText   byte = 1
	OpBinary byte = 2
	OpClose  byte = 8
	OpPing   byte = 9
	OpPong   byte = 10
)

// MaxPayload is the largest frame that is read: nothing that a benchmark sends comes near it.
const MaxPayload = 1 << 20

// ErrFrame is returned for what is not a frame of a server that this generator understands.
var ErrFrame = errors.New("websocket: unexpected frame")

// mask is the masking key of every frame that is sent. Servers must unmask whatever the key is, so a constant costs them
// what a random one does.
var mask = [4]byte{0x5a, 0xc3, 0x3c, 0xa5}

const headerRoom = 14 // the longest header of a client's frame

// AppendClient appends a masked frame.
func AppendClient(dst []byte, op byte, payload []byte) []byte {
	dst = appendHeader(dst, op, len(payload), 0x80)
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	applyMask(dst[start:])
	return dst
}

// AppendServer appends an unmasked frame.
func AppendServer(dst []byte, op byte, payload []byte) []byte {
	return append(appendHeader(dst, op, len(payload), 0), payload...)
}

func appendHeader(dst []byte, op byte, n int, masked byte) []byte {
	dst = append(dst, 0x80|op)
	switch {
	case n < 126:
		return append(dst, masked|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, masked|126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, masked|127), uint64(n))
	}
}

func applyMask(b []byte) {
	word := uint64(binary.LittleEndian.Uint32(mask[:]))
	word |= word << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}

// Scanner takes a server's frames from a stream, many per read.
type Scanner struct {
	r          io.Reader
	buf        []byte
	start, end int
}

// NewScanner reads from r through a buffer of size bytes, which grows where one frame needs more.
func NewScanner(r io.Reader, size int) *Scanner {
	return &Scanner{r: r, buf: make([]byte, max(size, headerRoom))}
}

// Next gives the next frame, reading where none is complete. The payload is valid until the next call.
func (s *Scanner) Next() (op byte, payload []byte, err error) {
	for {
		op, payload, ok, err := s.Buffered()
		if ok || err != nil {
			return op, payload, err
		}
		if err := s.Fill(); err != nil {
			return 0, nil, err
		}
	}
}

// Buffered gives the next frame if it was read already, and reports whether it was.
func (s *Scanner) Buffered() (op byte, payload []byte, ok bool, err error) {
	b := s.buf[s.start:s.end]
	header, n, err := parseHeader(b)
	if err != nil || header == 0 || len(b) < header+n {
		return 0, nil, false, err
	}
	s.start += header + n
	return b[0] & 0x0f, b[header : header+n], true, nil
}

// Fill reads once. A frame that Buffered gave before is no longer valid.
func (s *Scanner) Fill() error {
	s.makeRoom()
	n, err := s.r.Read(s.buf[s.end:])
	s.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

func (s *Scanner) makeRoom() {
	s.end = copy(s.buf, s.buf[s.start:s.end])
	s.start = 0
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
}

// parseHeader gives the length of the header and of the payload; a header of 0 is one that is not complete.
func parseHeader(b []byte) (header, n int, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	if b[0]&0xf0 != 0x80 || b[1]&0x80 != 0 {
		return 0, 0, fmt.Errorf("%w: first bytes %x: fragmented, compressed or masked", ErrFrame, b[:2])
	}
	length := uint64(b[1])
	switch header = 2; {
	case length == 126:
		if header = 4; len(b) < header {
			return 0, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case length == 127:
		if header = 10; len(b) < header {
			return 0, 0, nil
		}
		length = binary.BigEndian.Uint64(b[2:])
	}
	if length > MaxPayload {
		return 0, 0, fmt.Errorf("%w: %d bytes", ErrFrame, length)
	}
	return header, int(length), nil
}
