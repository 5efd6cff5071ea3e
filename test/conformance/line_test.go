package conformance

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// line carries encoded messages.
type line interface {
	write(data []byte) error
	read() ([]byte, error)
	Close() error
}

// dial connects by WebSocket and says nothing.
func (c *check) dial(as codec) *peer {
	c.t.Helper()
	return c.dialWith(as, &websocket.Dialer{}, c.world.url)
}

func (c *check) dialWith(as codec, d *websocket.Dialer, url string) *peer {
	c.t.Helper()
	d.Subprotocols, d.HandshakeTimeout = []string{as.protocol}, patience
	ws, _, err := d.Dial(url, nil)
	c.no(err)
	c.t.Cleanup(func() { _ = ws.Close() })
	c.same("the sub-protocol", ws.Subprotocol(), as.protocol)
	return &peer{c: c, line: &webLine{ws, as.binary}, codec: as}
}

// webLine has a WebSocket message for each.
type webLine struct {
	*websocket.Conn
	binary bool
}

func (l *webLine) write(data []byte) error {
	kind := websocket.TextMessage
	if l.binary {
		kind = websocket.BinaryMessage
	}
	_ = l.SetWriteDeadline(time.Now().Add(patience))
	return l.WriteMessage(kind, data)
}

func (l *webLine) read() ([]byte, error) {
	_ = l.SetReadDeadline(time.Now().Add(patience))
	kind, data, err := l.ReadMessage()
	if err == nil && (kind == websocket.BinaryMessage) != l.binary {
		return nil, fmt.Errorf("a WebSocket message of the type %d", kind)
	}
	return data, err
}

// rawLine has a rawsocket frame for each.
type rawLine struct{ net.Conn }

// How large messages a client takes, in the second octet of a rawsocket handshake.
const (
	rawAnyLength = 0xf0
	raw4K        = 0x30
)

// handshake opens a rawsocket with the octets and gives the answer.
func (c *check) handshake(octets ...byte) (*rawLine, []byte) {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.world.raw)
	c.no(err)
	c.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = conn.Write(octets)
	c.no(err)
	answer := make([]byte, len(octets))
	_, err = io.ReadFull(conn, answer)
	c.no(err)
	return &rawLine{conn}, answer
}

// dialRaw connects by rawsocket.
func (c *check) dialRaw(as codec, length, serializer byte) *peer {
	c.t.Helper()
	l, answer := c.handshake(0x7f, length|serializer, 0, 0)
	c.same("the serializer", answer[1]&0x0f, serializer)
	return &peer{c: c, line: l, codec: as}
}

func (l *rawLine) write(data []byte) error { return l.frame(0, data) }

func (l *rawLine) frame(kind byte, data []byte) error {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	head[0] = kind
	_, err := l.Write(append(head, data...))
	return err
}

func (l *rawLine) read() ([]byte, error) {
	kind, data, err := l.next()
	if err == nil && kind != 0 {
		return nil, fmt.Errorf("a rawsocket frame of the type %d", kind)
	}
	return data, err
}

func (l *rawLine) next() (kind byte, data []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(l, head[:]); err != nil {
		return 0, nil, err
	}
	kind, head[0] = head[0], 0
	data = make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err = io.ReadFull(l, data)
	return kind, data, err
}
