package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/router/message"
)

// readBuffer is what gorilla keeps for each connection; the tap reads ahead where there is more.
const readBuffer = 512

// WebSocket serves WAMP over WebSocket. Each connection gets a goroutine; the request's ends at once.
func (s *Server) WebSocket() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, c, ok := negotiate(websocket.Subprotocols(r))
		if !ok {
			s.refused("subprotocol")
			http.Error(w, "want a sub-protocol of WAMP: "+strings.Join(Subprotocols(), ", "), http.StatusBadRequest)
			return
		}
		t := &tap{}
		up := websocket.Upgrader{
			HandshakeTimeout: s.limits.TLSHandshake, ReadBufferSize: readBuffer, WriteBufferPool: noPool{},
			CheckOrigin: s.originAllowed,
		}
		ws, err := up.Upgrade(hijacker{w, t}, r, http.Header{"Sec-Websocket-Protocol": {name}})
		if err != nil {
			s.refused("upgrade") // gorilla has answered
			return
		}
		s.adopt(t, ws, c, name, r.TLS)
	})
}

// negotiate takes the first of the client's sub-protocols that we speak: the client's preference wins.
func negotiate(offered []string) (name string, c codec, ok bool) {
	for _, name := range offered {
		if f, batched, ok := message.ParseSubprotocol(name); ok {
			return name, codec{f, webSocketFraming(batched)}, true
		}
	}
	return "", codec{}, false
}

func webSocketFraming(batched bool) framing {
	if batched {
		return webSocketBatched
	}
	return webSocket
}

// Subprotocols lists the WebSocket sub-protocols that are spoken.
func Subprotocols() []string {
	var out []string
	for _, batched := range []bool{false, true} {
		for _, f := range []message.Format{message.JSON, message.MsgPack, message.CBOR} {
			out = append(out, message.Subprotocol(f, batched))
		}
	}
	return out
}

// originAllowed lets browsers in from the listed origins only. What sends no Origin is no browser, and proves who it is.
func (s *Server) originAllowed(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 0 || len(origins) == 1 && slices.Contains(s.config.Origins, origins[0])
}

func (s *Server) adopt(t *tap, ws *websocket.Conn, c codec, name string, state *tls.ConnectionState) {
	p := peerOf(t.Conn, name, state)
	l := newLink(t.Conn, below(t.Conn), c, p, &s.limits, &s.clock, s.config.Meter)
	t.link = l
	ws.SetPingHandler(func(data string) error {
		_ = l.push(&frame{data: append(wsHeader(nil, opPong, len(data)), data...)}) // no room: the peer does not read its pongs
		return nil
	})
	l.source = &wsSource{ws: ws, text: !c.format.Binary()}
	s.start(l, accepted(l.raw))
}

// wsSource reads WebSocket messages.
type wsSource struct {
	ws   *websocket.Conn
	text bool
}

// read gives the next message. It counts for itself, because gorilla would close the connection before the peer is told why.
func (s *wsSource) read(limit int) (*[]byte, error) {
	kind, r, err := s.ws.NextReader()
	if err != nil {
		return nil, err
	}
	if (kind == websocket.TextMessage) != s.text {
		return nil, violation("the WebSocket message has the wrong type for the serializer")
	}
	buf := buffers.get()
	*buf, err = readUpTo(r, (*buf)[:0], limit)
	if err != nil {
		buffers.put(buf)
		return nil, err
	}
	return buf, nil
}

// readUpTo appends all of r to buf, or fails after limit bytes.
func readUpTo(r io.Reader, buf []byte, limit int) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(1024, cap(buf)))
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return buf[:0], violation("the message is larger than %d bytes", limit)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf[:0], err
		}
	}
}

// tap stands between gorilla and the connection: what gorilla writes on its own account, which is control frames, goes through
// the link's queue, and reads are few where much comes in.
type tap struct {
	net.Conn
	link  *Link
	ahead *[]byte // what was read beyond what was asked for, at next
	next  []byte
	full  bool // the last read filled its buffer: there is more
}

// aheadSize is how much a busy connection reads at once.
const aheadSize = 16 << 10

func (t *tap) Read(p []byte) (int, error) {
	if len(t.next) == 0 && t.full && len(p) < aheadSize {
		if err := t.fill(); err != nil {
			return 0, err
		}
	}
	if len(t.next) > 0 {
		n := copy(p, t.next)
		t.next = t.next[n:]
		if len(t.next) == 0 && !t.full {
			t.release()
		}
		return n, nil
	}
	n, err := t.Conn.Read(p)
	t.full = n == readBuffer && n == len(p) // gorilla's own buffer; a read of the rest of a message says nothing of more
	t.alive(n)
	return n, err
}

func (t *tap) fill() error {
	if t.ahead == nil {
		t.ahead = buffers.get()
	}
	b := slices.Grow((*t.ahead)[:0], aheadSize)[:aheadSize]
	*t.ahead = b
	n, err := t.Conn.Read(b)
	t.next, t.full = b[:n], n == len(b)
	t.alive(n)
	if n == 0 {
		t.release()
		return err
	}
	return nil
}

func (t *tap) release() {
	buffers.put(t.ahead)
	t.ahead, t.next = nil, nil
}

func (t *tap) alive(n int) {
	if t.link != nil && n > 0 {
		t.link.alive()
	}
}

// Write takes what gorilla writes: first the answer to the upgrade, later control frames, of which a close is the last.
func (t *tap) Write(p []byte) (int, error) {
	if t.link == nil {
		return t.Conn.Write(p)
	}
	f := &frame{data: slices.Clone(p)}
	if len(p) > 0 && p[0] == opClose {
		t.link.finish([]*frame{f}, t.link.limits.Linger)
		return len(p), nil
	}
	return len(p), t.link.push(f)
}

// The deadlines belong to the link, once there is one.

func (t *tap) SetDeadline(at time.Time) error {
	if t.link == nil {
		return t.Conn.SetDeadline(at)
	}
	return nil
}

func (t *tap) SetWriteDeadline(at time.Time) error {
	if t.link == nil {
		return t.Conn.SetWriteDeadline(at)
	}
	return nil
}

// noPool keeps gorilla from holding a write buffer: nothing is written with one.
type noPool struct{}

func (noPool) Get() any { return nil }
func (noPool) Put(any)  {}
