package conformance

var subscribing = []aspect{
	{says: "SUBSCRIBED, UNSUBSCRIBED", holds: func(c *check) {
		a, b := c.two()
		sub := a.subscribe("some.topic", dict{})
		a.reply(unsubscribed, a.ask(unsubscribe, sub))
		b.publish("some.topic", dict{})
		a.nothing()
	}},
	{says: "subscribing again gives the same subscription", holds: func(c *check) {
		p := c.join()
		c.same("the second subscription", p.subscribe("some.topic", dict{}), p.subscribe("some.topic", dict{}))
	}},
	{says: "unsubscribing from what is not subscribed is an error", holds: func(c *check) {
		a, b := c.two()
		a.ask(unsubscribe, b.subscribe("some.topic", dict{}))
		a.refused(unsubscribe, "wamp.error.no_such_subscription")
	}},
	{says: "a sender's messages to a receiver keep their order", holds: func(c *check) {
		a, b := c.two()
		sub := a.subscribe("some.topic", dict{})
		for i := range int64(100) {
			b.ask(publish, dict{}, "some.topic", list{i})
		}
		for i := range int64(100) {
			c.same("the event", at(c, listAt(c, a.receive(sub), 4), 0), i)
		}
	}},
}

var publishing = []aspect{
	{says: "every subscriber gets the event with its arguments", holds: func(c *check) {
		a, b := c.two()
		p := c.join()
		onA, onB := a.subscribe("some.topic", dict{}), b.subscribe("some.topic", dict{})
		publication := p.publish("some.topic", dict{}, list{"x"}, dict{"k": "v"})
		for _, m := range []list{a.receive(onA), b.receive(onB)} {
			c.same("the event", m[2:], list{publication, dict{}, list{"x"}, dict{"k": "v"}})
		}
	}},
	{says: "the publisher does not get it", holds: func(c *check) {
		p := c.join()
		p.subscribe("some.topic", dict{})
		p.publish("some.topic", dict{})
		p.nothing()
	}},
	{says: "PUBLISHED and ERROR where an acknowledgement is asked for", holds: func(c *check) {
		p := c.join()
		p.publish("some.topic", dict{})
		p.ask(publish, dict{"acknowledge": true}, "some topic")
		p.refused(publish, "wamp.error.invalid_uri")
	}},
	{says: "no answer where none is asked for", holds: func(c *check) {
		p := c.join()
		p.ask(publish, dict{}, "some.topic")
		p.ask(publish, dict{}, "some topic")
		p.nothing()
	}},
}

var registering = []aspect{
	{says: "REGISTERED, UNREGISTERED", holds: func(c *check) {
		a, b := c.two()
		reg := a.register("some.procedure", dict{})
		a.reply(unregistered, a.ask(unregister, reg))
		b.call("some.procedure", dict{})
		b.refused(call, "wamp.error.no_such_procedure")
	}},
	{says: "a second registration is an error", holds: func(c *check) {
		a, b := c.two()
		a.register("some.procedure", dict{})
		b.ask(register, dict{}, "some.procedure")
		b.refused(register, "wamp.error.procedure_already_exists")
	}},
	{says: "unregistering what is not registered is an error", holds: func(c *check) {
		a, b := c.two()
		a.ask(unregister, b.register("some.procedure", dict{}))
		a.refused(unregister, "wamp.error.no_such_registration")
	}},
}

var calling = []aspect{
	{says: "CALL, INVOCATION, YIELD, RESULT with their arguments", holds: func(c *check) {
		a, b := c.two()
		reg := a.register("some.procedure", dict{})
		request := b.call("some.procedure", dict{}, list{"x"}, dict{"k": "v"})
		id, m := a.invoked(reg)
		c.same("the invocation", m[3:], list{dict{}, list{"x"}, dict{"k": "v"}})
		a.send(yield, id, dict{}, list{"y"}, dict{"l": "w"})
		c.same("the result", b.reply(result, request)[2:], list{dict{}, list{"y"}, dict{"l": "w"}})
	}},
	{says: "a callee's ERROR reaches the caller with its arguments", holds: func(c *check) {
		a, b := c.two()
		reg := a.register("some.procedure", dict{})
		request := b.call("some.procedure", dict{})
		id, _ := a.invoked(reg)
		a.send(failure, invocation, id, dict{}, "some.error", list{"y"}, dict{"l": "w"})
		m := b.refused(call, "some.error")
		c.same("the request", at(c, m, 2), request)
		c.same("the arguments", m[5:], list{list{"y"}, dict{"l": "w"}})
	}},
	{says: "a procedure that nobody has is an error", holds: func(c *check) {
		p := c.join()
		p.call("some.procedure", dict{})
		p.refused(call, "wamp.error.no_such_procedure")
	}},
	{says: "calls may be answered in any order", holds: func(c *check) {
		a, b := c.two()
		reg := a.register("some.procedure", dict{})
		first, second := b.call("some.procedure", dict{}), b.call("some.procedure", dict{})
		one, _ := a.invoked(reg)
		two, _ := a.invoked(reg)
		a.send(yield, two, dict{})
		a.send(yield, one, dict{})
		b.reply(result, second)
		b.reply(result, first)
	}},
	{says: "a session may call itself", holds: func(c *check) {
		p := c.join()
		reg := p.register("some.procedure", dict{})
		request := p.call("some.procedure", dict{})
		id, _ := p.invoked(reg)
		p.send(yield, id, dict{})
		p.reply(result, request)
	}},
	{says: "a callee that leaves fails its calls with canceled", holds: func(c *check) {
		a, b := c.two()
		reg := a.register("some.procedure", dict{})
		b.call("some.procedure", dict{})
		a.invoked(reg)
		a.vanish()
		b.refused(call, "wamp.error.canceled")
	}},
	{says: "a caller that leaves interrupts its callee with killnowait", holds: func(c *check) {
		a, b := c.two()
		reg := a.register("some.procedure", dict{})
		b.call("some.procedure", dict{})
		id, _ := a.invoked(reg)
		b.vanish()
		m := a.expect(interrupt)
		c.same("the invocation", at(c, m, 1), id)
		c.same("the mode", dictAt(c, m, 2)["mode"], "killnowait")
		a.send(yield, id, dict{}) // late, and nobody's fault
		a.nothing()
	}},
	{says: "a caller that leaves interrupts nobody who cannot be", holds: func(c *check) {
		a := c.joinAs(asJSON, without("callee", "call_canceling"))
		b := c.join()
		reg := a.register("some.procedure", dict{})
		b.call("some.procedure", dict{})
		id, _ := a.invoked(reg)
		b.leave()
		a.nothing()
		a.send(yield, id, dict{})
		a.nothing()
	}},
}
