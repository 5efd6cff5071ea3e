package message

// Fixed is a value for a dictionary of many messages, which is encoded once.
type Fixed struct{ encoded [CBOR + 1]string }

// NewFixed encodes a value, as NewPayload would.
func NewFixed(v any) (*Fixed, error) {
	fixed := &Fixed{}
	for f := JSON; f <= CBOR; f++ {
		w := writer{f: f, depth: 2} // as if inside a message's dictionary
		w.any(v)
		if w.err != nil {
			return nil, w.err
		}
		fixed.encoded[f] = string(w.b)
	}
	return fixed, nil
}

// value gives a copy. It cannot fail: the encoding is our own.
func (v *Fixed) value() any {
	r := reader{f: MsgPack, s: v.encoded[MsgPack], depth: 1}
	return r.any()
}
