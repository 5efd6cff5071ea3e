package message

import (
	"math"
	"math/big"
	"strings"
)

// Major types of CBOR.
const (
	cborUint = iota
	cborNegative
	cborBinary
	cborText
	cborList
	cborDict
	cborTag
	cborOther
)

const (
	cborIndefinite = 31
	cborBreakByte  = 0xff

	// Tags that turn a binary into an integer.
	tagBignum         = 2
	tagNegativeBignum = 3
)

// cborValue reads the next token; tags are passed over.
//
// Source: RFC 8949.
func (r *reader) cborValue() token {
	major, info := r.cborHead()
	var tag uint64
	for nested := r.depth; major == cborTag && r.err == nil; nested++ {
		if nested >= MaxDepth || info == cborIndefinite {
			r.fail("CBOR tags are nested too deeply or malformed")
			return token{}
		}
		tag = r.cborArgument(info)
		major, info = r.cborHead()
	}
	t := r.cborContent(major, info)
	if t.kind == kindBinary && (tag == tagBignum || tag == tagNegativeBignum) {
		t.tag = uint8(tag)
	}
	return t
}

func (r *reader) cborHead() (major, info byte) {
	head := r.take(1)
	if head == "" {
		r.fail(reasonShort)
		return cborOther, 0
	}
	return head[0] >> 5, head[0] & 31
}

// cborArgument reads the argument that the low bits of an item's first byte announce.
func (r *reader) cborArgument(info byte) uint64 {
	switch {
	case info < 24:
		return uint64(info)
	case info < 28:
		return r.bigEndian(1 << (info - 24))
	}
	r.fail(reasonCBOR)
	return 0
}

const reasonCBOR = "not CBOR"

func (r *reader) cborContent(major, info byte) token {
	switch {
	case r.err != nil:
		return token{}
	case major == cborOther:
		return r.cborSimple(info)
	case info == cborIndefinite:
		return r.cborUntold(major)
	}
	n := r.cborArgument(info)
	switch major {
	case cborUint:
		return token{kind: kindUint, num: n}
	case cborNegative:
		if n > math.MaxInt64 {
			return floatToken(-1 - float64(n))
		}
		return token{kind: kindInt, num: ^n}
	case cborBinary:
		return token{kind: kindBinary, text: r.take(n)}
	case cborText:
		return r.textToken(n)
	case cborList:
		return r.openCounted(kindList, n)
	default:
		return r.openCounted(kindDict, n)
	}
}

// cborUntold reads an item of indefinite length.
func (r *reader) cborUntold(major byte) token {
	switch major {
	case cborBinary:
		return token{kind: kindBinary, text: r.cborChunks(major)}
	case cborText:
		return token{kind: kindText, text: r.cborChunks(major)}
	case cborList:
		return r.open(kindList, untold)
	case cborDict:
		return r.open(kindDict, untold)
	}
	r.fail(reasonCBOR)
	return token{}
}

// cborChunks joins the chunks of a text or binary; each chunk of a text is a text of its own.
func (r *reader) cborChunks(want byte) string {
	var b strings.Builder
	for !r.cborBreak() && r.err == nil {
		major, info := r.cborHead()
		if major != want || info == cborIndefinite {
			r.fail(reasonCBOR)
			return ""
		}
		n := r.cborArgument(info)
		if major == cborText {
			b.WriteString(r.textToken(n).text)
		} else {
			b.WriteString(r.take(n))
		}
	}
	return b.String()
}

// cborBreak passes over a break, where there is one.
func (r *reader) cborBreak() bool {
	if r.i >= len(r.s) {
		r.fail(reasonShort)
		return false
	}
	if r.s[r.i] != cborBreakByte {
		return false
	}
	r.i++
	return true
}

func (r *reader) cborSimple(info byte) token {
	switch info {
	case 20, 21:
		return token{kind: kindBool, num: uint64(info - 20)}
	case 22, 23: // null, undefined
		return token{kind: kindNull}
	case 25:
		return floatToken(halfFloat(uint16(r.bigEndian(2))))
	case 26:
		return floatToken(float64(math.Float32frombits(uint32(r.bigEndian(4)))))
	case 27:
		return token{kind: kindFloat, num: r.bigEndian(8)}
	}
	r.fail(reasonCBOR) // breaks in the wrong place, and simple values that nobody has assigned
	return token{}
}

// halfFloat decodes the 16-bit floats of IEEE 754.
func halfFloat(h uint16) float64 {
	exp, frac := int(h>>10&31), float64(h&0x3ff)
	var v float64
	switch exp {
	case 0:
		v = math.Ldexp(frac, -24)
	case 31:
		v = math.Inf(1)
		if frac != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(1024+frac, exp-25)
	}
	if h&0x8000 != 0 {
		return -v
	}
	return v
}

// bignum gives the number of a tagged binary: an integer where 64 bits hold it, else the nearest float.
func (t token) bignum() token {
	digits := strings.TrimLeft(t.text, "\x00")
	if len(digits) > 8 {
		f, _ := new(big.Float).SetInt(new(big.Int).SetBytes([]byte(firstDigits(digits)))).Float64()
		f = math.Ldexp(f, 8*(len(digits)-len(firstDigits(digits))))
		if t.tag == tagNegativeBignum {
			f = -f
		}
		return floatToken(f)
	}
	var n uint64
	for i := range len(digits) {
		n = n<<8 | uint64(digits[i])
	}
	switch {
	case t.tag == tagBignum:
		return token{kind: kindUint, num: n}
	case n > math.MaxInt64:
		return floatToken(-1 - float64(n))
	}
	return token{kind: kindInt, num: ^n}
}

// firstDigits cuts a number off where a float has long no more precision, so that a bignum of megabytes costs nothing.
func firstDigits(digits string) string {
	return digits[:min(len(digits), 64)]
}
