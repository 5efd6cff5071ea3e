package conformance

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/gammazero/nexus/v3/wamp"
	"github.com/gorilla/websocket"
)

var transports = []feature{
	{"RawSocket", []aspect{
		{says: "JSON, MessagePack and CBOR, by which WebSocket is reached, too", holds: func(c *check) {
			web := c.join()
			sub := web.subscribe("some.topic", dict{})
			for i, as := range codecs {
				p := c.dialRaw(as, rawAnyLength, byte(i+1))
				p.enter(c.open(), dict{"roles": everything()})
				p.publish("some.topic", dict{}, list{as.protocol})
				c.same("the event", listAt(c, web.receive(sub), 4)[0], as.protocol)
				p.leave()
			}
		}},
		{says: "an unknown serializer and reserved bits are refused in the handshake", holds: func(c *check) {
			_, answer := c.handshake(0x7f, 0xf4, 0, 0)
			c.same("the answer", answer, []byte{0x7f, 0x10, 0, 0})
			_, answer = c.handshake(0x7f, 0xf1, 0, 1)
			c.same("the answer", answer, []byte{0x7f, 0x30, 0, 0})
		}},
		{says: "and so is a client that takes too small messages even for WELCOME", holds: func(c *check) {
			_, answer := c.handshake(0x7f, 0x11, 0, 0)
			c.same("the answer", answer, []byte{0x7f, 0x20, 0, 0})
		}},
		{says: "a ping is answered with its payload", holds: func(c *check) {
			l, _ := c.handshake(0x7f, 0xf1, 0, 0)
			c.no(l.frame(1, []byte("payload")))
			kind, data, err := l.next()
			c.no(err)
			c.same("the type", kind, byte(2))
			c.same("the payload", string(data), "payload")
		}},
		{says: "a client is sent no message that is larger than it takes; a call fails with payload_size_exceeded", holds: func(c *check) {
			a, b := c.join(), c.dialRaw(asJSON, raw4K, 1)
			b.enter(c.open(), dict{"roles": dict{"caller": dict{}}})
			reg := a.register("some.procedure", dict{})
			b.call("some.procedure", dict{})
			id, _ := a.invoked(reg)
			a.send(yield, id, dict{}, list{strings.Repeat("x", 4<<10)})
			b.refused(call, "wamp.error.payload_size_exceeded")
		}},
	}},
	{"Batched WebSocket", []aspect{
		{says: "several messages in one", holds: func(c *check) {
			for _, name := range []string{"wamp.2.json.batched", "wamp.2.msgpack.batched", "wamp.2.cbor.batched"} {
				c.must(c.speaks(name), "%s is not spoken", name)
			}
			p := c.dial(codec{protocol: "wamp.2.json.batched"})
			p.sendRaw([]byte(`[1,"` + c.open() + `",{"roles":{"subscriber":{}}}]` + "\x1e" + `[32,1,{},"some.topic"]` + "\x1e"))
			c.same("the messages", p.batched(2), list{int64(welcome), int64(subscribed)})
		}},
		{says: "a batch without a message is refused", holds: func(c *check) {
			p := c.dial(codec{protocol: "wamp.2.json.batched"})
			p.sendRaw(nil)
			c.same("the messages", p.batched(1), list{int64(abort)})
		}},
	}},
	{"HTTP longpoll", []aspect{
		{says: "any of it", lacks: "whoever can do HTTP today can do WebSocket", holds: longpoll},
	}},
	{"Multiplexed transport", []aspect{
		{says: "any of it", lacks: "not written out in the specification; a connection carries one session", holds: func(c *check) {
			p := c.join()
			p.enter(c.open(), dict{"roles": everything()})
		}},
	}},
	{"Payload passthru mode", passthru},
	{"End-to-end encryption", []aspect{
		{says: "encrypted payloads pass as they are", holds: passes(dict{
			"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa20poly1305", "ppt_keyid": "some key"})},
	}},
	{"Router-to-router links", []aspect{
		lacking("broker", "router_to_router", "one node so far"),
	}},
	{"Interface catalogs and payload validation (WAMP IDL)", []aspect{
		{says: "any of it", lacks: "payloads are the application's; what goes into tables is validated by their template", holds: func(c *check) {
			c.join().meta("wamp.catalog.list")
		}},
	}},
}

func uri(s string) wamp.URI { return wamp.URI(s) }

// negotiated offers sub-protocols and gives the chosen one; "" where the router refuses.
func (c *check) negotiated(offer ...string) string {
	d := websocket.Dialer{Subprotocols: offer, HandshakeTimeout: patience}
	ws, response, err := d.Dial(c.world.url, nil)
	if err != nil {
		c.must(response != nil, "no answer: %v", err)
		return ""
	}
	c.t.Cleanup(func() { _ = ws.Close() })
	return ws.Subprotocol()
}

func (c *check) speaks(name string) bool {
	if name == "" {
		return c.negotiated() != ""
	}
	return c.negotiated(name) == name
}

// batched reads that many messages of a batched JSON connection and gives their types.
func (p *peer) batched(n int) (types list) {
	for len(types) < n {
		data, err := p.line.read()
		p.c.no(err)
		for _, one := range bytes.Split(bytes.TrimSuffix(data, []byte{0x1e}), []byte{0x1e}) {
			m, err := asJSON.decode(one)
			p.c.no(err)
			types = append(types, m[0])
		}
	}
	return types
}

func longpoll(c *check) {
	at := strings.Replace(c.world.url, "ws", "http", 1) + "/longpoll/open"
	response, err := http.Post(at, "application/json", strings.NewReader(`{"protocols":["wamp.2.json"]}`))
	c.no(err)
	_ = response.Body.Close()
	c.same("the status", response.StatusCode, http.StatusOK)
}

var passthru = []aspect{
	announced("broker", "payload_passthru_mode"),
	announced("dealer", "payload_passthru_mode"),
	{says: "events, calls, results and errors keep their attributes", holds: passes(dict{
		"ppt_scheme": "x_mine", "ppt_serializer": "custom", "ppt_cipher": "rot13", "ppt_keyid": "7"})},
	{says: "a client that did not announce it must not use it", holds: func(c *check) {
		for role, m := range map[string]list{
			"publisher": {publish, 1, dict{"ppt_scheme": "x_mine"}, "some.topic", list{"x"}},
			"caller":    {call, 1, dict{"ppt_scheme": "x_mine"}, "some.procedure", list{"x"}},
		} {
			p := c.joinAs(asJSON, without(role, "payload_passthru_mode"))
			p.send(m...)
			p.aborted(violation)
		}
	}},
	{says: "a callee that did not announce it is not called", holds: func(c *check) {
		a := c.joinAs(asJSON, without("callee", "payload_passthru_mode"))
		b := c.join()
		a.register("some.procedure", dict{})
		b.call("some.procedure", dict{"ppt_scheme": "x_mine"}, list{"x"})
		b.refused(call, "wamp.error.feature_not_supported")
	}},
	{says: "a caller that did not announce it gets no such result", holds: func(c *check) {
		a, b := c.join(), c.joinAs(asJSON, without("caller", "payload_passthru_mode"))
		reg := a.register("some.procedure", dict{})
		b.call("some.procedure", dict{})
		id, _ := a.invoked(reg)
		a.send(yield, id, dict{"ppt_scheme": "x_mine"}, list{"x"})
		b.refused(call, "wamp.error.feature_not_supported")
	}},
}

// passes sends a payload with the attributes by each kind of message, between two serializers.
func passes(attributes dict) func(*check) {
	return func(c *check) {
		a, b := c.joinAs(asCBOR, everything()), c.joinAs(asMsgPack, everything())
		payload := []byte{0xca, 0xfe}
		carries := func(m list, details int) {
			d := dictAt(c, m, details)
			for name, want := range attributes {
				c.same(name, d[name], want)
			}
			c.same("the payload", listAt(c, m, len(m)-1)[0], payload)
		}
		sub, reg := a.subscribe("some.topic", dict{}), a.register("some.procedure", dict{})
		b.publish("some.topic", attributes, list{payload})
		carries(a.receive(sub), 3)
		for range 2 {
			b.call("some.procedure", attributes, list{payload})
		}
		id, m := a.invoked(reg)
		carries(m, 3)
		a.send(yield, id, attributes, list{payload})
		carries(b.expect(result), 2)
		id, _ = a.invoked(reg)
		a.send(failure, invocation, id, attributes, "some.error", list{payload})
		carries(b.expect(failure), 3)
	}
}
