package conformance

import "time"

// pending is a call that is not answered.
type pending struct {
	caller, callee *peer
	request, id    int64
}

func (c *check) outstanding(callee dict) (s pending) {
	s.callee, s.caller = c.joinAs(asJSON, callee), c.join()
	reg := s.callee.register("some.procedure", dict{})
	s.request = s.caller.call("some.procedure", dict{})
	s.id, _ = s.callee.invoked(reg)
	return s
}

// progressRestartsTheTimeout has a callee that gives a first result in time and nothing more.
func (c *check) progressRestartsTheTimeout(a, b *peer, reg int64) {
	const timeout = 1500 * time.Millisecond
	request := b.call("some.procedure", dict{"timeout": timeout.Milliseconds(), "receive_progress": true})
	id, _ := a.invoked(reg)
	<-time.After(timeout / 3)
	begin := time.Now()
	a.send(yield, id, dict{"progress": true})
	b.reply(result, request)
	b.refused(call, "wamp.error.timeout")
	c.must(time.Since(begin) >= timeout, "the call timed out %v after a result", time.Since(begin))
}

func registersBy(match, pattern, procedure string) func(*check) {
	return func(c *check) {
		a, b := c.two()
		reg := a.register(pattern, dict{"match": match})
		b.call(procedure, dict{})
		_, m := a.invoked(reg)
		c.same("the procedure", dictAt(c, m, 3)["procedure"], procedure)
		b.call("another.procedure", dict{})
		b.refused(call, "wamp.error.no_such_procedure")
	}
}

// bestMatches is the example of the specification, "Calls matching multiple registrations", with x33 for its c33: there
// "a1.b2.c3" is taken for no prefix of "a1.b2.c33", which it is by the specification's own definition.
func bestMatches(c *check) {
	p := c.join()
	var regs []int64
	for _, r := range [][2]string{
		{"exact", "a1.b2.c3.d4.e55"}, {"prefix", "a1.b2.c3"}, {"prefix", "a1.b2.c3.d4"}, {"wildcard", "a1.b2..d4.e5"},
		{"wildcard", "a1.b2.x33..e5"}, {"wildcard", "a1.b2..d4.e5..g7"}, {"wildcard", "a1.b2..d4..f6.g7"},
	} {
		regs = append(regs, p.register(r[1], dict{"match": r[0]}))
	}
	for procedure, want := range map[string]int{
		"a1.b2.c3.d4.e55": 1, "a1.b2.c3.d98.e74": 2, "a1.b2.c3.d4.e325": 3, "a1.b2.c55.d4.e5": 4,
		"a1.b2.x33.d4.e5": 5, "a1.b2.c88.d4.e5.f6.g7": 6,
	} {
		p.call(procedure, dict{})
		p.invoked(regs[want-1])
	}
	p.call("a2.b2.c2.d2.e2", dict{})
	p.refused(call, "wamp.error.no_such_procedure")
}

// shared gives three callees of one procedure, and their caller.
func (c *check) shared(policy string) (callees [3]*peer, reg int64, caller *peer) {
	for i := range callees {
		callees[i] = c.join()
		reg = callees[i].register("some.procedure", dict{"invoke": policy})
	}
	return callees, reg, c.join()
}

func shares(policy string, order ...int) func(*check) {
	return func(c *check) {
		callees, reg, caller := c.shared(policy)
		for _, i := range order {
			request := caller.call("some.procedure", dict{})
			id, _ := callees[i].invoked(reg)
			callees[i].send(yield, id, dict{})
			caller.reply(result, request)
		}
	}
}

// sharesAtRandom calls so often that all but never a callee is left out.
func sharesAtRandom(c *check) {
	callees, _, caller := c.shared("random")
	const calls = 60
	for range calls {
		caller.call("some.procedure", dict{})
	}
	caller.nothing() // all calls are with their callees
	for i, callee := range callees {
		_, err := callee.next()
		c.must(err == nil, "callee %d was never called: %v", i, err)
	}
}
