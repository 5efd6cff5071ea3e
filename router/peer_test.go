package router_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp/crsign"
	"github.com/gorilla/websocket"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router/message"
)

// patience is how long a test waits for what must come, on a machine that is busy with other tests too.
const patience = time.Minute

// peer is a WAMP client that does what it is told and nothing else.
type peer struct {
	t       *testing.T
	ws      *websocket.Conn
	format  message.Format
	batched bool
	pending []byte
	request message.ID
	session message.ID
}

var formats = []message.Format{message.JSON, message.MsgPack, message.CBOR}

func (s *stage) dial(t *testing.T, f message.Format) *peer {
	t.Helper()
	return s.dialAs(t, f, false)
}

func (s *stage) dialAs(t *testing.T, f message.Format, batched bool) *peer {
	t.Helper()
	p, err := s.tryDial(t, f, batched)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	return p
}

func (s *stage) tryDial(t *testing.T, f message.Format, batched bool) (*peer, error) {
	t.Helper()
	d := websocket.Dialer{TLSClientConfig: s.tls(), Subprotocols: []string{message.Subprotocol(f, batched)}, HandshakeTimeout: patience}
	ws, response, err := d.Dial("wss://"+s.addr+"/ws", http.Header{})
	if err != nil {
		return nil, fmt.Errorf("%w (%v)", err, response)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return &peer{t: t, ws: ws, format: f, batched: batched}, nil
}

func (p *peer) kind() int {
	if p.format.Binary() {
		return websocket.BinaryMessage
	}
	return websocket.TextMessage
}

func (p *peer) send(messages ...message.Message) {
	p.t.Helper()
	for _, m := range messages {
		encode := message.Append
		if p.batched {
			encode = message.AppendBatched
		}
		data, err := encode(nil, p.format, m)
		if err != nil {
			p.t.Fatal(err)
		}
		p.sendRaw(data)
	}
}

func (p *peer) sendRaw(data []byte) {
	p.t.Helper()
	_ = p.ws.SetWriteDeadline(time.Now().Add(patience))
	if err := p.ws.WriteMessage(p.kind(), data); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// next gives the next message, or the error with which the connection ended.
func (p *peer) next() (message.Message, error) {
	if len(p.pending) == 0 {
		_ = p.ws.SetReadDeadline(time.Now().Add(patience))
		_, data, err := p.ws.ReadMessage()
		if err != nil {
			return nil, err
		}
		p.pending = data
	}
	one, rest := p.pending, []byte(nil)
	if p.batched {
		var err error
		if one, rest, err = message.Split(p.format, p.pending); err != nil {
			return nil, err
		}
	}
	p.pending = rest
	return message.Decode(p.format, one)
}

// pong has the peer answer pings, and not read what else comes.
func (p *peer) pong() {
	go func() { // ends with the connection
		for _, _, err := p.ws.NextReader(); err == nil; _, _, err = p.ws.NextReader() {
		}
	}()
}

// expect gives the next message, which has to be an M.
func expect[M message.Message](p *peer) M {
	p.t.Helper()
	m, err := p.next()
	if err != nil {
		p.t.Fatalf("waiting for %T: %v", *new(M), err)
	}
	got, ok := m.(M)
	if !ok {
		p.t.Fatalf("got %s %+v, want %T", m.Code(), m, *new(M))
	}
	return got
}

// ended reads until the connection ends and gives the messages before that; it fails where the end is no orderly close.
func (p *peer) ended() []message.Message {
	p.t.Helper()
	var out []message.Message
	for {
		m, err := p.next()
		if err == nil {
			out = append(out, m)
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != websocket.CloseNormalClosure {
			p.t.Errorf("the connection ended with %v, want an orderly close", err)
		}
		return out
	}
}

// broken reads until the connection ends in whatever way.
func (p *peer) broken() []message.Message {
	p.t.Helper()
	var out []message.Message
	for {
		m, err := p.next()
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			p.t.Error("the connection did not end")
			return out
		case err != nil:
			return out
		}
		out = append(out, m)
	}
}

func hello(realm, authid string, methods ...any) *message.Hello {
	return &message.Hello{Realm: realm, Details: message.Dict{
		"authid": authid, "authmethods": methods,
		"roles": message.Dict{
			"publisher": message.Dict{}, "subscriber": message.Dict{}, "caller": message.Dict{},
			"callee": message.Dict{"features": message.Dict{"call_canceling": true}},
		},
	}}
}

// join proves who the peer is by WAMP-CRA.
func (p *peer) join(realm, authid string, s secret.Value) *message.Welcome {
	p.t.Helper()
	p.send(hello(realm, authid, "wampcra"))
	p.send(answer(expect[*message.Challenge](p), s))
	w := expect[*message.Welcome](p)
	p.session = w.Session
	return w
}

func answer(c *message.Challenge, s secret.Value) *message.Authenticate {
	text, _ := c.Extra["challenge"].(string)
	return &message.Authenticate{Signature: crsign.SignChallenge(text, s.Reveal()), Extra: message.Dict{}}
}

// device joins a device to the data realm of its project.
func (s *stage) device(t *testing.T, f message.Format, d realms.Device) *peer {
	t.Helper()
	p := s.dial(t, f)
	p.join(realms.OfInstallation(d.Project, app, "dev").Name(), string(d.Serial), d.Secrets[0])
	return p
}

func (p *peer) id() message.ID {
	p.request++
	return p.request
}

func (p *peer) subscribe(topic string) message.ID {
	p.t.Helper()
	p.send(&message.Subscribe{Request: p.id(), Topic: topic})
	return expect[*message.Subscribed](p).Subscription
}

func (p *peer) publish(topic string, args ...any) {
	p.t.Helper()
	p.send(&message.Publish{Request: p.id(), Topic: topic, Payload: payload(p.t, p.format, args)})
}

func payload(t *testing.T, f message.Format, args []any) message.Payload {
	t.Helper()
	out, err := message.NewPayload(f, args, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// args gives the arguments of an event.
func args(t *testing.T, p message.Payload) []any {
	t.Helper()
	out, _, err := p.Decode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
