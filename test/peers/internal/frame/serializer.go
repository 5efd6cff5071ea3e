package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/fxamacker/cbor/v2"
	"github.com/vmihailenco/msgpack/v5"
)

// Serializer is one of WAMP's.
type Serializer uint8

// The serializers.
const (
	JSON Serializer = iota
	MessagePack
	CBOR
)

// Serializers is how many there are.
const Serializers = 3

func (s Serializer) String() string { return [...]string{"JSON", "MessagePack", "CBOR"}[s] }

// Subprotocol is the WebSocket subprotocol that asks for the serializer.
func (s Serializer) Subprotocol() string {
	return [...]string{"wamp.2.json", "wamp.2.msgpack", "wamp.2.cbor"}[s]
}

// FromSubprotocol finds the serializer that a subprotocol asks for.
func FromSubprotocol(name string) (Serializer, bool) {
	for s := range Serializer(Serializers) {
		if s.Subprotocol() == name {
			return s, true
		}
	}
	return 0, false
}

// Op is the opcode of the serializer's frames.
func (s Serializer) Op() byte {
	if s == JSON {
		return OpText
	}
	return OpBinary
}

// Marshal encodes any message; it is for those that are not sent often.
func (s Serializer) Marshal(message ...any) ([]byte, error) {
	switch s {
	case JSON:
		return json.Marshal(message)
	case MessagePack:
		var b bytes.Buffer
		enc := msgpack.NewEncoder(&b)
		enc.UseCompactInts(true)
		err := enc.Encode(message)
		return b.Bytes(), err
	default:
		return cbor.Marshal(message)
	}
}

// Unmarshal decodes any message; it is for those that are not received often.
func (s Serializer) Unmarshal(b []byte) (message []any, err error) {
	switch s {
	case JSON:
		err = json.Unmarshal(b, &message)
	case MessagePack:
		err = msgpack.Unmarshal(b, &message)
	default:
		err = cbor.Unmarshal(b, &message)
	}
	return message, err
}

// appendUint appends a non-negative integer as the serializer writes it.
func (s Serializer) appendUint(dst []byte, n uint64) []byte {
	switch s {
	case JSON:
		return strconv.AppendUint(dst, n, 10)
	case MessagePack:
		return appendSized(dst, n, 0x80, 0x00, 0xcc)
	default:
		return appendSized(dst, n, 24, 0x00, 24)
	}
}

// appendSized is what MessagePack and CBOR share: below a bound the integer is its own tag, above it a tag for 1, 2, 4 or
// 8 bytes stands before it.
func appendSized(dst []byte, n, bound uint64, small, tag byte) []byte {
	switch {
	case n < bound:
		return append(dst, small|byte(n))
	case n < 1<<8:
		return append(dst, tag, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, tag+1), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, tag+2), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, tag+3), n)
	}
}

// ErrHead is returned for what does not begin like a WAMP message.
var ErrHead = errors.New("wamp: not the head of a message")

// Head is the type code of a message and the integers that follow it, two at most.
type Head struct {
	Code uint64
	IDs  [2]uint64
}

// ParseHead reads the head of a message and no more.
func (s Serializer) ParseHead(b []byte) (h Head, err error) {
	rest, ok := s.skipArray(b)
	if ok {
		h.Code, rest, ok = s.uint(rest)
	}
	if !ok {
		return h, fmt.Errorf("%w: %.40q", ErrHead, b)
	}
	for i := range h.IDs {
		if h.IDs[i], rest, ok = s.uint(rest); !ok {
			break
		}
	}
	return h, nil
}

func (s Serializer) skipArray(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	switch s {
	case JSON:
		ok = b[0] == '['
	case MessagePack:
		ok = b[0]&0xf0 == 0x90
	default:
		ok = b[0] >= 0x80 && b[0] <= 0x97
	}
	return b[1:], ok
}

// uint reads an integer that is not negative, with what separates it from the next value.
func (s Serializer) uint(b []byte) (n uint64, rest []byte, ok bool) {
	switch {
	case len(b) == 0:
		return 0, nil, false
	case s == JSON:
		return decimal(b)
	case s == MessagePack && b[0] < 0x80, s == CBOR && b[0] < 24:
		return uint64(b[0]), b[1:], true
	case s == MessagePack:
		return sized(b, 0xcc)
	default:
		return sized(b, 24)
	}
}

func decimal(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' && i < 19 {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	if i == 0 || i == len(b) || b[i] != ',' && b[i] != ']' {
		return 0, nil, false
	}
	return n, b[i+1:], true
}

func sized(b []byte, tag byte) (n uint64, rest []byte, ok bool) {
	if b[0] < tag || b[0] > tag+3 {
		return 0, nil, false
	}
	width := 1 << (b[0] - tag)
	if len(b) < 1+width {
		return 0, nil, false
	}
	for _, c := range b[1 : 1+width] {
		n = n<<8 | uint64(c)
	}
	return n, b[1+width:], true
}
