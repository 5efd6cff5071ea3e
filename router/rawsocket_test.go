package router_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/transport/serialize"
	"github.com/gammazero/nexus/v3/wamp"
	"github.com/gammazero/nexus/v3/wamp/crsign"

	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/router/transport"
)

// rawStage serves rawsocket over TLS beside the WebSocket of a stage.
func rawStage(t *testing.T, c router.Config) (s *stage, addr string) {
	t.Helper()
	s = newStage(t, c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certificate, _ := certificates()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.ServeRawSocket(transport.NewGuard(l, transport.GuardLimits{}, nil), &tls.Config{Certificates: []tls.Certificate{certificate}})
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return s, l.Addr().String()
}

func TestANexusClientTalksOverRawSocketToOneOverWebSocket(t *testing.T) {
	t.Parallel()
	const pings = 500 * time.Millisecond
	s, addr := rawStage(t, router.Config{Limits: transport.Limits{PingEvery: pings}})
	for _, f := range []serialize.Serialization{serialize.JSON, serialize.MSGPACK, serialize.CBOR} {
		t.Run(fmt.Sprint(f), func(t *testing.T) {
			t.Parallel()
			c, err := client.ConnectNet(t.Context(), "tcps://"+addr, client.Config{
				Realm: realmA.Name(), Serialization: f, TlsCfg: s.tls(), Logger: discard{},
				HelloDetails: wamp.Dict{"authid": string(a1.Serial)},
				AuthHandlers: map[string]client.AuthFunc{"wampcra": func(c *wamp.Challenge) (string, wamp.Dict) {
					return crsign.RespondChallenge(string(a1.Secrets[0].Reveal()), c, nil), wamp.Dict{}
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			events := make(chan *wamp.Event, 1)
			topic := fmt.Sprintf("raw.topic%d", f)
			if err := c.SubscribeChan(topic, events, nil); err != nil {
				t.Fatal(err)
			}
			p := s.device(t, message.JSON, a2)
			p.pong()
			for range 4 { // longer than who does not answer pings is kept
				p.publish(topic, strings.Repeat("x", 100_000))
				select {
				case e := <-events:
					if len(e.Arguments[0].(string)) != 100_000 {
						t.Error("the event is not what was published")
					}
				case <-c.Done():
					t.Fatal("the session was ended")
				}
				<-time.After(pings)
			}
		})
	}
}

// rawPeer is a rawsocket client that does what it is told.
func rawPeer(t *testing.T, s *stage, addr string, handshake []byte) (net.Conn, []byte) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, s.tls())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(handshake); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 4)
	n, _ := io.ReadFull(c, reply)
	return c, reply[:n]
}

func TestARawSocketHandshakeThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	s, addr := rawStage(t, router.Config{})
	for _, c := range []struct{ send, want []byte }{
		{[]byte{0x7f, 0xf1, 0, 0}, []byte{0x7f, 0xf1, 0, 0}},
		{[]byte{0x7f, 0x33, 0, 0}, []byte{0x7f, 0xf3, 0, 0}},
		{[]byte{0x7f, 0xf9, 0, 0}, []byte{0x7f, 0x10, 0, 0}}, // a serializer that is not
		{[]byte{0x7f, 0xf1, 1, 0}, []byte{0x7f, 0x30, 0, 0}}, // a reserved octet
		{[]byte{0x7f, 0x11, 0, 0}, []byte{0x7f, 0x20, 0, 0}}, // a client that could not be sent WELCOME
		{[]byte{0x7f, 0x21, 0, 0}, []byte{0x7f, 0xf1, 0, 0}},
		{[]byte("GET / HTTP/1.1\r\n\r\n"), nil},
	} {
		if _, got := rawPeer(t, s, addr, c.send); !bytes.Equal(got, c.want) {
			t.Errorf("%x: got %x, want %x", c.send, got, c.want)
		}
	}
}

func rawSend(t *testing.T, c net.Conn, kind byte, data []byte) {
	t.Helper()
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(kind)<<24|uint32(len(data))), data...)
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
}

func rawReceive(t *testing.T, c net.Conn) (kind byte, data []byte) {
	t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		t.Fatal(err)
	}
	data = make([]byte, binary.BigEndian.Uint32(head[:])&0xffffff)
	if _, err := io.ReadFull(c, data); err != nil {
		t.Fatal(err)
	}
	return head[0], data
}

func TestARawSocketPeerThatBreaksTheProtocolIsAborted(t *testing.T) {
	t.Parallel()
	s, addr := rawStage(t, router.Config{})
	for name, frame := range map[string][]byte{
		"a message of 16 KiB and one": append([]byte{0, 0, 0x40, 1}, make([]byte, 16<<10+1)...),
		"a frame of an unknown type":  {3, 0, 0, 1, 'x'},
		"a reserved bit":              {0x80, 0, 0, 1, 'x'},
		"a large ping":                append([]byte{1, 0, 0x20, 0}, make([]byte, 8<<10)...),
		"garbage":                     {0, 0, 0, 1, 'x'},
	} {
		c, _ := rawPeer(t, s, addr, []byte{0x7f, 0xf1, 0, 0})
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
		_, data := rawReceive(t, c)
		m, err := message.Decode(message.JSON, data)
		if a, ok := m.(*message.Abort); err != nil || !ok || a.Reason != "wamp.error.protocol_violation" {
			t.Errorf("%s: got %+v %v", name, m, err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARawSocketPingIsAnsweredWithItsPayload(t *testing.T) {
	t.Parallel()
	s, addr := rawStage(t, router.Config{})
	c, _ := rawPeer(t, s, addr, []byte{0x7f, 0xf1, 0, 0})
	rawSend(t, c, 1, []byte("hello"))
	if kind, data := rawReceive(t, c); kind != 2 || string(data) != "hello" {
		t.Errorf("got %d %q", kind, data)
	}
}

func TestAResultThatIsLargerThanItsCallerTakesBecomesAnError(t *testing.T) {
	t.Parallel()
	s, addr := rawStage(t, router.Config{})
	err := s.backend(t, realmA).Register("history.transformed.big", func(context.Context, *wamp.Invocation) client.InvokeResult {
		return client.InvokeResult{Args: wamp.List{strings.Repeat("x", 4096)}}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := rawPeer(t, s, addr, []byte{0x7f, 0x31, 0, 0}) // takes 4 KiB
	send := func(m message.Message) {
		t.Helper()
		data, err := message.Append(nil, message.JSON, m)
		if err != nil {
			t.Fatal(err)
		}
		rawSend(t, c, 0, data)
	}
	receive := func() message.Message {
		t.Helper()
		_, data := rawReceive(t, c)
		m, err := message.Decode(message.JSON, data)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	send(hello(realmA.Name(), string(a1.Serial), "wampcra"))
	send(answer(receive().(*message.Challenge), a1.Secrets[0]))
	receive() // WELCOME
	send(&message.Call{Request: 1, Procedure: "history.transformed.big"})
	if e, ok := receive().(*message.Error); !ok || e.URI != "wamp.error.payload_size_exceeded" || e.RequestID != 1 {
		t.Errorf("got %+v", e)
	}
}

func TestASilentRawSocketIsEndedInTime(t *testing.T) {
	t.Parallel()
	s, addr := rawStage(t, router.Config{Limits: transport.Limits{Handshake: 200 * time.Millisecond, TLSHandshake: 100 * time.Millisecond}})
	plain, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	quiet := []net.Conn{plain}
	if secure, err := tls.Dial("tcp", addr, s.tls()); err == nil { // else its time was up before: the machine is busy
		quiet = append(quiet, secure)
	}
	for _, c := range quiet {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it was kept for %v", patience)
		}
		_ = c.Close()
	}
}
