package router_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/router/transport"
)

func TestWhoBreaksTheProtocolIsAborted(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{Message: 64 << 10}})
	bystander := s.device(t, message.JSON, a2)
	bystander.subscribe("calm.waters")
	big := `[16,1,{},"some.topic",["` + strings.Repeat("x", 64<<10) + `"]]`
	for _, c := range []struct {
		name, before, after string // sent before the join, or after
	}{
		{name: "a message of 16 KiB before the join", before: `[1,"realm-1-1-dev",{"x":"` + strings.Repeat("x", 16<<10) + `"}]`},
		{name: "garbage before the join", before: "\x00\xff garbage"},
		{name: "an empty message", before: ""},
		{name: "an object", before: `{"realm":"x"}`},
		{name: "an unknown message type", before: `[99,"x"]`},
		{name: "a realm that is a number", before: `[1,17,{}]`},
		{name: "an authid that is a number", before: `[1,"` + realmA.Name() + `",{"authid":1,"roles":{"caller":{}}}]`},
		{name: "authmethods that is a text", before: `[1,"` + realmA.Name() + `",{"authmethods":"wampcra","roles":{"caller":{}}}]`},
		{name: "an authmethod that is a number", before: `[1,"` + realmA.Name() + `",{"authmethods":[1],"roles":{"caller":{}}}]`},
		{name: "a publication before the join", before: `[16,1,{},"some.topic"]`},
		{name: "an answer to no challenge", before: `[5,"x",{}]`},
		{name: "a large message after the join", after: big},
		{name: "garbage after the join", after: "garbage"},
		{name: "a second HELLO", after: `[1,"` + realmA.Name() + `",{"roles":{"caller":{}}}]`},
		{name: "an answer after the join", after: `[5,"x",{}]`},
		{name: "a WELCOME", after: `[2,1,{}]`},
		{name: "a request id of -1", after: `[16,-1,{},"some.topic"]`},
		{name: "a request id of 1.5", after: `[16,1.5,{},"some.topic"]`},
		{name: "a request id of 1e300", after: `[16,1e300,{},"some.topic"]`},
		{name: "a topic that is a number", after: `[16,1,{},5]`},
		{name: "text that is no UTF-8", after: "[16,1,{},\"some.\xff\xfe\"]"},
		{name: "nesting without end", after: `[16,1,{},"some.topic",` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := s.dial(t, message.JSON)
			raw := c.before
			if c.after != "" {
				p.join(realmA.Name(), string(a1.Serial), a1.Secrets[0])
				raw = c.after
			}
			p.sendRaw([]byte(raw))
			got := p.ended()
			if len(got) != 1 {
				t.Fatalf("got %d messages, want an ABORT", len(got))
			}
			if a, ok := got[0].(*message.Abort); !ok || a.Reason != "wamp.error.protocol_violation" {
				t.Errorf("got %+v", got[0])
			}
		})
	}
	t.Cleanup(func() { // after the parallel ones
		bystander.send(&message.Publish{Request: bystander.id(), Topic: "calm.waters", Options: message.PublishOptions{KeepMe: true}})
		expect[*message.Event](bystander)
	})
}

func TestABinaryMessageForJSONIsAViolation(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	p := s.dial(t, message.JSON)
	if err := p.ws.WriteMessage(websocket.BinaryMessage, []byte(`[1,"x",{}]`)); err != nil {
		t.Fatal(err)
	}
	if a := expect[*message.Abort](p); a.Reason != "wamp.error.protocol_violation" {
		t.Errorf("got %+v", a)
	}
}

// F6
func TestAFrameOf300MiBBeforeLoginIsNotRead(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	p := s.dial(t, message.MsgPack)
	// A masked binary frame that announces 300 MiB, and as much of it as the server takes.
	header := []byte{0x82, 0xff, 0, 0, 0, 0, 300 << 20 >> 24, 0xc0, 0, 0, 1, 2, 3, 4}
	conn := p.ws.NetConn()
	_ = conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := conn.Write(header); err != nil {
		t.Fatal(err)
	}
	sent, chunk := 0, make([]byte, 64<<10)
	for sent < 300<<20 {
		n, err := conn.Write(chunk)
		sent += n
		if err != nil {
			break
		}
	}
	if sent > 32<<20 { // what the kernel's buffers and the time to linger take
		t.Errorf("the server took %d bytes", sent)
	}
	p.broken()
}

func TestAConnectionWithoutASubProtocolOfWAMPIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	for _, offered := range [][]string{nil, {"chat"}, {"wamp.1.json"}, {"wamp.2.flatbuffers"}} {
		d := websocket.Dialer{TLSClientConfig: s.tls(), Subprotocols: offered}
		ws, response, err := d.Dial("wss://"+s.addr+"/ws", nil)
		if err == nil {
			_ = ws.Close()
			t.Errorf("%v: was let in", offered)
		} else if response == nil || response.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %v", offered, response)
		}
	}
}

func TestTheClientsPreferenceOfSubProtocolWins(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	for _, offered := range [][]string{
		{"wamp.2.cbor", "wamp.2.json"}, {"wamp.2.json", "wamp.2.msgpack"}, {"x", "wamp.2.msgpack.batched", "wamp.2.json"},
	} {
		want := offered[0]
		if want == "x" {
			want = offered[1]
		}
		d := websocket.Dialer{TLSClientConfig: s.tls(), Subprotocols: offered}
		ws, _, err := d.Dial("wss://"+s.addr+"/ws-agent", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := ws.Subprotocol(); got != want {
			t.Errorf("%v: got %s", offered, got)
		}
		_ = ws.Close()
	}
}

func TestABrowserConnectsFromAListedOriginOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Origins: []string{"https://console.example.com"}})
	for origin, want := range map[string]int{
		"https://console.example.com": http.StatusSwitchingProtocols,
		"https://CONSOLE.example.com": http.StatusForbidden,
		"http://console.example.com":  http.StatusForbidden,
		"https://evil.example.com":    http.StatusForbidden,
		"null":                        http.StatusForbidden,
		"":                            http.StatusForbidden, // sent, but empty
	} {
		d := websocket.Dialer{TLSClientConfig: s.tls(), Subprotocols: []string{"wamp.2.json"}}
		ws, response, err := d.Dial("wss://"+s.addr+"/ws", http.Header{"Origin": {origin}})
		if err == nil {
			_ = ws.Close()
		}
		if response == nil || response.StatusCode != want {
			t.Errorf("%q: %v %v", origin, response, err)
		}
	}
}

func TestASilentConnectionIsEndedInTime(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{Handshake: 300 * time.Millisecond, TLSHandshake: 150 * time.Millisecond}})
	for does, begin := range map[string]func(*testing.T) (net.Conn, error){
		"says nothing at all": func(*testing.T) (net.Conn, error) { return net.Dial("tcp", s.addr) },
		"says nothing after the TLS handshake": func(*testing.T) (net.Conn, error) {
			return tls.Dial("tcp", s.addr, s.tls())
		},
		"says no HELLO": func(t *testing.T) (net.Conn, error) {
			p, err := s.tryDial(t, message.JSON, false)
			if err != nil {
				return nil, err
			}
			return p.ws.NetConn(), nil
		},
		"pings and says no HELLO": func(t *testing.T) (net.Conn, error) {
			p, err := s.tryDial(t, message.JSON, false)
			if err != nil {
				return nil, err
			}
			go func() { // ends with the connection
				for p.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) == nil {
				}
			}()
			return p.ws.NetConn(), nil
		},
		"does not answer its challenge": func(t *testing.T) (net.Conn, error) {
			p, err := s.tryDial(t, message.CBOR, false)
			if err != nil {
				return nil, err
			}
			shout(p.ws, hello(realmA.Name(), string(a1.Serial), "wampcra"))
			_, err = p.next()
			return p.ws.NetConn(), err
		},
	} {
		t.Run("that "+does, func(t *testing.T) {
			t.Parallel()
			c, err := begin(t)
			if err != nil {
				return // its time was up before it had come so far: the machine is busy
			}
			defer c.Close()
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) { // any other end is fine
				t.Errorf("it was kept for %v", patience)
			}
		})
	}
}

func TestConnectionsOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{}, transport.GuardLimits{PerNetwork: 3})
	for range 3 {
		s.device(t, message.JSON, a1)
	}
	c, err := tls.Dial("tcp", s.addr, s.tls())
	if err == nil {
		_ = c.Close()
		t.Fatal("a fourth connection was accepted")
	}
}

func TestConnectionsThatHaveNotJoinedAreLimited(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{}, transport.GuardLimits{Pending: 2})
	for range 5 { // those that joined do not count
		s.device(t, message.JSON, a1)
	}
	s.dial(t, message.JSON)
	waiting := s.dial(t, message.JSON)
	if c, err := tls.Dial("tcp", s.addr, s.tls()); err == nil {
		_ = c.Close()
		t.Fatal("a third connection that has not joined was accepted")
	}
	waiting.join(realmA.Name(), string(a1.Serial), a1.Secrets[0])
	s.device(t, message.JSON, a2)
}
