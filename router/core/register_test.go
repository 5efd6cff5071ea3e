package core

import (
	"math/rand/v2"
	"slices"
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func TestAProcedureIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	id := g.register(ann, "a")
	for _, o := range []message.RegisterOptions{{}, {Invoke: "single"}, {Invoke: "roundrobin"}} {
		g.do(bob, &message.Register{Request: 1, Procedure: "a", Options: o})
		g.expect(bob, "ERROR REGISTER 1 wamp.error.procedure_already_exists")
	}
	g.register(bob, "prefix:a") // is another pattern
	g.do(ann, &message.Unregister{Request: 2, Registration: id})
	g.expect(ann, "UNREGISTERED 2 a")
	g.register(bob, "a")
	g.do(ann, &message.Unregister{Request: 3, Registration: id})
	g.expect(ann, "ERROR UNREGISTER 3 wamp.error.no_such_registration")
}

func TestASharedProcedureKeepsItsPolicy(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(ann, "a", invoke("first"))
	for _, policy := range []string{"", "single", "last", "roundrobin", "random"} {
		g.do(bob, &message.Register{Request: 1, Procedure: "a", Options: message.RegisterOptions{Invoke: policy}})
		g.expect(bob, "ERROR REGISTER 1 wamp.error.procedure_already_exists")
	}
	g.register(bob, "a", invoke("first"))
}

// calledIn gives who is called by a number of calls, each of which is answered at once where answer is true.
func calledIn(g *rig, caller *Session, callees []*Session, n int, answer bool) (called []string) {
	for range n {
		g.call(caller, "a")
		for _, s := range callees {
			for range g.take(s) {
				called = append(called, g.names[s.ID()])
				if answer {
					g.do(s, &message.Yield{Request: s.invoked})
				}
			}
		}
	}
	return called
}

func TestInvocationPolicies(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]string{
		"first":      "bob bob bob bob bob",
		"last":       "dan dan dan dan dan",
		"roundrobin": "bob cat dan bob cat",
	} {
		g := newRig(t)
		ann := g.join("ann")
		callees := []*Session{g.join("bob"), g.join("cat"), g.join("dan")}
		for _, s := range callees {
			g.register(s, "a", invoke(policy))
		}
		got := joinWords(calledIn(g, ann, callees, 5, true))
		if got != want {
			t.Errorf("%s calls %s, want %s", policy, got, want)
		}
	}
}

func TestRandomReachesEveryCallee(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Random = rand.New(rand.NewPCG(1, 2)).Uint64 })
	ann := g.join("ann")
	callees := []*Session{g.join("bob"), g.join("cat"), g.join("dan")}
	for _, s := range callees {
		g.register(s, "a", invoke("random"))
	}
	called := map[string]int{}
	for _, name := range calledIn(g, ann, callees, 3000, true) {
		called[name]++
	}
	for _, name := range []string{"bob", "cat", "dan"} {
		if called[name] < 900 || called[name] > 1100 {
			t.Errorf("%s was called %d times of 3000", name, called[name])
		}
	}
}

func TestRoundRobinGoesOnWhereItWasWhenACalleeLeaves(t *testing.T) {
	t.Parallel()
	for leaver, want := range map[string]string{"bob": "cat dan cat", "cat": "dan bob dan", "dan": "cat bob cat"} {
		g := newRig(t)
		ann := g.join("ann")
		callees := []*Session{g.join("bob"), g.join("cat"), g.join("dan")}
		for _, s := range callees {
			g.register(s, "a", invoke("roundrobin"))
		}
		calledIn(g, ann, callees, 1, true)
		at := slices.IndexFunc(callees, func(s *Session) bool { return s.principal.AuthID == leaver })
		g.realm.Leave(callees[at], g.now)
		if got := joinWords(calledIn(g, ann, callees, 3, true)); got != want {
			t.Errorf("without %s: %s, want %s", leaver, got, want)
		}
	}
}

func TestRoundRobinGoesOnBehindWhoeverWasCalled(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	callees := []*Session{g.join("bob"), g.join("cat"), g.join("dan")}
	for i, s := range callees {
		limit := 0
		if i == 0 {
			limit = 1
		}
		g.register(s, "a", invoke("roundrobin"), func(o *message.RegisterOptions) { o.Concurrency = limit })
	}
	if got, want := joinWords(calledIn(g, ann, callees, 6, false)), "bob cat dan cat dan cat"; got != want {
		t.Errorf("%s, want %s: bob takes one call only", got, want)
	}
}

func TestConcurrencyIsLimitedPerCallee(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]string{
		"first": "bob bob cat cat", "last": "cat cat bob bob", "roundrobin": "bob cat bob cat", "random": "",
	} {
		g := newRig(t)
		ann := g.join("ann")
		callees := []*Session{g.join("bob"), g.join("cat")}
		for _, s := range callees {
			g.register(s, "a", invoke(policy), func(o *message.RegisterOptions) { o.Concurrency = 2 })
		}
		got := joinWords(calledIn(g, ann, callees, 4, false))
		if want != "" && got != want {
			t.Errorf("%s calls %s, want %s", policy, got, want)
		}
		g.expect(ann)
		g.call(ann, "a")
		g.expect(ann, "ERROR CALL 5 wamp.error.unavailable")
		g.do(callees[1], &message.Yield{Request: 1})
		g.take(ann)
		g.call(ann, "a")
		g.expect(callees[1], "INVOCATION 3 a hello")
	}
}

func TestForceReregisterIsForTheSamePrincipal(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	old, mute := g.join("ann"), g.join("ann/2", announcing(ClientFeatures{}))
	bob, other := g.join("bob"), g.join("ann/3", as(realms.RoleConsole))
	force := func(o *message.RegisterOptions) { o.ForceReregister = true; o.Invoke = "first" }
	g.register(old, "a", invoke("roundrobin"))
	g.register(mute, "a", invoke("roundrobin"))
	g.call(bob, "a")
	g.expect(old, "INVOCATION 1 a hello")
	for _, s := range []*Session{bob, other} { // another authid, and the same authid in another role
		g.do(s, &message.Register{Request: 1, Procedure: "a", Options: message.RegisterOptions{ForceReregister: true}})
		g.expect(s, "ERROR REGISTER 1 wamp.error.procedure_already_exists")
	}
	anew := g.join("ann/4")
	g.register(anew, "a", force)
	g.expect(old, "UNREGISTERED 0 a registered anew by another session")
	g.expect(mute) // it has not announced that it understands
	g.do(old, &message.Yield{Request: 1, Payload: text("late")})
	g.expect(bob, "RESULT 1 late") // what was under way may end
	g.call(bob, "a")
	g.expect(anew, "INVOCATION 1 a hello")
	if n := g.realm.Counts().Registrations; n != 1 {
		t.Errorf("%d registrations, want 1", n)
	}
	g.register(anew, "a", force) // over its own
	g.expect(anew, "UNREGISTERED 0 a registered anew by another session")
	g.register(bob, "free", force) // over nobody's
}

func TestForceReregisterWorksAtTheLimit(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Quotas.AuthID.Registrations = 1; c.Quotas.Session.Registrations = 1 })
	ghost, anew := g.join("ann"), g.join("ann/2")
	g.register(ghost, "a")
	g.do(anew, &message.Register{Request: 1, Procedure: "b"})
	g.expect(anew, "ERROR REGISTER 1 bulkhead.error.exhausted")
	g.register(anew, "a", func(o *message.RegisterOptions) { o.ForceReregister = true })
	g.do(anew, &message.Register{Request: 1, Procedure: "b"})
	g.expect(anew, "ERROR REGISTER 1 bulkhead.error.exhausted")
	g.register(g.join("bob"), "b")
}
