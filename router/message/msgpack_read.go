package message

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"
)

// msgpackValue reads the next token.
//
// Source: https://github.com/msgpack/msgpack/blob/master/spec.md
func (r *reader) msgpackValue() token {
	head := r.take(1)
	if head == "" {
		r.fail(reasonShort)
		return token{}
	}
	switch c := head[0]; {
	case c <= 0x7f:
		return token{kind: kindUint, num: uint64(c)}
	case c <= 0x8f:
		return r.openCounted(kindDict, uint64(c&0x0f))
	case c <= 0x9f:
		return r.openCounted(kindList, uint64(c&0x0f))
	case c <= 0xbf:
		return r.textToken(uint64(c & 0x1f))
	case c >= 0xe0:
		return token{kind: kindInt, num: uint64(int64(int8(c)))}
	default:
		return r.msgpackWide(c)
	}
}

func (r *reader) msgpackWide(c byte) token {
	switch {
	case c == 0xc0:
		return token{kind: kindNull}
	case c == 0xc2 || c == 0xc3:
		return token{kind: kindBool, num: uint64(c & 1)}
	case c >= 0xc4 && c <= 0xc6:
		return token{kind: kindBinary, text: r.take(r.bigEndian(1 << (c - 0xc4)))}
	case c >= 0xc7 && c <= 0xc9:
		return r.msgpackExt(r.bigEndian(1 << (c - 0xc7)))
	case c == 0xca:
		return floatToken(float64(math.Float32frombits(uint32(r.bigEndian(4)))))
	case c == 0xcb:
		return token{kind: kindFloat, num: r.bigEndian(8)}
	case c >= 0xcc && c <= 0xcf:
		return token{kind: kindUint, num: r.bigEndian(1 << (c - 0xcc))}
	case c >= 0xd0 && c <= 0xd3:
		return r.msgpackSigned(1 << (c - 0xd0))
	case c >= 0xd4 && c <= 0xd8:
		return r.msgpackExt(1 << (c - 0xd4))
	case c >= 0xd9 && c <= 0xdb:
		return r.textToken(r.bigEndian(1 << (c - 0xd9)))
	case c == 0xdc || c == 0xdd:
		return r.openCounted(kindList, r.bigEndian(2<<(c-0xdc)))
	case c == 0xde || c == 0xdf:
		return r.openCounted(kindDict, r.bigEndian(2<<(c-0xde)))
	}
	r.fail("not MessagePack") // 0xc1
	return token{}
}

// msgpackSigned reads a signed integer of that many bytes.
func (r *reader) msgpackSigned(size uint64) token {
	unused := 64 - 8*size
	n := int64(r.bigEndian(size)<<unused) >> unused
	if n >= 0 {
		return token{kind: kindUint, num: uint64(n)}
	}
	return token{kind: kindInt, num: uint64(n)}
}

func (r *reader) msgpackExt(size uint64) token {
	tag, text := uint8(r.bigEndian(1)), r.take(size)
	if tag == extUndefined && text == undefined {
		return token{kind: kindNull}
	}
	return token{kind: kindExt, tag: tag, text: text}
}

// textToken reads a text of that many bytes.
func (r *reader) textToken(size uint64) token {
	text := r.take(size)
	if !utf8.ValidString(text) {
		r.fail(reasonUTF8)
		return token{}
	}
	return token{kind: kindText, text: text}
}

// MessagePack extensions that have a counterpart in other serializers.
const (
	extUndefined = 0 // how msgpack5 and msgpackr, libraries of JavaScript clients, encode undefined
	extTimestamp = 0xff

	undefined        = "\x00"
	msgpackUndefined = "\xd4\x00" + undefined
)

// plain gives what all serializers have in place of an extension.
func (t token) plain() token {
	if t.tag == extTimestamp {
		if at, ok := timestamp([]byte(t.text)); ok {
			return token{kind: kindText, text: at.Format(time.RFC3339Nano)}
		}
	}
	return token{kind: kindBinary, text: t.text}
}

// timestamp reads MessagePack's timestamps of 4, 8 and 12 bytes.
func timestamp(b []byte) (time.Time, bool) {
	var sec int64
	var nsec uint64
	switch len(b) {
	case 4:
		sec = int64(binary.BigEndian.Uint32(b))
	case 8:
		both := binary.BigEndian.Uint64(b)
		sec, nsec = int64(both&(1<<34-1)), both>>34
	case 12:
		sec, nsec = int64(binary.BigEndian.Uint64(b[4:])), uint64(binary.BigEndian.Uint32(b))
	default:
		return time.Time{}, false
	}
	at := time.Unix(sec, int64(nsec)).UTC()
	return at, nsec < 1e9 && at.Year() >= 0 && at.Year() <= 9999 && at.Unix() == sec
}
