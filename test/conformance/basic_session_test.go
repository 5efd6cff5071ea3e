package conformance

import (
	"strings"

	"bulkhead/realms"
)

// basic is the basic profile.
var basic = []feature{
	{"Opening a session (HELLO, WELCOME)", []aspect{
		{says: "WELCOME answers HELLO and announces broker and dealer", holds: func(c *check) {
			roles := dictAt(c, list{c.join().welcome["roles"]}, 0)
			c.must(roles["broker"] != nil && roles["dealer"] != nil, "the roles are %v", roles)
		}},
		{says: "attributes that nobody knows are ignored", holds: func(c *check) {
			p := c.dial(asJSON)
			p.enter(c.open(), dict{"roles": everything(), "agent": "conformance", "_x_unknown": list{1}})
			p.subscribe("some.topic", dict{"_x_unknown": true})
		}},
		{says: "a realm that is not there is refused", holds: func(c *check) {
			p := c.dial(asJSON)
			p.send(hello, "conformance.nowhere", dict{"roles": everything()})
			p.aborted("wamp.error.no_such_realm")
		}},
		{says: "a client without a role is refused", holds: func(c *check) {
			p := c.dial(asJSON)
			p.send(hello, c.open(), dict{"roles": dict{}})
			p.aborted("wamp.error.no_such_role")
		}},
		{says: "the router names itself in WELCOME", optional: true, lacks: "a stranger is not told what runs here", holds: func(c *check) {
			c.must(c.join().welcome["agent"] != nil, "WELCOME has no agent")
		}},
	}},
	{"Closing a session (GOODBYE)", []aspect{
		{says: "GOODBYE is answered", holds: func(c *check) { c.join().leave() }},
		{says: "what the session had is gone", holds: func(c *check) {
			a, b := c.two()
			a.register("some.procedure", dict{})
			a.leave()
			b.register("some.procedure", dict{})
		}},
		{says: "the router says GOODBYE when a realm ends", holds: func(c *check) {
			p := c.join()
			c.world.router.RemoveRealm("conformance.unknown") // somebody else's end is not ours
			c.world.router.RemoveRealm(uri(c.realm))
			c.same("the reason", at(c, p.expect(goodbye), 2), "wamp.close.close_realm")
		}},
		{says: "the connection may be used for another session", optional: true, holds: func(c *check) {
			p := c.join()
			p.leave()
			p.enter(c.open(), dict{"roles": everything()})
		}, lacks: "a connection carries one session, and ends with it"},
	}},
	{"Protocol errors (ABORT)", protocolErrors},
	{"URIs", []aspect{
		{says: "loose URIs are taken", holds: func(c *check) { c.join().subscribe("Ünï-code.9/x!.Z", dict{}) }},
		{says: "white space, # and empty components are refused", holds: func(c *check) {
			p := c.join()
			for _, u := range []string{"a b", "a.#", "a..b", ".a", "a.", ""} {
				p.ask(subscribe, dict{}, u)
				p.refused(subscribe, "wamp.error.invalid_uri")
			}
		}},
		{says: "strict URIs, where a realm wants them", holds: func(c *check) {
			c.open(strictURIs)
			p := c.join()
			p.subscribe("com.my_app.topic1", dict{})
			p.ask(subscribe, dict{}, "com.myApp")
			p.refused(subscribe, "wamp.error.invalid_uri")
		}},
		{says: "names that begin with wamp. are the router's", holds: func(c *check) {
			p := c.join()
			p.ask(register, dict{}, "wamp.mine")
			p.refused(register, "wamp.error.invalid_uri")
			p.ask(publish, dict{"acknowledge": true}, "wamp.session.on_leave")
			p.refused(publish, "wamp.error.invalid_uri")
		}},
	}},
	{"IDs", []aspect{
		{says: "ids of sessions and publications are random", holds: func(c *check) {
			a, b := c.two()
			first, second := a.publish("t", dict{}), a.publish("t", dict{})
			for _, id := range []int64{a.session, b.session, first, second} {
				c.must(id >= 1 && id <= 1<<53, "%d is out of range", id)
			}
			c.must(distance(a.session, b.session) > 1000 && distance(first, second) > 1000, "ids follow each other")
		}},
		{says: "ids of invocations count from 1", holds: func(c *check) {
			a, b := c.two()
			r := a.register("some.procedure", dict{})
			for want := range int64(3) {
				b.call("some.procedure", dict{})
				id, _ := a.invoked(r)
				c.same("the id", id, want+1)
			}
		}},
		{says: "an id out of range is refused", holds: func(c *check) {
			for _, id := range []any{0, -1, 1.5, 9007199254740993, "1"} {
				p := c.join()
				p.send(subscribe, id, dict{}, "some.topic")
				p.aborted(violation)
			}
		}},
	}},
	{"Serializers: JSON, MessagePack, CBOR", []aspect{
		{says: "what one says in any, another hears in any", holds: everyPairOfSerializers},
		{says: "binaries in JSON", holds: binariesInJSON},
		{says: "messages with empty arguments are shortened", holds: func(c *check) {
			a, b := c.two()
			sub := a.subscribe("some.topic", dict{})
			b.publish("some.topic", dict{})
			c.same("the number of elements", len(a.receive(sub)), 4)
		}},
	}},
	{"WebSocket transport", []aspect{
		{says: "text messages for JSON, binary ones for the others", holds: func(c *check) {
			for _, s := range codecs {
				c.joinAs(s, everything()) // the client refuses the wrong type
			}
		}},
		{says: "the wrong type of message is refused", holds: func(c *check) {
			p := c.join()
			web := p.line.(*webLine)
			web.binary = true
			p.send(subscribe, 1, dict{}, "some.topic")
			web.binary = false
			p.aborted(violation)
		}},
		{says: "an unknown sub-protocol is refused", holds: func(c *check) {
			c.must(!c.speaks("wamp.2.ubjson") && !c.speaks(""), "it was not refused")
		}},
		{says: "the client's order of sub-protocols decides", holds: func(c *check) {
			c.same("the choice", c.negotiated("wamp.2.ubjson", "wamp.2.cbor", "wamp.2.json"), "wamp.2.cbor")
		}},
	}},
	{"Subscribing", subscribing},
	{"Publishing", publishing},
	{"Registering", registering},
	{"Calling", calling},
	{"Authorization", []aspect{
		{says: "what is not allowed is refused with not_authorized", holds: func(c *check) {
			p := c.joinTenant(realms.RoleDevice)
			p.ask(subscribe, dict{}, "sys.agent.x")
			p.refused(subscribe, "wamp.error.not_authorized")
			p.ask(register, dict{}, "some.procedure")
			p.refused(register, "wamp.error.not_authorized")
			p.ask(publish, dict{"acknowledge": true}, "sys.agent.x")
			p.refused(publish, "wamp.error.not_authorized")
			p.call("sys.agent.x", dict{})
			p.refused(call, "wamp.error.not_authorized")
		}},
		{says: "an authorizer that fails is a refusal with authorization_failed", holds: func(c *check) {
			c.open(failingAuthorizer)
			p := c.join()
			p.ask(subscribe, dict{}, "some.topic")
			p.refused(subscribe, "wamp.error.authorization_failed")
		}},
	}},
}

const violation = "wamp.error.protocol_violation"

func distance(a, b int64) int64 { return max(a-b, b-a) }

// protocolErrors are those that the specification lists for what clients send.
var protocolErrors = []aspect{
	afterWelcome("a second HELLO", `[1,"some.realm",{"roles":{"caller":{}}}]`),
	afterWelcome("WELCOME from a client", `[2,1,{}]`),
	afterWelcome("CHALLENGE from a client", `[4,"ticket",{}]`),
	afterWelcome("ERROR for a request that has none", `[8,36,1,{},"some.error"]`),
	afterWelcome("YIELD for what was never invoked", `[70,12345,{}]`),
	afterWelcome("an empty list", `[]`),
	afterWelcome("an unknown message type", `[255]`),
	afterWelcome("elements of the wrong type", `[32,1,[],"some.topic"]`),
	afterWelcome("integers for booleans", `[16,1,{"acknowledge":1},"some.topic"]`),
	afterWelcome("a key twice", `[48,1,{},"some.procedure",[],{"a":1,"a":2}]`),
	afterWelcome("what cannot be decoded", `[32,1,{},"some.topic"`),
	afterWelcome("text that is not UTF-8", "[32,1,{},\"some.\xff\"]"),
	beforeWelcome("GOODBYE before the session", `[6,{},"wamp.close.close_realm"]`),
	beforeWelcome("ERROR before the session", `[8,68,1,{},"some.error"]`),
	beforeWelcome("a request before the session", `[32,1,{},"some.topic"]`),
	{says: "the session's subscriptions and registrations end with it", holds: func(c *check) {
		a, b := c.two()
		a.register("some.procedure", dict{})
		a.sendRaw([]byte(`[]`))
		a.aborted(violation)
		b.register("some.procedure", dict{})
	}},
	{says: "nobody else is touched", holds: func(c *check) {
		a, b := c.two()
		a.sendRaw([]byte(`[]`))
		a.aborted(violation)
		b.subscribe("some.topic", dict{})
	}},
	{says: "a request id that skips", lacks: "the ids of clients in use skip: nexus's client takes a number and then sends, so two goroutines swap theirs, and Thruway draws them at random as older drafts had it; an id is refused while a call has it, and nothing here needs more",
		holds: func(c *check) {
			p := c.join()
			p.send(subscribe, 7, dict{}, "some.topic")
			c.same("the reason", at(c, p.expect(abort), 2), violation)
		}},
}

// afterWelcome is a protocol error within a session.
func afterWelcome(says, frame string) aspect {
	return aspect{says: says, holds: func(c *check) {
		p := c.join()
		p.sendRaw([]byte(frame))
		p.aborted(violation)
	}}
}

func beforeWelcome(says, frame string) aspect {
	return aspect{says: says, holds: func(c *check) {
		p := c.dial(asJSON)
		p.sendRaw([]byte(frame))
		p.aborted(violation)
	}}
}

func everyPairOfSerializers(c *check) {
	payload := list{"text ü", int64(1), int64(-1), 2.5, true, nil, list{int64(1), dict{"k": "v"}}, int64(1) << 60}
	keywords := dict{"key": list{"value"}, "n": nil}
	for i, from := range codecs {
		for j, to := range codecs {
			topic := "some.topic" + strings.Repeat("x", 1+3*i+j)
			a, b := c.joinAs(from, everything()), c.joinAs(to, everything())
			sub := b.subscribe(topic, dict{})
			a.publish(topic, dict{}, payload, keywords)
			m := b.receive(sub)
			c.same("the arguments", at(c, m, 4), payload)
			c.same("the keyword arguments", at(c, m, 5), keywords)
		}
	}
}

func binariesInJSON(c *check) {
	binary := []byte{0x10, 0xe3, 0xff, 0x00}
	const text = "\x00EOP/AA=="
	for _, s := range []codec{asMsgPack, asCBOR} {
		a, b := c.joinAs(s, everything()), c.join()
		topic := "some.topic." + s.protocol
		toA, toB := a.subscribe(topic, dict{}), b.subscribe(topic, dict{})
		a.publish(topic, dict{}, list{binary})
		c.same("the binary in JSON", at(c, listAt(c, b.receive(toB), 4), 0), text)
		b.publish(topic, dict{}, list{text})
		c.same("the binary out of JSON", at(c, listAt(c, a.receive(toA), 4), 0), binary)
	}
}

// joinTenant joins the tenant's realm as its device or its service.
func (c *check) joinTenant(role realms.Role) *peer {
	p := c.dial(asJSON)
	authid, password := string(c.world.device.Serial), c.world.device.Secrets[0]
	if role == realms.RoleService {
		authid, password = "service:sample", c.world.service
	}
	p.proveBySecret(c.world.tenant.Name(), authid, password)
	return p
}
