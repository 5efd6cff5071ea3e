package message

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"
)

var (
	errFormat  = errors.New("message: no such serializer")
	errTooLong = errors.New("message: too long")
	errUTF8    = errors.New("message: a text is not UTF-8")
	errDepth   = errors.New("message: nested too deeply")
)

// writer appends encoded values. Its first error sticks.
type writer struct {
	f     Format
	comma bool // JSON: a value stands before the next one
	b     []byte
	depth int
	err   error
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// next prepares for a value.
func (w *writer) next() {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = w.f == JSON
}

// open begins a list or dictionary; the mark is for close.
func (w *writer) open(dict bool) (mark int) {
	w.next()
	w.comma = false
	w.depth++
	if w.depth > MaxDepth {
		w.fail(errDepth)
	}
	mark = len(w.b)
	switch {
	case w.f != JSON:
		w.b = append(w.b, 0) // close knows what belongs here
	case dict:
		w.b = append(w.b, '{')
	default:
		w.b = append(w.b, '[')
	}
	return mark
}

// close ends a list of n elements or a dictionary of n entries.
func (w *writer) close(mark int, dict bool, n int) {
	w.depth--
	switch {
	case w.f == MsgPack:
		w.closeMsgpack(mark, dict, n)
	case w.f == CBOR:
		w.closeCBOR(mark, dict, n)
	case dict:
		w.b = append(w.b, '}')
	default:
		w.b = append(w.b, ']')
	}
	w.comma = w.f == JSON
}

// widen puts a header of n bytes in the place of the one at mark.
func (w *writer) widen(mark, n int) []byte {
	var room [8]byte
	w.b = append(w.b, room[:n-1]...)
	copy(w.b[mark+n:], w.b[mark+1:])
	return w.b[mark : mark+n]
}

// key begins an entry of a dictionary.
func (w *writer) key(key string) {
	w.text(key)
	if w.f == JSON {
		w.b = append(w.b, ':')
		w.comma = false
	}
}

func (w *writer) null() {
	w.next()
	switch w.f {
	case JSON:
		w.b = append(w.b, "null"...)
	case MsgPack:
		w.b = append(w.b, 0xc0)
	default:
		w.b = append(w.b, 0xf6)
	}
}

func (w *writer) bool(v bool) {
	w.next()
	switch {
	case w.f == MsgPack && v:
		w.b = append(w.b, 0xc3)
	case w.f == MsgPack:
		w.b = append(w.b, 0xc2)
	case w.f == CBOR && v:
		w.b = append(w.b, 0xf5)
	case w.f == CBOR:
		w.b = append(w.b, 0xf4)
	case v:
		w.b = append(w.b, "true"...)
	default:
		w.b = append(w.b, "false"...)
	}
}

func (w *writer) uint(n uint64) {
	w.next()
	switch w.f {
	case JSON:
		w.b = appendDecimal(w.b, n)
	case MsgPack:
		w.b = appendMsgpackUint(w.b, n)
	default:
		w.b = appendCBORHead(w.b, cborUint, n)
	}
}

func (w *writer) id(n ID) { w.uint(uint64(n)) }

func (w *writer) int(n int64) {
	if n >= 0 {
		w.uint(uint64(n))
		return
	}
	w.next()
	switch w.f {
	case JSON:
		w.b = appendDecimal(append(w.b, '-'), -uint64(n))
	case MsgPack:
		w.b = appendMsgpackNegative(w.b, n)
	default:
		w.b = appendCBORHead(w.b, cborNegative, ^uint64(n))
	}
}

func (w *writer) float(v float64) {
	if w.f == JSON {
		w.jsonFloat(v)
		return
	}
	head := byte(0xcb)
	if w.f == CBOR {
		head = 0xfb
	}
	w.next()
	w.b = binary.BigEndian.AppendUint64(append(w.b, head), math.Float64bits(v))
}

func (w *writer) text(s string) {
	if w.f == JSON {
		w.jsonText(s)
		return
	}
	if !utf8.ValidString(s) {
		w.fail(errUTF8)
		return
	}
	w.next()
	if w.f == MsgPack {
		w.b = w.appendMsgpackHead(msgpackText, len(s))
	} else {
		w.b = appendCBORHead(w.b, cborText, uint64(len(s)))
	}
	w.b = append(w.b, s...)
}

func (w *writer) binary(s string) {
	switch w.f {
	case JSON:
		w.jsonBinary(s)
		return
	case MsgPack:
		w.next()
		w.b = w.appendMsgpackHead(msgpackBinary, len(s))
	default:
		w.next()
		w.b = appendCBORHead(w.b, cborBinary, uint64(len(s)))
	}
	w.b = append(w.b, s...)
}

// raw appends a value that is encoded already.
func (w *writer) raw(s string) {
	w.next()
	w.b = append(w.b, s...)
}
