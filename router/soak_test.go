package router_test

import (
	"crypto/tls"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// soakTime is how long honest and misbehaving clients share a router: BULKHEAD_SOAK, such as 10m, or about a second.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("BULKHEAD_SOAK")
	if text == "" {
		return time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestHonestClientsLoseNothingBesideMisbehavingOnes(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{
		Queue: 1 << 20, Handshake: patience, TLSHandshake: patience, RealmBytes: 32 << 20,
	}})
	const honest = 10
	var devices []realms.Device
	for i := range honest {
		devices = append(devices, newDevice(projectA, wire.Key(1000+i)))
	}
	s.Apply(tenants().Edit(func(e *realms.Editor) {
		for _, d := range devices {
			e.PutDevice(d)
		}
	}))
	stop := make(chan struct{})
	var rogues, members sync.WaitGroup
	for i := range 8 {
		rogues.Go(func() { misbehave(s, uint64(i), stop) })
	}
	end := time.Now().Add(soakTime(t))
	for i, d := range devices {
		p := s.device(t, formats[i%len(formats)], d)
		members.Go(func() { p.behave(d, end) })
	}
	members.Wait()
	close(stop)
	rogues.Wait()
}

// behave calls itself and publishes to itself until the time is up, and checks that each message comes back once and in order.
func (p *peer) behave(d realms.Device, end time.Time) {
	own := wire.DeviceFunction(projectA, d.Key, app, wire.Dev, "echo")
	p.send(&message.Register{Request: p.id(), Procedure: own})
	if m, err := p.next(); err != nil || m.Code() != message.CodeRegistered {
		p.t.Error("not registered:", m, err)
		return
	}
	topic := "honest.device" + d.Key.String()
	p.send(&message.Subscribe{Request: p.id(), Topic: topic})
	if m, err := p.next(); err != nil || m.Code() != message.CodeSubscribed {
		p.t.Error("not subscribed:", m, err)
		return
	}
	for n := uint64(0); time.Now().Before(end); n++ {
		body := payload(p.t, p.format, []any{n})
		p.send(
			&message.Publish{Request: p.id(), Topic: topic, Payload: body, Options: message.PublishOptions{KeepMe: true}},
			&message.Call{Request: p.id(), Procedure: own, Payload: body},
		)
		for range 3 { // EVENT, INVOCATION, RESULT
			m, err := p.next()
			if err != nil {
				p.t.Error("an honest session ended:", err)
				return
			}
			if !p.echo(m, n) {
				return
			}
		}
	}
}

func (p *peer) echo(m message.Message, n uint64) bool {
	var got message.Payload
	switch m := m.(type) {
	case *message.Event:
		got = m.Payload
	case *message.Invocation:
		got = m.Payload
		p.send(&message.Yield{Request: m.Request, Payload: m.Payload})
	case *message.Result:
		got = m.Payload
	}
	values, _, err := got.Decode()
	if err != nil || len(values) != 1 || values[0] != n {
		p.t.Errorf("got %T %v, want %d", m, values, n)
		return false
	}
	return true
}

// misbehave connects again and again, each time to do something that is wrong.
func misbehave(s *stage, seed uint64, stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(seed, seed))
	deeds := []func(*stage, *rand.Rand){silent, garbage, halfFrame, flood, slowReader, killed}
	for {
		select {
		case <-stop:
			return
		default:
			deeds[r.IntN(len(deeds))](s, r)
		}
	}
}

func silent(s *stage, _ *rand.Rand) {
	if c, err := tls.Dial("tcp", s.addr, s.tls()); err == nil {
		_ = c.Close()
	}
	if c, err := net.Dial("tcp", s.addr); err == nil {
		_ = c.Close()
	}
}

// rogue joins as a device of project A, without looking for errors.
func rogue(s *stage, d realms.Device) *websocket.Conn {
	dialer := websocket.Dialer{TLSClientConfig: s.tls(), Subprotocols: []string{"wamp.2.cbor"}, HandshakeTimeout: time.Second}
	ws, _, err := dialer.Dial("wss://"+s.addr+"/ws", nil)
	if err != nil {
		return nil
	}
	_ = ws.SetReadDeadline(time.Now().Add(time.Second))
	shout(ws, hello(realmA.Name(), string(d.Serial), "wampcra"))
	_, data, err := ws.ReadMessage()
	if err != nil {
		return ws
	}
	if c, err := message.Decode(message.CBOR, data); err == nil {
		if c, ok := c.(*message.Challenge); ok {
			shout(ws, answer(c, d.Secrets[0]))
			_, _, _ = ws.ReadMessage()
		}
	}
	return ws
}

func shout(ws *websocket.Conn, m message.Message) {
	if data, err := message.Append(nil, message.CBOR, m); err == nil {
		_ = ws.SetWriteDeadline(time.Now().Add(time.Second))
		_ = ws.WriteMessage(websocket.BinaryMessage, data)
	}
}

func garbage(s *stage, r *rand.Rand) {
	ws := rogue(s, a1)
	if ws == nil {
		return
	}
	defer ws.Close()
	data := make([]byte, r.IntN(2000))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	_ = ws.WriteMessage(1+r.IntN(2), data)
	_, _, _ = ws.ReadMessage()
}

func halfFrame(s *stage, _ *rand.Rand) {
	if ws := rogue(s, a1); ws != nil {
		_, _ = ws.NetConn().Write([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4, 5})
		_ = ws.Close()
	}
}

// flood publishes as fast as it can to those that do not read.
func flood(s *stage, r *rand.Rand) {
	ws := rogue(s, a2)
	if ws == nil {
		return
	}
	defer ws.Close()
	body, err := message.NewPayload(message.CBOR, []any{make([]byte, r.IntN(50_000))}, nil)
	if err != nil {
		return
	}
	for i := range 200 {
		shout(ws, &message.Publish{Request: message.ID(i + 1), Topic: "rogue.flood", Payload: body})
	}
}

func slowReader(s *stage, r *rand.Rand) {
	ws := rogue(s, a2)
	if ws == nil {
		return
	}
	defer ws.Close()
	shout(ws, &message.Subscribe{Request: 1, Topic: "rogue", Options: message.SubscribeOptions{Match: "prefix"}})
	flood(s, r)
}

// killed is ended by an operator.
func killed(s *stage, _ *rand.Rand) {
	ws := rogue(s, a1)
	if ws == nil {
		return
	}
	defer ws.Close()
	list, err := s.Sessions(realmA.Name())
	if err != nil {
		return
	}
	for _, info := range list {
		if info.AuthID == string(a1.Serial) {
			_ = s.Kill(realmA.Name(), info.ID)
		}
	}
}
