package message

import (
	"encoding/binary"
	"math"
)

// msgpackHeads are the first bytes for lengths of 8, 16 and 32 bits; 0 where there is none.
type msgpackHeads struct{ fix, fixMax, h8, h16, h32 byte }

// Heads of MessagePack. A binary has no short form.
var (
	msgpackText   = msgpackHeads{0xa0, 31, 0xd9, 0xda, 0xdb}
	msgpackBinary = msgpackHeads{0, 0, 0xc4, 0xc5, 0xc6}
	msgpackList   = msgpackHeads{0x90, 15, 0, 0xdc, 0xdd}
	msgpackDict   = msgpackHeads{0x80, 15, 0, 0xde, 0xdf}
)

func (w *writer) appendMsgpackHead(h msgpackHeads, n int) []byte {
	switch {
	case h.fix != 0 && n <= int(h.fixMax):
		return append(w.b, h.fix|byte(n))
	case h.h8 != 0 && n <= math.MaxUint8:
		return append(w.b, h.h8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(w.b, h.h16), uint16(n))
	case uint64(n) > math.MaxUint32:
		w.fail(errTooLong)
	}
	return binary.BigEndian.AppendUint32(append(w.b, h.h32), uint32(n))
}

func (w *writer) closeMsgpack(mark int, dict bool, n int) {
	h := msgpackList
	if dict {
		h = msgpackDict
	}
	switch {
	case n <= int(h.fixMax):
		w.b[mark] = h.fix | byte(n)
	case n <= math.MaxUint16:
		head := w.widen(mark, 3)
		head[0] = h.h16
		binary.BigEndian.PutUint16(head[1:], uint16(n))
	case uint64(n) > math.MaxUint32:
		w.fail(errTooLong)
	default:
		head := w.widen(mark, 5)
		head[0] = h.h32
		binary.BigEndian.PutUint32(head[1:], uint32(n))
	}
}

func appendMsgpackUint(b []byte, n uint64) []byte {
	switch {
	case n <= 0x7f:
		return append(b, byte(n))
	case n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), n)
}

func appendMsgpackNegative(b []byte, n int64) []byte {
	switch {
	case n >= -32:
		return append(b, byte(n))
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
}
