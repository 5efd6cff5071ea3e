package transport

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// wsSource reads WebSocket messages from a client. Gorilla makes the connection; reading is done here because a session that
// does nothing must cost little: this needs no buffer of its own and half of the stack.
//
// Source: RFC 6455, sections 5 and 7.4. What gorilla refuses is refused; a fuzz test compares the two.
type wsSource struct {
	in   *inbound
	text bool
	head [12]byte // of the frame that is being read
	// control answers a ping or close: it queues a frame.
	control func(opcode byte, payload []byte)
}

// errPeerClosed says that the peer closed the WebSocket in order.
var errPeerClosed = errors.New("transport: the peer closed the connection")

// framingError is a fault of the peer's in RFC 6455, below WAMP.
type framingError string

func (e framingError) Error() string { return "transport: websocket: " + string(e) }

const (
	finalBit = 0x80
	rsvBits  = 0x70
	maskBit  = 0x80
	opMask   = 0x0f

	codeContinuation = 0x0
	codeText         = 0x1
	codeBinary       = 0x2
	codeClose        = 0x8
	codePing         = 0x9
	codePong         = 0xa

	maxControl = 125
)

// wsFrame is a frame's header.
type wsFrame struct {
	final bool
	code  byte
	size  uint64
	mask  [4]byte
}

// read gives the next message. A message with more bytes than the limit is a violation that the peer can be told of; faults of
// the framing are answered with a close here.
func (s *wsSource) read(limit int) (*[]byte, error) {
	first, err := s.next(false) // here an idle link waits; it holds no buffer
	if err != nil {
		return nil, s.failed(err)
	}
	buf := buffers.get()
	*buf, err = s.message((*buf)[:0], first, limit)
	if err != nil {
		buffers.put(buf)
		return nil, s.failed(err)
	}
	return buf, nil
}

// more looks for a message in one frame.
func (s *wsSource) more() bool {
	b := s.in.data
	if len(b) < 2 || b[0]&finalBit == 0 || b[0]&opMask >= codeClose {
		return false
	}
	head, size := 2+4, int(b[1]&^maskBit)
	switch size {
	case 126:
		if head += 2; len(b) < head {
			return false
		}
		size = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		return false // it is more than is read at once
	}
	return len(b) >= head+size
}

// failed closes the WebSocket where the fault is in its framing.
func (s *wsSource) failed(err error) error {
	var fault framingError
	if errors.As(err, &fault) {
		s.control(opClose, binary.BigEndian.AppendUint16(nil, closeProtocolError))
	}
	return err
}

// message reads a message's frames, of which f is the first.
func (s *wsSource) message(buf []byte, f wsFrame, limit int) ([]byte, error) {
	for {
		if f.size > uint64(limit-len(buf)) {
			return buf, violation("the message is larger than %d bytes", limit)
		}
		start := len(buf)
		var err error
		if buf, err = s.in.growing(buf, int(f.size)); err != nil {
			return buf, err
		}
		unmask(buf[start:], f.mask)
		if f.final {
			return buf, nil
		}
		if f, err = s.next(true); err != nil {
			return buf, err
		}
	}
}

// next reads the header of the next frame of a message, and answers what comes between.
func (s *wsSource) next(started bool) (wsFrame, error) {
	for {
		f, err := s.header(started)
		if err != nil || f.code < codeClose {
			return f, err
		}
		if err := s.controlFrame(f); err != nil {
			return f, err
		}
	}
}

// accept checks that the frame may come now.
func (s *wsSource) accept(f wsFrame, started bool) error {
	switch f.code {
	case codeClose, codePing, codePong:
		if !f.final || f.size > maxControl {
			return framingError("a control frame is in parts or too long")
		}
	case codeContinuation:
		if !started {
			return framingError("a continuation of nothing")
		}
	case codeText, codeBinary:
		if started {
			return framingError("a message begins within a message")
		}
		if (f.code == codeText) != s.text {
			return violation("the WebSocket message has the wrong type for the serializer")
		}
	default:
		return framingError("an unknown opcode")
	}
	return nil
}

// header reads a frame's header; one that may not come now fails before the rest of it is waited for.
func (s *wsSource) header(started bool) (wsFrame, error) {
	b := s.head[:2]
	if err := s.in.bytes(b); err != nil {
		return wsFrame{}, err
	}
	f := wsFrame{final: b[0]&finalBit != 0, code: b[0] & opMask, size: uint64(b[1] &^ maskBit)}
	if b[0]&rsvBits != 0 || b[1]&maskBit == 0 {
		return f, framingError("a reserved bit is set, or the mask is missing")
	}
	if err := s.accept(f, started); err != nil {
		return f, err
	}
	rest := s.head[:4]
	switch f.size {
	case 126:
		rest = s.head[:2+4]
	case 127:
		rest = s.head[:8+4]
	}
	if err := s.in.bytes(rest); err != nil {
		return f, err
	}
	switch f.size {
	case 126:
		f.size = uint64(binary.BigEndian.Uint16(rest))
	case 127:
		f.size = binary.BigEndian.Uint64(rest)
	}
	copy(f.mask[:], rest[len(rest)-4:])
	return f, nil
}

func (s *wsSource) controlFrame(f wsFrame) error {
	var space [maxControl]byte
	p := space[:f.size]
	if err := s.in.bytes(p); err != nil {
		return err
	}
	unmask(p, f.mask)
	switch f.code {
	case codePing:
		s.control(opPong, p)
	case codeClose:
		if !validClose(p) {
			return framingError("a close without a valid reason")
		}
		s.control(opClose, p[:min(len(p), 2)])
		return errPeerClosed
	}
	return nil
}

// closeProtocolError is the close code for faults of the framing.
const closeProtocolError = 1002

// validClose checks a close frame's code and text.
func validClose(p []byte) bool {
	if len(p) < 2 {
		return true // gorilla takes one byte for no code, too
	}
	code := binary.BigEndian.Uint16(p)
	known := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1013 || code >= 3000 && code <= 4999
	return known && utf8.Valid(p[2:])
}

// unmask undoes the client's masking.
func unmask(p []byte, mask [4]byte) {
	m := uint64(binary.LittleEndian.Uint32(mask[:]))
	m |= m << 32
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^m)
	}
	for i := range p {
		p[i] ^= mask[i&3]
	}
}
