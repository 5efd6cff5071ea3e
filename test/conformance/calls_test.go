package conformance

// short is a timeout of a call that nobody answers.
const short = 30

var advancedCalls = []feature{
	{"Progressive call results", []aspect{
		announced("dealer", "progressive_call_results"),
		{says: "results with progress arrive in order before the last", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			request := b.call("some.procedure", dict{"receive_progress": true})
			id, m := a.invoked(reg)
			c.same("receive_progress", dictAt(c, m, 3)["receive_progress"], true)
			for i := range int64(3) {
				a.send(yield, id, dict{"progress": true}, list{i})
				c.same("the result", b.reply(result, request)[2:], list{dict{"progress": true}, list{i}})
			}
			a.send(yield, id, dict{})
			c.same("the last result", b.reply(result, request)[2:], list{dict{}})
		}},
		{says: "an error may end them", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			request := b.call("some.procedure", dict{"receive_progress": true})
			id, _ := a.invoked(reg)
			a.send(yield, id, dict{"progress": true})
			a.send(failure, invocation, id, dict{}, "some.error")
			b.reply(result, request)
			b.refused(call, "some.error")
		}},
		{says: "a caller that leaves interrupts them", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			request := b.call("some.procedure", dict{"receive_progress": true})
			id, _ := a.invoked(reg)
			a.send(yield, id, dict{"progress": true})
			b.reply(result, request)
			b.vanish()
			c.same("the mode", dictAt(c, a.expect(interrupt), 2)["mode"], "killnowait")
		}},
		{says: "progress that nobody asked for is a protocol error", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			b.call("some.procedure", dict{})
			id, _ := a.invoked(reg)
			a.send(yield, id, dict{"progress": true})
			a.aborted(violation)
		}},
		{says: "withheld from callees that cannot be interrupted", holds: func(c *check) {
			a := c.joinAs(asJSON, without("callee", "call_canceling"))
			b := c.join()
			reg := a.register("some.procedure", dict{})
			b.call("some.procedure", dict{"receive_progress": true})
			_, m := a.invoked(reg)
			c.same("the details", at(c, m, 3), dict{})
		}, lacks: "autobahn-js's callees do not announce call_canceling, and would get none at all"},
	}},
	{"Progressive call invocations", []aspect{
		announced("dealer", "progressive_call_invocations"),
		{says: "parts of a call reach the same callee under one id", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{"invoke": "roundrobin"})
			c.join().register("some.procedure", dict{"invoke": "roundrobin"})
			request := b.call("some.procedure", dict{"progress": true}, list{1})
			first, m := a.invoked(reg)
			c.same("the first part", m[3:], list{dict{"progress": true}, list{int64(1)}})
			b.send(call, request, dict{}, "some.procedure", list{2})
			second, m := a.invoked(reg)
			c.same("the id", second, first)
			c.same("the last part", m[3:], list{dict{}, list{int64(2)}})
			a.send(yield, first, dict{})
			b.reply(result, request)
		}},
		{says: "options are those of the first part", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			request := b.call("some.procedure", dict{"progress": true, "disclose_me": true})
			a.invoked(reg)
			b.send(call, request, dict{"disclose_me": false}, "some.procedure")
			_, m := a.invoked(reg)
			c.same("the caller", dictAt(c, m, 3)["caller"], b.session)
		}},
		{says: "parts after the end are dropped", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			request := b.call("some.procedure", dict{"progress": true})
			id, _ := a.invoked(reg)
			a.send(yield, id, dict{})
			b.reply(result, request)
			b.send(call, request, dict{"progress": true}, "some.procedure")
			b.nothing()
			a.nothing()
		}},
		{says: "a callee that does not take parts gets none", holds: func(c *check) {
			a := c.joinAs(asJSON, without("callee", "progressive_call_invocations"))
			b := c.join()
			a.register("some.procedure", dict{})
			b.call("some.procedure", dict{"progress": true})
			b.refused(call, "wamp.error.feature_not_supported")
		}},
		{says: "with results in parts at the same time", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			request := b.call("some.procedure", dict{"progress": true, "receive_progress": true}, list{1})
			id, _ := a.invoked(reg)
			a.send(yield, id, dict{"progress": true}, list{1})
			b.reply(result, request)
			b.send(call, request, dict{}, "some.procedure", list{2})
			a.invoked(reg)
			a.send(yield, id, dict{})
			b.reply(result, request)
		}},
	}},
	{"Call timeout", []aspect{
		announced("dealer", "call_timeout"),
		{says: "the dealer ends a call that takes too long, and interrupts the callee", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			b.call("some.procedure", dict{"timeout": short})
			id, _ := a.invoked(reg)
			b.refused(call, "wamp.error.timeout")
			m := a.expect(interrupt)
			c.same("the invocation", at(c, m, 1), id)
			c.same("the mode", dictAt(c, m, 2)["mode"], "killnowait")
			a.send(yield, id, dict{})
			b.nothing()
		}},
		{says: "a callee that cannot be interrupted is left alone", holds: func(c *check) {
			a := c.joinAs(asJSON, without("callee", "call_canceling"))
			b := c.join()
			reg := a.register("some.procedure", dict{})
			b.call("some.procedure", dict{"timeout": short})
			a.invoked(reg)
			b.refused(call, "wamp.error.timeout")
			a.nothing()
		}},
		{says: "zero is no timeout, and a result with progress starts it anew", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			request := b.call("some.procedure", dict{"timeout": 0})
			id, _ := a.invoked(reg)
			b.call("some.procedure", dict{"timeout": short})
			a.invoked(reg)
			b.refused(call, "wamp.error.timeout") // by now the first would have timed out, too
			a.expect(interrupt)
			a.send(yield, id, dict{})
			b.reply(result, request)
			c.progressRestartsTheTimeout(a, b, reg)
		}},
		{says: "the timeout is left to a callee that wants to keep it (forward_timeout)", optional: true, holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{"forward_timeout": true})
			b.call("some.procedure", dict{"timeout": 1000})
			_, m := a.invoked(reg)
			c.same("the timeout", dictAt(c, m, 3)["timeout"], int64(1000))
		}, lacks: "the dealer keeps every timeout itself: a caller relies on no callee"},
	}},
	{"Call canceling", []aspect{
		announced("dealer", "call_canceling"),
		{says: "skip answers the caller and leaves the callee alone", holds: func(c *check) {
			s := c.outstanding(everything())
			s.caller.send(cancel, s.request, dict{"mode": "skip"})
			s.caller.refused(call, "wamp.error.canceled")
			s.callee.send(yield, s.id, dict{})
			s.callee.nothing()
			s.caller.nothing()
		}},
		{says: "kill interrupts the callee and waits for its answer", holds: func(c *check) {
			s := c.outstanding(everything())
			s.caller.send(cancel, s.request, dict{"mode": "kill"})
			c.same("the mode", dictAt(c, s.callee.expect(interrupt), 2)["mode"], "kill")
			s.callee.send(failure, invocation, s.id, dict{}, "some.error")
			s.caller.refused(call, "some.error")
		}},
		{says: "after kill the result may still come", holds: func(c *check) {
			s := c.outstanding(everything())
			s.caller.send(cancel, s.request, dict{"mode": "kill"})
			s.callee.expect(interrupt)
			s.callee.send(yield, s.id, dict{}, list{"done"})
			s.caller.reply(result, s.request)
		}},
		{says: "after kill a callee that leaves is an answer, too", holds: func(c *check) {
			s := c.outstanding(everything())
			s.caller.send(cancel, s.request, dict{"mode": "kill"})
			s.callee.expect(interrupt)
			s.callee.vanish()
			s.caller.refused(call, "wamp.error.canceled")
		}},
		{says: "killnowait interrupts the callee and answers at once", holds: func(c *check) {
			s := c.outstanding(everything())
			s.caller.send(cancel, s.request, dict{"mode": "killnowait"})
			s.caller.refused(call, "wamp.error.canceled")
			c.same("the mode", dictAt(c, s.callee.expect(interrupt), 2)["mode"], "killnowait")
			s.callee.send(yield, s.id, dict{})
			s.caller.nothing()
		}},
		{says: "a callee that cannot be interrupted is skipped", holds: func(c *check) {
			s := c.outstanding(without("callee", "call_canceling"))
			s.caller.send(cancel, s.request, dict{"mode": "kill"})
			s.caller.refused(call, "wamp.error.canceled")
			s.callee.nothing()
		}},
		{says: "canceling what is answered does nothing", holds: func(c *check) {
			s := c.outstanding(everything())
			s.callee.send(yield, s.id, dict{})
			s.caller.reply(result, s.request)
			s.caller.send(cancel, s.request, dict{})
			s.caller.nothing()
			s.callee.nothing()
		}},
	}},
	{"Caller identification", []aspect{
		announced("dealer", "caller_identification"),
		{says: "a caller that asks is disclosed", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			b.call("some.procedure", dict{"disclose_me": true})
			_, m := a.invoked(reg)
			c.same("the details", at(c, m, 3), dict{
				"caller": b.session, "caller_authid": b.welcome["authid"], "caller_authrole": b.welcome["authrole"],
			})
		}},
		{says: "one that does not ask is not", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{})
			b.call("some.procedure", dict{})
			_, m := a.invoked(reg)
			c.same("the details", at(c, m, 3), dict{})
		}},
		{says: "a callee may ask (disclose_caller)", holds: func(c *check) {
			a, b := c.two()
			reg := a.register("some.procedure", dict{"disclose_caller": true})
			b.call("some.procedure", dict{})
			_, m := a.invoked(reg)
			c.same("the caller", dictAt(c, m, 3)["caller"], b.session)
		}},
		{says: "a realm may refuse it", holds: func(c *check) {
			c.open(discreet)
			p := c.join()
			p.call("some.procedure", dict{"disclose_me": true})
			p.refused(call, "wamp.error.option_disallowed.disclose_me")
		}},
		{says: "a tenant's realm always does it", holds: func(c *check) {
			a, b := c.joinTenant(service), c.joinTenant(device)
			name := c.unique("echo")
			reg := a.register(name, dict{})
			b.call(name, dict{})
			_, m := a.invoked(reg)
			c.same("the caller", dictAt(c, m, 3)["caller_authid"], string(c.world.device.Serial))
		}},
	}},
	{"Pattern-based registration", []aspect{
		announced("dealer", "pattern_based_registration"),
		{says: "prefix, and the procedure called is told", holds: registersBy("prefix", "some.pre", "some.prefix.x")},
		{says: "wildcard, and the procedure called is told", holds: registersBy("wildcard", "some..x", "some.where.x")},
		{says: "the best match is the one of the specification's example", holds: bestMatches},
		{says: "one URI may be registered in several ways", holds: func(c *check) {
			p := c.join()
			for _, match := range []string{"exact", "prefix", "wildcard"} {
				p.register("some.procedure", dict{"match": match})
			}
		}},
	}},
	{"Shared registration", []aspect{
		announced("dealer", "shared_registration"),
		{says: "roundrobin", holds: shares("roundrobin", 0, 1, 2, 0, 1)},
		{says: "first", holds: shares("first", 0, 0, 0)},
		{says: "last", holds: shares("last", 2, 2, 2)},
		{says: "random", holds: sharesAtRandom},
		{says: "single, and another policy, are refused", holds: func(c *check) {
			a, b := c.two()
			a.register("one.procedure", dict{"invoke": "single"})
			a.register("two.procedure", dict{"invoke": "roundrobin"})
			for _, u := range []string{"one.procedure", "two.procedure"} {
				b.ask(register, dict{"invoke": "single"}, u)
				b.refused(register, "wamp.error.procedure_already_exists")
			}
		}},
		{says: "the next takes over when one leaves", holds: func(c *check) {
			a, b := c.two()
			a.register("some.procedure", dict{"invoke": "first"})
			reg := b.register("some.procedure", dict{"invoke": "first"})
			a.leave()
			c.join().call("some.procedure", dict{})
			b.invoked(reg)
		}},
	}},
	{"Registration revocation", []aspect{
		announced("dealer", "registration_revocation"),
		{says: "a callee is told that it lost its registration", holds: func(c *check) {
			a, b := c.joinTenant(service), c.joinTenant(service)
			name := c.unique("mine")
			lost := a.register(name, dict{})
			b.register(name, dict{"force_reregister": true})
			m := a.expect(unregistered)
			c.same("the request", at(c, m, 1), int64(0))
			c.same("the registration", dictAt(c, m, 2)["registration"], lost)
			c.must(dictAt(c, m, 2)["reason"] != nil, "no reason is given")
		}},
	}},
	{"Call rerouting", []aspect{
		lacking("dealer", "call_reroute", "a sketch in the specification; a callee that refuses would decide who else is called"),
	}},
	{"Call trust levels", []aspect{
		lacking("dealer", "call_trustlevels", "who calls is disclosed instead, as the router has proved it"),
	}},
	{"Sharded registration", []aspect{
		lacking("dealer", "sharded_registration", "not written out in the specification"),
	}},
	{"Procedure reflection", []aspect{reflects("procedure")}},
}
