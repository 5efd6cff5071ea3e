package mux

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// kind says what a frame is about.
type kind uint8

const (
	kindOpen   kind = 1 + iota // a stream begins
	kindData                   // bytes of a stream
	kindEnd                    // no more bytes come in this direction
	kindReset                  // the stream is broken off, in both
	kindCredit                 // so many more bytes of a stream may be sent
	kindMark                   // say when this has come
	kindSeen                   // it has
	kindBye                    // the session is over
)

const (
	headSize  = 8
	valueSize = 8
	// message is the most that one WebSocket message carries: with its head, the plaintext of one TLS record.
	message = 16<<10 - 14
	// maxData is the most that one frame carries: with a mark, it fills a message.
	maxData = message - headSize - (headSize + valueSize)
)

// head is the first 8 bytes of a frame: kind, length in 3 bytes, stream in 4. What follows is data, or a number of 8 bytes
// where the kind has one.
type head struct {
	kind   kind
	length int
	stream uint32
}

var errProtocol = errors.New("mux: the other side breaks the protocol")

func broke(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errProtocol, fmt.Sprintf(format, args...))
}

// parseHead reads a head and refuses one that no frame has.
func parseHead(b []byte) (head, error) {
	h := head{kind(b[0]), int(b[1])<<16 | int(b[2])<<8 | int(b[3]), binary.BigEndian.Uint32(b[4:headSize])}
	least, most := 0, 0
	switch h.kind {
	case kindOpen, kindEnd, kindReset, kindBye:
	case kindData:
		least, most = 1, maxData
	case kindCredit, kindMark, kindSeen:
		least, most = valueSize, valueSize
	default:
		return h, broke("a frame of kind %d", h.kind)
	}
	if h.length < least || h.length > most {
		return h, broke("a frame of kind %d with %d bytes", h.kind, h.length)
	}
	if ofSession := h.kind == kindMark || h.kind == kindSeen || h.kind == kindBye; ofSession != (h.stream == 0) {
		return h, broke("a frame of kind %d for stream %d", h.kind, h.stream)
	}
	return h, nil
}

func appendHead(b []byte, k kind, length int, stream uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(k), byte(length>>16), byte(length>>8), byte(length)), stream)
}

// frame is one that has no data.
type frame struct {
	kind   kind
	stream uint32
	value  uint64
}

func (f frame) append(b []byte) []byte {
	switch f.kind {
	case kindCredit, kindMark, kindSeen:
		return binary.BigEndian.AppendUint64(appendHead(b, f.kind, valueSize, f.stream), f.value)
	default:
		return appendHead(b, f.kind, 0, f.stream)
	}
}
