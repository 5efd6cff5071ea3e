package transport

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var (
	testPaths   = []string{"/ws", "/ws-ua-usr", "/ws-agent"}
	testOrigins = []string{"https://console.example.com"}
)

// asks makes a request out of its lines.
func asks(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n") }

// usual are the lines of a request as clients send it, with some replaced or removed.
func usual(change ...string) []byte {
	lines := []string{
		"GET /ws HTTP/1.1", "Host: example.com:8443", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: wamp.2.json",
	}
	for i := 0; i+1 < len(change); i += 2 {
		for n, line := range lines {
			if strings.HasPrefix(line, change[i]) {
				lines[n] = change[i+1]
			}
		}
	}
	kept := lines[:0]
	for _, line := range lines {
		if line != "" {
			kept = append(kept, line)
		}
	}
	return asks(kept...)
}

func TestWhatClientsSendIsUnderstood(t *testing.T) {
	t.Parallel()
	for _, request := range [][]byte{
		usual(),
		usual("Connection", "connection: keep-alive, Upgrade", "Upgrade", "upgrade: WebSocket"),
		usual("GET", "GET /ws-agent HTTP/1.1", "Host", "Host: [::1]:8443"),
		usual("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: wamp.9.x, wamp.2.cbor ,wamp.2.json"),
		usual("Host", "Host: a\r\nOrigin: https://console.example.com\r\nUser-Agent: x (y; z)\r\nX-A: b\r\nX-A:\tc"),
		usual("Host", "Host: a\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
	} {
		if _, ok := parseUpgrade(request, testPaths, testOrigins); !ok {
			t.Errorf("not understood: %q", request)
		}
	}
}

// What may be read in two ways, or is a fault, is left to net/http: there it is refused in one place.
func TestWhatIsUnusualIsLeftToOthers(t *testing.T) {
	t.Parallel()
	for name, request := range map[string][]byte{
		"another path":                  usual("GET", "GET /wsx HTTP/1.1"),
		"a query":                       usual("GET", "GET /ws?a HTTP/1.1"),
		"an absolute URL":               usual("GET", "GET http://evil/ws HTTP/1.1"),
		"another method":                usual("GET", "POST /ws HTTP/1.1"),
		"HTTP/1.0":                      usual("GET", "GET /ws HTTP/1.0"),
		"HTTP/2":                        []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		"two spaces":                    usual("GET", "GET  /ws HTTP/1.1"),
		"no host":                       usual("Host", ""),
		"two hosts":                     usual("Host", "Host: a\r\nHost: b"),
		"an empty host":                 usual("Host", "Host:"),
		"a host with a path":            usual("Host", "Host: a/b"),
		"a host with a user":            usual("Host", "Host: a@b"),
		"space before the colon":        usual("Host", "Host : a"),
		"a folded line":                 usual("Host", "Host: a\r\n b: c"),
		"a line without a colon":        usual("Host", "Host: a\r\nb"),
		"a bare line feed":              usual("Host", "Host: a\nX: b"),
		"a bare carriage return":        usual("Host", "Host: a\rX: b"),
		"a zero byte":                   usual("Host", "Host: a\r\nX: \x00"),
		"a header that is not ASCII":    usual("Host", "Host: a\r\nX: \xff"),
		"a name that is not ASCII":      usual("Host", "Host: a\r\n\xc5\xbf: a"),
		"a body":                        usual("Host", "Host: a\r\nContent-Length: 5"),
		"a body of no bytes":            usual("Host", "Host: a\r\nContent-Length: 0"),
		"a body in chunks":              usual("Host", "Host: a\r\nTransfer-Encoding: chunked"),
		"both":                          usual("Host", "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5"),
		"what it expects":               usual("Host", "Host: a\r\nExpect: 100-continue"),
		"another upgrade":               usual("Upgrade", "Upgrade: h2c"),
		"two upgrades":                  usual("Upgrade", "Upgrade: h2c, websocket"),
		"no upgrade":                    usual("Connection", "Connection: close"),
		"two connections":               usual("Connection", "Connection: Upgrade\r\nConnection: close"),
		"another version":               usual("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"),
		"no key":                        usual("Sec-WebSocket-Key", ""),
		"a short key":                   usual("Sec-WebSocket-Key", "Sec-WebSocket-Key: AAAA"),
		"a long key":                    usual("Sec-WebSocket-Key", "Sec-WebSocket-Key: "+strings.Repeat("A", 26)+"=="),
		"a key that is none":            usual("Sec-WebSocket-Key", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="),
		"two keys":                      usual("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
		"no protocol":                   usual("Sec-WebSocket-Protocol", ""),
		"an unknown protocol":           usual("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: mqtt"),
		"another origin":                usual("Host", "Host: a\r\nOrigin: https://evil.example.com"),
		"an empty origin":               usual("Host", "Host: a\r\nOrigin:"),
		"two origins":                   usual("Host", "Host: a\r\nOrigin: https://console.example.com\r\nOrigin: https://console.example.com"),
		"a message before the answer":   append(usual(), clientFrame(0x81, "[1]")...),
		"another request behind it":     append(usual(), usual()...),
		"no end":                        bytes.TrimSuffix(usual(), []byte("\r\n")),
		"an end between the headers":    usual("Host", "Host: a\r\n"),
		"nothing":                       nil,
		"only a request line":           asks("GET /ws HTTP/1.1"),
		"only an end":                   []byte("\r\n\r\n"),
		"a line end before the request": append([]byte("\r\n"), usual()...),
	} {
		if _, ok := parseUpgrade(request, testPaths, testOrigins); ok {
			t.Errorf("%s: understood", name)
		}
	}
}

// Whatever we understand, net/http and gorilla understand in the same way.
func FuzzUpgradeAgainstGorilla(f *testing.F) {
	f.Add(usual())
	f.Add(usual("Connection", "connection: keep-alive, Upgrade", "Upgrade", "upgrade: WebSocket"))
	f.Add(usual("Host", "Host: a\r\nOrigin: https://console.example.com\r\nX-A: b"))
	f.Add(usual("Host", "Host: a\r\nContent-Length: 0"))
	f.Add(usual("Host", "Host: a\n b"))
	f.Fuzz(func(t *testing.T, request []byte) {
		u, ok := parseUpgrade(request, testPaths, testOrigins)
		if !ok {
			return
		}
		from := bufio.NewReader(bytes.NewReader(request))
		r, err := http.ReadRequest(from)
		if err != nil || from.Buffered() > 0 || r.ContentLength != 0 {
			t.Fatalf("net/http: %v; %d bytes left, %d of a body", err, from.Buffered(), r.ContentLength)
		}
		s := &Server{config: Config{Origins: testOrigins}}
		c, ok := negotiate(websocket.Subprotocols(r))
		if !ok || c != u.codec || !s.originAllowed(r) {
			t.Fatalf("negotiated %v %t, here %v; origin %t", c, ok, u.codec, s.originAllowed(r))
		}
		conn := &written{}
		up := websocket.Upgrader{CheckOrigin: s.originAllowed}
		if _, err := up.Upgrade(hijacker{conn}, r, http.Header{"Sec-Websocket-Protocol": {c.name()}}); err != nil {
			t.Fatalf("gorilla: %v", err)
		}
		ours, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(u.appendAccepted(nil))), r)
		theirs, err2 := http.ReadResponse(bufio.NewReader(&conn.Buffer), r)
		if err != nil || err2 != nil {
			t.Fatalf("the responses: %v, %v", err, err2)
		}
		for _, name := range []string{"Upgrade", "Connection", "Sec-Websocket-Accept", "Sec-Websocket-Protocol"} {
			if ours.Header.Get(name) != theirs.Header.Get(name) || ours.StatusCode != theirs.StatusCode {
				t.Errorf("%s is %q, of gorilla %q", name, ours.Header.Get(name), theirs.Header.Get(name))
			}
		}
	})
}

// written keeps what is written to it.
type written struct {
	net.Conn
	bytes.Buffer
}

func (w *written) Write(p []byte) (int, error)      { return w.Buffer.Write(p) }
func (w *written) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (w *written) SetDeadline(time.Time) error      { return nil }
func (w *written) SetWriteDeadline(time.Time) error { return nil }
func (w *written) Close() error                     { return nil }

type hijacker struct{ conn net.Conn }

func (h hijacker) Header() http.Header         { return http.Header{} }
func (h hijacker) Write(p []byte) (int, error) { return len(p), nil }
func (h hijacker) WriteHeader(int)             {}
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(strings.NewReader("")), bufio.NewWriter(h.conn)), nil
}
