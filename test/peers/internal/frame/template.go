package frame

import (
	"bytes"
	"fmt"
	"strings"
)

// PayloadSize is the length of the text that every event, call and result carries as its only argument.
const PayloadSize = 128

// marker begins every payload, so that it is found in whatever a router puts around it.
const marker = "@@bench"

// Stamp is what a payload says: who sent it, as the how manyth, and when.
type Stamp struct {
	Sender uint8
	Seq    uint32
	Nanos  uint64 // since the generator's start
}

const (
	senderAt = len(marker)
	seqAt    = senderAt + 2
	nanosAt  = seqAt + 8
	stampEnd = nanosAt + 16
)

// blank is a payload with a stamp of zeros.
var blank = marker + strings.Repeat("0", stampEnd-len(marker)) + strings.Repeat("x", PayloadSize-stampEnd)

// Template is a message whose request id and stamp change from one use to the next.
type Template struct {
	s             Serializer
	before, after []byte
	stampAt       int // in after; -1 where there is no payload
}

// NewTemplate encodes [code, id, rest...] but for the id. A rest that is Payload is the argument list with the payload.
func NewTemplate(s Serializer, code uint64, rest ...any) (*Template, error) {
	t := &Template{s: s}
	for i, v := range rest {
		if v == Payload {
			rest[i] = []any{blank}
		}
	}
	whole, err := s.Marshal(append([]any{code, 0}, rest...)...)
	if err != nil {
		return nil, fmt.Errorf("template of message %d: %w", code, err)
	}
	zero := s.appendUint(nil, 0)
	at := 1 + len(s.appendUint(nil, code)) // after the array's head; each id starts there
	if s == JSON {
		at++ // the comma
	}
	t.before, t.after = whole[:at], whole[at+len(zero):]
	t.stampAt = bytes.Index(t.after, []byte(marker))
	return t, nil
}

// payload is a type of its own so that no text can be taken for it.
type payload struct{}

// Payload stands for the argument list with the stamped payload in NewTemplate.
var Payload any = payload{}

// Append appends the message as a client's frame, made with the given id and stamp.
func (t *Template) Append(dst []byte, id uint64, stamp Stamp) []byte {
	var scratch [20]byte
	idBytes := t.s.appendUint(scratch[:0], id)
	dst = appendHeader(dst, t.s.Op(), len(t.before)+len(idBytes)+len(t.after), 0x80)
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(append(append(dst, t.before...), idBytes...), t.after...)
	if t.stampAt >= 0 {
		writeStamp(dst[start+len(t.before)+len(idBytes)+t.stampAt:], stamp)
	}
	applyMask(dst[start:])
	return dst
}

// AppendServer appends the message as a server's frame, made with the given id and the text of a payload.
func (t *Template) AppendServer(dst []byte, id uint64, payload []byte) []byte {
	var scratch [20]byte
	idBytes := t.s.appendUint(scratch[:0], id)
	dst = appendHeader(dst, t.s.Op(), len(t.before)+len(idBytes)+len(t.after), 0)
	dst = append(append(append(dst, t.before...), idBytes...), t.after...)
	copy(dst[len(dst)-len(t.after)+t.stampAt:], payload)
	return dst
}

func writeStamp(b []byte, s Stamp) {
	putHex(b[senderAt:seqAt], uint64(s.Sender))
	putHex(b[seqAt:nanosAt], uint64(s.Seq))
	putHex(b[nanosAt:stampEnd], s.Nanos)
}

// tail is how many bytes follow the payload's text where the payload ends the message.
func (s Serializer) tail() int {
	if s == JSON {
		return len(`"]]`)
	}
	return 0
}

// FindPayload gives the text of the payload in a message, as it is on the wire.
func (s Serializer) FindPayload(message []byte) ([]byte, bool) {
	at := len(message) - s.tail() - PayloadSize
	if at < 0 || string(message[at:at+len(marker)]) != marker {
		at = bytes.Index(message, []byte(marker))
	}
	if at < 0 || at+PayloadSize > len(message) {
		return nil, false
	}
	return message[at : at+PayloadSize], true
}

// ReadStamp reads the stamp of a message's payload.
func (s Serializer) ReadStamp(message []byte) (Stamp, bool) {
	b, ok := s.FindPayload(message)
	if !ok {
		return Stamp{}, false
	}
	sender, ok1 := hex(b[senderAt:seqAt])
	seq, ok2 := hex(b[seqAt:nanosAt])
	nanos, ok3 := hex(b[nanosAt:stampEnd])
	return Stamp{uint8(sender), uint32(seq), nanos}, ok1 && ok2 && ok3
}

const digits = "0123456789abcdef"

func putHex(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = digits[n&15]
		n >>= 4
	}
}

func hex(b []byte) (n uint64, ok bool) {
	for _, c := range b {
		d := c - '0'
		if c >= 'a' {
			d = c - 'a' + 10
		}
		if d > 15 {
			return 0, false
		}
		n = n<<4 | uint64(d)
	}
	return n, true
}

// Around gives the bytes of a message before and after the payload's text.
func Around(s Serializer, message ...any) (head, tail []byte, err error) {
	whole, err := s.Marshal(append(message, []any{blank})...)
	if err != nil {
		return nil, nil, fmt.Errorf("message around a payload: %w", err)
	}
	at := bytes.Index(whole, []byte(marker))
	return whole[:at:at], whole[at+PayloadSize:], nil
}

// AppendHead appends a message that is nothing but a code and two ids.
func AppendHead(dst []byte, s Serializer, code, first, second uint64) []byte {
	switch s {
	case JSON:
		dst = append(dst, '[')
	case MessagePack:
		dst = append(dst, 0x93)
	default:
		dst = append(dst, 0x83)
	}
	for i, n := range [...]uint64{code, first, second} {
		if i > 0 && s == JSON {
			dst = append(dst, ',')
		}
		dst = s.appendUint(dst, n)
	}
	if s == JSON {
		dst = append(dst, ']')
	}
	return dst
}
