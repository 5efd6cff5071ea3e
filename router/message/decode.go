package message

import "math"

// Decode decodes one message. It copies frame once; frame may be used again, and the texts and the payload of the message keep
// the copy in memory. Whatever is not a message as the specification has it is a *ProtocolError; options that the specification
// does not have are ignored.
//
// A null in the place of a dictionary, of the arguments or of an option is what some clients send for an absent one, and is read
// so. Integers in the head of a message may be MessagePack or CBOR floats without a fraction, as JavaScript libraries encode
// numbers of more than 32 bits; in JSON they must be written as integers.
func Decode(f Format, frame []byte) (Message, error) {
	if !f.Valid() {
		return nil, errFormat
	}
	var h head
	h.f, h.s = f, string(frame) // a literal would be made elsewhere, and is large to copy
	t := h.value()
	if t.kind != kindList {
		h.fail("a message is a list")
		return nil, h.err
	}
	h.seq = h.in(t)
	h.code = h.readCode()
	m := h.message()
	h.close()
	h.end()
	if h.err != nil {
		return nil, h.err
	}
	return m, nil
}

// head reads the elements of a message one by one.
type head struct {
	reader
	seq    seq
	code   Code
	closed bool
}

// reject fails with what is wrong with one element.
func (h *head) reject(what, rule string) {
	if h.err != nil {
		return
	}
	text := what + " " + rule
	if name := h.code.String(); name != "" {
		text = name + ": " + text
	}
	h.fail(text)
}

// next goes to the next element, which must exist.
func (h *head) next(what string) {
	if !h.optional() {
		h.reject(what, "is missing")
	}
}

// optional goes to the next element, if it exists.
func (h *head) optional() bool {
	if h.closed {
		return false
	}
	h.closed = !h.more(&h.seq)
	return !h.closed
}

// close checks that there is no further element.
func (h *head) close() {
	if h.optional() {
		h.reject("the message", "has too many elements")
	}
}

func (h *head) readCode() Code {
	h.next("the message code")
	n, ok := h.integer()
	if !ok || n > uint64(len(codeNames)) || Code(n).String() == "" {
		h.reject("the message code", "is unknown")
		return 0
	}
	return Code(n)
}

// integer reads an integer that is not negative; ok is false for anything else.
func (r *reader) integer() (n uint64, ok bool) {
	t := r.value()
	switch {
	case t.kind == kindUint:
		return t.num, true
	case t.kind == kindFloat && r.f != JSON:
		return wholeFloat(t.float())
	}
	return 0, false
}

func wholeFloat(v float64) (n uint64, ok bool) {
	if v < 0 || v > float64(MaxID) || v != math.Trunc(v) {
		return 0, false
	}
	return uint64(v), true
}

const ruleID = "is not an integer from 1 to 9007199254740992"

func (h *head) idValue(what string) ID {
	n, ok := h.integer()
	if !ok || n == 0 || ID(n) > MaxID {
		h.reject(what, ruleID)
		return 0
	}
	return ID(n)
}

func (h *head) id(what string) ID {
	h.next(what)
	return h.idValue(what)
}

func (h *head) textValue(what string) string {
	t := h.value()
	if t.kind != kindText || t.tag == dented {
		h.reject(what, "is not a text")
		return ""
	}
	return t.text
}

func (h *head) text(what string) string {
	h.next(what)
	return h.textValue(what)
}

// openDict goes to the next element and opens it as a dictionary; ok is false for null.
func (h *head) openDict(what string) (q seq, ok bool) {
	h.next(what)
	t := h.value()
	switch t.kind {
	case kindDict:
		return h.in(t), true
	case kindNull:
		return seq{}, false
	}
	h.reject(what, "is not a dictionary")
	return seq{}, false
}

// dict reads an open dictionary.
func (h *head) dict(what string) Dict {
	q, ok := h.openDict(what)
	if !ok {
		return Dict{}
	}
	return h.anyDict(q)
}

// payload reads args and kwargs, if there are any. A transparent payload may be a binary in the place of args.
func (h *head) payload(transparent bool) Payload {
	args := h.part("args", kindList, transparent)
	kwargs := h.part("kwargs", kindDict, false)
	if kwargs != "" && args == "" {
		args = emptyList[h.f]
	}
	if args == "" {
		return Payload{}
	}
	return Payload{format: h.f, args: args, kwargs: kwargs}
}

var emptyList = [...]string{JSON: "[]", MsgPack: "\x90", CBOR: "\x80"}

// part reads one optional element of the payload as it is encoded.
func (h *head) part(what string, want kind, binary bool) string {
	if !h.optional() {
		return ""
	}
	if h.f == JSON {
		h.space()
	}
	start := h.i
	t := h.value()
	switch {
	case t.kind == want || (binary && t.kind == kindBinary):
		h.skipRest(t)
		return h.s[start:h.i]
	case t.kind != kindNull && want == kindList:
		h.reject(what, "is not a list")
	case t.kind != kindNull:
		h.reject(what, "is not a dictionary")
	}
	return ""
}
