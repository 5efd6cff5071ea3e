package transport

import (
	"encoding/binary"

	"bulkhead/internal/errs"
	"bulkhead/router/message"
)

// framing is how encoded messages are told apart on a connection.
type framing uint8

const (
	webSocket        framing = iota // one message in each WebSocket message
	webSocketBatched                // any number of them
	rawSocket                       // length-prefixed
	framings
)

// codec is a serializer and a framing.
type codec struct {
	format  message.Format
	framing framing
}

// codecs is how many codecs there are, and so the size of a table of them.
const codecs = int(framings) * 3

func (c codec) index() int { return int(c.framing)*3 + int(c.format) - 1 }

// codecNames are what Peer.Protocol says.
var codecNames = func() (names [codecs]string) {
	for _, f := range []message.Format{message.JSON, message.MsgPack, message.CBOR} {
		names[codec{f, webSocket}.index()] = message.Subprotocol(f, false)
		names[codec{f, webSocketBatched}.index()] = message.Subprotocol(f, true)
		names[codec{f, rawSocket}.index()] = "rawsocket." + f.String()
	}
	return names
}()

func (c codec) name() string { return codecNames[c.index()] }

// codecDetails are what Peer.Details says.
var codecDetails = func() (details [codecs]message.Dict) {
	for i, name := range codecNames {
		details[i] = message.Dict{"protocol": name}
	}
	return details
}()

// headroom is as much as any framing puts before a message.
const headroom = 14

// frame gives the message in the form in which it goes over the connection, in memory of its own and no more than it needs.
func (c codec) frame(m message.Message) ([]byte, error) {
	scratch := buffers.get()
	defer buffers.put(scratch)
	body, err := c.encode((*scratch)[:0], m)
	if err != nil {
		return nil, err
	}
	*scratch = body
	var space [headroom]byte
	head := c.header(space[:0], len(body))
	out := make([]byte, 0, len(head)+len(body))
	return append(append(out, head...), body...), nil
}

// encode appends the message without its header.
func (c codec) encode(b []byte, m message.Message) ([]byte, error) {
	encode := message.Append
	if c.framing == webSocketBatched {
		encode = message.AppendBatched
	}
	b, err := encode(b, c.format, m)
	return b, errs.Wrap("transport: encode", err)
}

// header appends the header of a message of n bytes.
func (c codec) header(b []byte, n int) []byte {
	if c.framing == rawSocket {
		return rawHeader(b, rawMessage, n)
	}
	return wsHeader(b, c.opcode(), n)
}

// The opcodes of RFC 6455, with the bit that says that the message is whole.
const (
	opText   = 0x81
	opBinary = 0x82
	opClose  = 0x88
	opPing   = 0x89
	opPong   = 0x8a
)

func (c codec) opcode() byte {
	if c.format.Binary() {
		return opBinary
	}
	return opText
}

// wsHeader appends the header of an unmasked WebSocket frame.
func wsHeader(b []byte, opcode byte, n int) []byte {
	switch {
	case n < 126:
		return append(b, opcode, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, opcode, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, opcode, 127), uint64(n))
	}
}

// next takes one message off data, which is what came in one WebSocket message or rawsocket frame.
func (c codec) next(data []byte) (one, rest []byte, err error) {
	if c.framing == webSocketBatched {
		return message.Split(c.format, data)
	}
	return data, nil, nil
}
