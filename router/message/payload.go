package message

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
type Payload struct {
	format Format
	args   []byte // one encoded list, nil where absent
	kwargs []byte // one encoded dictionary, nil where absent; then args is present, if only as an empty list
}

// IsZero reports whether there are no arguments.
func (p Payload) IsZero() bool { return p.args == nil && p.kwargs == nil }

// Size is the number of encoded bytes.
func (p Payload) Size() int { return len(p.args) + len(p.kwargs) }
