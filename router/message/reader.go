package message

import "math"

// MaxDepth is how deep lists and dictionaries may be nested, the message itself being the first list.
const MaxDepth = 64

// kind is what a value is, the same in all serializers.
type kind uint8

const (
	kindBad kind = iota
	kindNull
	kindBool
	kindUint  // an integer that is not negative
	kindInt   // a negative integer
	kindFloat // also integers beyond 64 bits
	kindText
	kindBinary
	kindExt // a MessagePack extension
	kindList
	kindDict
)

// token is a scalar, or the opening of a list or dictionary.
type token struct {
	kind kind
	tag  uint8  // kindExt: its type; kindBinary: tagged as a CBOR bignum; kindText: see dented
	num  uint64 // kindUint; kindInt as two's complement; kindFloat as its bits; kindBool: 1 is true; kindList, kindDict: their length
	text string // kindText, kindBinary, kindExt
}

// dented marks a text that had a lone surrogate, which is now U+FFFD.
const dented = 1

func floatToken(v float64) token { return token{kind: kindFloat, num: math.Float64bits(v)} }

func (t token) float() float64 { return math.Float64frombits(t.num) }

// seq is where a reader is in an open list or dictionary.
type seq struct {
	left  uint64 // elements or entries to come; untold where the serializer does not say
	dict  bool
	begun bool
	base  int                 // the first of its keys in reader.keys
	seen  map[string]struct{} // its keys, where they are too many for reader.keys
}

const untold = 1<<64 - 1

// reader walks one encoded value. Its first error sticks: from then on every method gives nothing, and more gives false.
// Who lies here is any client, so lengths are compared with what is left before they are believed.
type reader struct {
	f      Format
	s      string
	i      int
	depth  int
	err    error
	weight int // of what was decoded, see charge
	keyCnt int
	keys   [32]string // keys of the dictionaries that are open
}

func (r *reader) fail(reason string) {
	if r.err == nil {
		r.err = &ProtocolError{Reason: reason}
	}
}

// value reads the next scalar, or opens the next list or dictionary, which is then read with more, key and value.
func (r *reader) value() token {
	if r.err != nil {
		return token{}
	}
	switch r.f {
	case JSON:
		return r.jsonValue()
	case MsgPack:
		return r.msgpackValue()
	default:
		return r.cborValue()
	}
}

// more reports whether q has another element, and closes q where it has none.
func (r *reader) more(q *seq) bool {
	switch {
	case r.err != nil:
		return false
	case r.f == JSON:
		if r.jsonMore(q) {
			return r.err == nil
		}
	case q.left == untold:
		if !r.cborBreak() {
			return r.err == nil
		}
	case q.left > 0:
		q.left--
		return true
	}
	r.close(q)
	return false
}

// open enters a list or dictionary of n elements or entries.
func (r *reader) open(k kind, n uint64) token {
	r.depth++
	if r.depth > MaxDepth {
		r.fail("nested too deeply")
		return token{}
	}
	return token{kind: k, num: n}
}

// in gives the place at the begin of the list or dictionary that t has opened.
func (r *reader) in(t token) seq {
	return seq{left: t.num, dict: t.kind == kindDict, base: r.keyCnt}
}

// openCounted enters a list or dictionary whose header claims n elements or entries.
func (r *reader) openCounted(k kind, n uint64) token {
	most := uint64(len(r.s) - r.i)
	if k == kindDict {
		most /= 2
	}
	if n > most {
		r.fail(reasonShort)
		return token{}
	}
	return r.open(k, n)
}

func (r *reader) close(q *seq) {
	r.depth--
	r.keyCnt = q.base
}

// key reads the key of a dictionary's next entry. It is a text, and none that the dictionary had before.
func (r *reader) key(q *seq) string {
	var key string
	if r.f == JSON {
		key = r.jsonKey()
	} else if t := r.value(); t.kind == kindText {
		key = t.text
	} else {
		r.fail("a dictionary has a key that is not a text")
	}
	if r.err != nil {
		return ""
	}
	if r.known(q, key) {
		r.fail("a dictionary has a key twice")
	}
	return key
}

// known reports whether q had that key, and remembers it.
func (r *reader) known(q *seq, key string) bool {
	if q.seen != nil {
		before := len(q.seen)
		q.seen[key] = struct{}{}
		return len(q.seen) == before
	}
	for _, k := range r.keys[q.base:r.keyCnt] {
		if k == key {
			return true
		}
	}
	if r.keyCnt < len(r.keys) {
		r.keys[r.keyCnt] = key
		r.keyCnt++
		return false
	}
	q.seen = make(map[string]struct{}, 2*len(r.keys))
	for _, k := range r.keys[q.base:r.keyCnt] {
		q.seen[k] = struct{}{}
	}
	q.seen[key] = struct{}{}
	return false
}

// skip passes over one value and checks it on the way.
func (r *reader) skip() {
	if r.err != nil {
		return
	}
	if r.f == JSON && r.jsonSkipScalar() {
		return
	}
	r.skipRest(r.value())
}

// skipRest passes over what is left of the value that t begins.
func (r *reader) skipRest(t token) {
	if t.kind != kindList && t.kind != kindDict {
		return
	}
	q := r.in(t)
	for r.more(&q) {
		if q.dict {
			r.key(&q)
		}
		r.skip()
	}
}

// end checks that nothing follows.
func (r *reader) end() {
	if r.f == JSON {
		r.space()
	}
	if r.err == nil && r.i != len(r.s) {
		r.fail(reasonTrailing)
	}
}

// take gives the next n bytes.
func (r *reader) take(n uint64) string {
	if r.err != nil {
		return ""
	}
	if n > uint64(len(r.s)-r.i) {
		r.fail(reasonShort)
		return ""
	}
	part := r.s[r.i : r.i+int(n)]
	r.i += int(n)
	return part
}

// bigEndian gives the next n bytes as a number; n is at most 8.
func (r *reader) bigEndian(n uint64) uint64 {
	var v uint64
	part := r.take(n)
	for i := range len(part) {
		v = v<<8 | uint64(part[i])
	}
	return v
}

const (
	reasonShort = "the message ends too early"
	reasonUTF8  = "a text is not UTF-8"
	reasonJSON  = "not JSON"

	reasonTrailing = "bytes follow the message"
)
