package message

import (
	"encoding/binary"
	"math"
)

// appendCBORHead appends the head of an item with its argument, in the shortest form.
func appendCBORHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func (w *writer) closeCBOR(mark int, dict bool, n int) {
	major := byte(cborList)
	if dict {
		major = cborDict
	}
	if n < 24 {
		w.b[mark] = major<<5 | byte(n)
		return
	}
	var room [9]byte
	head := appendCBORHead(room[:0], major, uint64(n))
	copy(w.widen(mark, len(head)), head)
}
