package message

import "strings"

const (
	protocolPrefix = "wamp.2."
	batchedSuffix  = ".batched"
)

var formatNames = [...]string{NoFormat: "none", JSON: "json", MsgPack: "msgpack", CBOR: "cbor"}

// String is the serializer's name as it stands in WebSocket sub-protocols.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return formatNames[NoFormat]
}

// Binary reports whether messages travel in binary WebSocket frames, not in text frames.
func (f Format) Binary() bool { return f == MsgPack || f == CBOR }

// Valid reports whether f is one of the serializers.
func (f Format) Valid() bool { return f == JSON || f == MsgPack || f == CBOR }

// ParseSubprotocol reads the name of a WebSocket sub-protocol, such as "wamp.2.cbor" or "wamp.2.json.batched".
func ParseSubprotocol(name string) (f Format, batched, ok bool) {
	name, ok = strings.CutPrefix(name, protocolPrefix)
	if !ok {
		return NoFormat, false, false
	}
	name, batched = strings.CutSuffix(name, batchedSuffix)
	for f := JSON; f <= CBOR; f++ {
		if name == formatNames[f] {
			return f, batched, true
		}
	}
	return NoFormat, false, false
}

// Subprotocol is the name that ParseSubprotocol reads.
func Subprotocol(f Format, batched bool) string {
	if batched {
		return protocolPrefix + f.String() + batchedSuffix
	}
	return protocolPrefix + f.String()
}

// Numbers of the serializers in the handshake of a raw socket.
const (
	rawSocketJSON    = 1
	rawSocketMsgPack = 2
	rawSocketCBOR    = 3
)

// RawSocketFormat is the serializer with that number in the handshake of a raw socket; ok is false where we do not have it.
func RawSocketFormat(serializer byte) (f Format, ok bool) {
	switch serializer {
	case rawSocketJSON:
		return JSON, true
	case rawSocketMsgPack:
		return MsgPack, true
	case rawSocketCBOR:
		return CBOR, true
	}
	return NoFormat, false
}
