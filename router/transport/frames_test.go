package transport

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/router/message"
)

// canned is a connection that has sent what it will, in reads of the given size.
type canned struct {
	net.Conn
	data  []byte
	chunk int
}

func (c *canned) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.data[:min(len(c.data), max(1, c.chunk))])
	c.data = c.data[n:]
	return n, nil
}

// reading gives what reads from the connection.
func reading(c *canned) *inbound {
	in := &inbound{}
	in.use(c, func() {})
	return in
}

// outcome is what came of reading a connection to its end.
type outcome struct {
	messages []string
	control  string // the codes of the frames that answered, "8" a close, "a" a pong
}

const frameLimit = 1 << 12

func readOurs(data []byte, chunk int, text bool) outcome {
	var out outcome
	s := &wsSource{in: reading(&canned{data: data, chunk: chunk}), text: text}
	s.control = func(opcode byte, p []byte) { out.control += string("0123456789abcdef"[opcode&0xf]) }
	for {
		buf, err := s.read(frameLimit)
		if err != nil {
			return out
		}
		out.messages = append(out.messages, string(*buf))
		buffers.put(buf)
	}
}

// readGorilla is the same by gorilla, as an oracle.
func readGorilla(t testing.TB, data []byte, text bool) outcome {
	t.Helper()
	var out outcome
	conn := &recorded{canned: canned{data: data, chunk: 1 << 20}, out: &out}
	up := websocket.Upgrader{}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for k, v := range map[string]string{
		"Connection": "upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(k, v)
	}
	ws, err := up.Upgrade(hijacked{httptest.NewRecorder(), conn}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.recording = true
	for {
		kind, r, err := ws.NextReader()
		if err != nil || (kind == websocket.TextMessage) != text {
			return out
		}
		all, err := io.ReadAll(io.LimitReader(r, frameLimit+1))
		if err != nil || len(all) > frameLimit {
			return out
		}
		out.messages = append(out.messages, string(all))
	}
}

func TestAMessageInPartsWithPingsBetweenIsOneMessage(t *testing.T) {
	t.Parallel()
	data := slicesOf(
		clientFrame(0x01, "hel"), clientFrame(0x89, "ping"), clientFrame(0x00, ""), clientFrame(0x80, "lo"),
		clientFrame(0x8a, "pong"), clientFrame(0x81, strings.Repeat("x", 3000)), clientFrame(0x88, "\x03\xe8bye"),
	)
	for _, chunk := range []int{1, 3, 512, 1 << 20} {
		got := readOurs(bytes.Clone(data), chunk, true)
		if len(got.messages) != 2 || got.messages[0] != "hello" || len(got.messages[1]) != 3000 || got.control != "a8" {
			t.Errorf("in reads of %d: %q", chunk, got)
		}
	}
}

func TestAMessageInPartsIsLimitedAsAWhole(t *testing.T) {
	t.Parallel()
	part := strings.Repeat("x", frameLimit/2)
	data := slicesOf(clientFrame(0x01, part), clientFrame(0x00, part), clientFrame(0x80, "x"))
	s := &wsSource{in: reading(&canned{data: data, chunk: 1 << 20}), text: true}
	var violation *message.ProtocolError
	if _, err := s.read(frameLimit); !errors.As(err, &violation) {
		t.Errorf("got %v", err)
	}
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// clientFrame makes a frame as a client sends it.
func clientFrame(first byte, payload string) []byte {
	head := wsHeader(nil, first, len(payload))
	head[1] |= maskBit
	mask := [4]byte{1, 2, 3, 4}
	body := []byte(payload)
	unmask(body, mask)
	return slicesOf(head, mask[:], body)
}

// recorded notes the control frames that gorilla writes.
type recorded struct {
	canned
	out       *outcome
	recording bool
}

func (c *recorded) Write(p []byte) (int, error) {
	if c.recording {
		c.out.control += string("0123456789abcdef"[p[0]&0xf])
	}
	return len(p), nil
}
func (c *recorded) SetDeadline(time.Time) error      { return nil }
func (c *recorded) SetWriteDeadline(time.Time) error { return nil }
func (c *recorded) Close() error                     { return nil }

type hijacked struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(strings.NewReader("")), bufio.NewWriter(io.Discard)), nil
}

// Our reader accepts what gorilla's accepts, gives the same messages and answers with the same control frames.
func FuzzFramesAgainstGorilla(f *testing.F) {
	f.Add(clientFrame(0x81, "hello"), uint8(1))
	f.Add(slicesOf(clientFrame(0x01, "hel"), clientFrame(0x89, "p"), clientFrame(0x80, "lo")), uint8(2))
	f.Add(slicesOf(clientFrame(0x82, "binary"), clientFrame(0x81, "x")), uint8(3))
	f.Add(clientFrame(0x88, "\x03\xe8"), uint8(9))
	f.Add(clientFrame(0x88, "\x03\xedx"), uint8(9))
	f.Add(clientFrame(0x88, "\xff"), uint8(9))
	f.Add(clientFrame(0x80, "continuation of nothing"), uint8(4))
	f.Add(clientFrame(0x09, "ping in parts"), uint8(4))
	f.Add(clientFrame(0xc1, "reserved bit"), uint8(4))
	f.Add([]byte{0x81, 0x05, 'h', 'e', 'l', 'l', 'o'}, uint8(4)) // no mask
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, uint8(4))
	f.Add(clientFrame(0x81, strings.Repeat("long ", 200)), uint8(200))
	f.Fuzz(func(t *testing.T, data []byte, chunk uint8) {
		for _, text := range []bool{true, false} {
			want, got := readGorilla(t, bytes.Clone(data), text), readOurs(bytes.Clone(data), int(chunk), text)
			if strings.Join(want.messages, "|") != strings.Join(got.messages, "|") || want.control != got.control {
				t.Fatalf("gorilla %q\nours    %q", want, got)
			}
		}
	})
}
