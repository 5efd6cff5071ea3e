package transport

import (
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/router/message"
)

// WebSocket serves WAMP over WebSocket. The request's goroutine ends when the peer has joined; a session has one of its own.
func (s *Server) WebSocket() http.Handler {
	up := websocket.Upgrader{
		HandshakeTimeout: s.limits.TLSHandshake, ReadBufferSize: 1, WriteBufferPool: noPool{}, CheckOrigin: s.originAllowed,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := negotiate(websocket.Subprotocols(r))
		if !ok {
			s.refused("subprotocol")
			http.Error(w, "want a sub-protocol of WAMP: "+strings.Join(Subprotocols(), ", "), http.StatusBadRequest)
			return
		}
		ws, err := up.Upgrade(w, r, http.Header{"Sec-Websocket-Protocol": {c.name()}})
		if err != nil {
			s.refused("upgrade") // gorilla has answered
			return
		}
		conn := ws.NetConn()
		a := s.arrivals.add(below(conn), time.Now().Add(s.limits.Handshake)) // adopt knows better
		if a == nil {
			_ = conn.Close() // the server is closing
			return
		}
		s.adopt(conn, c, r.TLS, a)
	})
}

// negotiate takes the first of the client's sub-protocols that we speak: the client's preference wins.
func negotiate(offered []string) (codec, bool) {
	for _, name := range offered {
		if f, batched, ok := message.ParseSubprotocol(name); ok {
			return codec{f, webSocketFraming(batched)}, true
		}
	}
	return codec{}, false
}

func webSocketFraming(batched bool) framing {
	if batched {
		return webSocketBatched
	}
	return webSocket
}

// Subprotocols lists the WebSocket sub-protocols that are spoken.
func Subprotocols() []string { return codecNames[:codec{message.JSON, rawSocket}.index()] }

// originAllowed lets browsers in from the listed origins only. What sends no Origin is no browser, and proves who it is.
func (s *Server) originAllowed(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 0 || len(origins) == 1 && slices.Contains(s.config.Origins, origins[0])
}

// adopt makes a link of a connection that is a WebSocket now, of which nothing was read ahead.
func (s *Server) adopt(conn net.Conn, c codec, state *tls.ConnectionState, a *arrival) {
	if p, ok := conn.(*passed); ok && len(p.sent) == 0 {
		conn = p.Conn
	}
	l := newLink(conn, below(conn), c, peerOf(conn, c, state), &s.limits, &s.clock, s.config.Meter)
	l.source = &wsSource{in: &l.in, text: !c.format.Binary(), control: l.control}
	s.start(l, a, accepted(l.raw))
}

// control answers a ping or a close of the peer's. A peer that does not read its pongs gets none.
func (l *Link) control(opcode byte, payload []byte) {
	f := &frame{data: append(wsHeader(nil, opcode, len(payload)), payload...)}
	if opcode == opClose {
		l.finish([]*frame{f}, l.limits.Linger)
		return
	}
	_ = l.push(nil, f)
}

// noPool keeps gorilla from holding a write buffer: nothing is written with one.
type noPool struct{}

func (noPool) Get() any { return nil }
func (noPool) Put(any)  {}
