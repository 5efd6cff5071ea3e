package message

import "strings"

// Format is a serializer.
type Format uint8

// The serializers. Their order has no meaning.
const (
	NoFormat Format = iota
	JSON
	MsgPack
	CBOR
)

// Payload is the arguments of a message, as its sender encoded them. It is immutable. The zero Payload has no arguments.
//
// Decode has checked it: it is well-formed, its texts are UTF-8, the keys of its dictionaries are texts and unique, it is not
// nested too deeply. So it can be sent on as it is, and always be transcoded.
type Payload struct {
	format Format
	args   string // one encoded list (or one binary, where the sender transports payload transparently), "" where absent
	kwargs string // one encoded dictionary, "" where absent; then args is present, if only as an empty list
}

// IsZero reports whether there are no arguments.
func (p Payload) IsZero() bool { return p.args == "" && p.kwargs == "" }

// Size is the number of encoded bytes.
func (p Payload) Size() int { return len(p.args) + len(p.kwargs) }

// Format is the serializer in which the arguments are encoded; NoFormat where there are none.
func (p Payload) Format() Format { return p.format }

// Clone gives a copy that keeps nothing else in memory: a decoded payload keeps the whole frame that it came in.
func (p Payload) Clone() Payload {
	return Payload{format: p.format, args: strings.Clone(p.args), kwargs: strings.Clone(p.kwargs)}
}

// In gives the payload as f encodes it. It costs nothing where it is encoded so already.
//
// Integers keep their value from -2^63 to 2^64-1; beyond that range they become floats. Floats stay floats, and NaN and the
// infinities, which JSON lacks, become null there. Binaries are "\u0000" and base64 in JSON. What only one serializer has is
// mapped to what all have: a CBOR tag is dropped from its content (a bignum becomes a number), a MessagePack timestamp becomes a
// text as of RFC 3339, undefined becomes null, any other MessagePack extension the binary that it holds.
func (p Payload) In(f Format) (Payload, error) {
	if p.format == f || p.IsZero() {
		return p, nil
	}
	if !f.Valid() {
		return Payload{}, errFormat
	}
	w := writer{f: f, b: make([]byte, 0, p.Size()+p.Size()/4+16)}
	mark := 0
	if p.args != "" {
		w.transcode(p.format, p.args)
		mark = len(w.b)
	}
	if p.kwargs != "" {
		w.comma = false
		w.transcode(p.format, p.kwargs)
	}
	if w.err != nil {
		return Payload{}, w.err
	}
	all := string(w.b)
	return Payload{format: f, args: all[:mark], kwargs: all[mark:]}, nil
}

// NewPayload encodes arguments. It takes the types that Decode gives and what converts to them without loss: named types, other
// slices, arrays, pointers, maps with texts as keys; all else is encoded as encoding/json would.
func NewPayload(f Format, args []any, kwargs Dict) (Payload, error) {
	if !f.Valid() {
		return Payload{}, errFormat
	}
	if args == nil && kwargs == nil {
		return Payload{}, nil
	}
	w := writer{f: f, depth: 1} // as if inside a message
	w.list(args)
	mark := len(w.b)
	if kwargs != nil {
		w.comma = false
		w.dict(kwargs)
	}
	if w.err != nil {
		return Payload{}, w.err
	}
	all := string(w.b)
	return Payload{format: f, args: all[:mark], kwargs: all[mark:]}, nil
}

// Decode decodes the arguments to the types that Dict promises; nil where absent. A payload that its sender transports
// transparently is one binary. It fails with ErrWeight where they would take too much memory.
func (p Payload) Decode() (args []any, kwargs Dict, err error) {
	v, weight, err := decodeValue(p.format, p.args, 0)
	if err != nil {
		return nil, nil, err
	}
	switch v := v.(type) {
	case []any:
		args = v
	case []byte:
		args = []any{v}
	}
	v, _, err = decodeValue(p.format, p.kwargs, weight)
	if err != nil {
		return nil, nil, err
	}
	kwargs, _ = v.(Dict)
	return args, kwargs, nil
}

// decodeValue decodes a value after others that had the weight, and gives the weight of all.
func decodeValue(f Format, encoded string, before int) (v any, weight int, err error) {
	if encoded == "" {
		return nil, before, nil
	}
	r := reader{f: f, s: encoded, depth: 1, weight: before} // as if inside a message
	v = r.any()
	return v, r.weight, r.err
}
