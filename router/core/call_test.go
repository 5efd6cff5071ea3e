package core

import (
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func TestACallIsAnsweredByItsCallee(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a.b")
	g.call(ann, "a.b")
	g.expect(bob, "INVOCATION 1 a.b hello")
	g.do(bob, &message.Yield{Request: 1, Payload: text("done")})
	g.expect(ann, "RESULT 1 done")
	g.call(ann, "a.b")
	g.expect(bob, "INVOCATION 2 a.b hello")
	g.do(bob, &message.Error{
		Request: message.CodeInvocation, RequestID: 2, URI: "com.myapp.error", Payload: text("sorry"),
		Details: message.Dict{"callee": "somebody else"}, Passthru: &message.Passthru{Scheme: "mqtt"},
	})
	g.expect(ann, "ERROR CALL 2 com.myapp.error sorry")
	g.expect(bob)
}

func TestASessionMayCallItself(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	g.register(ann, "a")
	g.call(ann, "a")
	g.do(ann, &message.Yield{Request: 1})
	g.expect(ann, "INVOCATION 1 a hello", "RESULT 1")
}

func TestWhatCannotBeCalled(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) {
		c.Authorize = func(_ *Session, _ realms.Action, uri string, _ realms.Match) bool { return uri != "secret" }
	})
	ann := g.join("ann")
	for procedure, want := range map[string]string{
		"nobody.has.it":                "wamp.error.no_such_procedure",
		"wamp.nothing":                 "wamp.error.no_such_procedure",
		"secret":                       "wamp.error.not_authorized",
		"":                             "wamp.error.invalid_uri",
		"a..b":                         "wamp.error.invalid_uri",
		"a b":                          "wamp.error.invalid_uri",
		"a#b":                          "wamp.error.invalid_uri",
		string(make([]byte, 1025)):     "bulkhead.error.exhausted",
		"a." + string([]byte{0xff, 1}): "wamp.error.invalid_uri",
	} {
		id := g.call(ann, procedure)
		g.expect(ann, words{"ERROR CALL", fmtID(id), want}.String())
	}
}

// TestCallsMatchingMultipleRegistrations has the specification's own examples, but with x33 for its c33: the specification
// takes "a1.b2.c3" for no prefix of "a1.b2.c33" there, and says the opposite where it defines prefixes.
func TestCallsMatchingMultipleRegistrations(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	for _, p := range []string{
		"a1.b2.c3.d4.e55", "prefix:a1.b2.c3", "prefix:a1.b2.c3.d4", "wildcard:a1.b2..d4.e5", "wildcard:a1.b2.x33..e5",
		"wildcard:a1.b2..d4.e5..g7", "wildcard:a1.b2..d4..f6.g7",
	} {
		g.register(bob, p)
	}
	for _, c := range []struct{ procedure, registration string }{
		{"a1.b2.c3.d4.e55", "a1.b2.c3.d4.e55"},
		{"a1.b2.c3.d98.e74", "prefix:a1.b2.c3"},
		{"a1.b2.c3.d4.e325", "prefix:a1.b2.c3.d4"},
		{"a1.b2.c55.d4.e5", "wildcard:a1.b2..d4.e5"},
		{"a1.b2.x33.d4.e5", "wildcard:a1.b2.x33..e5"},
		{"a1.b2.c88.d4.e5.f6.g7", "wildcard:a1.b2..d4.e5..g7"},
	} {
		g.call(ann, c.procedure)
		want := words{"INVOCATION", fmtID(bob.invoked), c.registration, "hello"}
		if match, _ := splitSpec(c.registration); match != "" {
			want.named("procedure", c.procedure)
		}
		g.expect(bob, want.String())
	}
	g.expect(ann)
	g.call(ann, "a2.b2.c2.d2.e2")
	g.expect(ann, "ERROR CALL 7 wamp.error.no_such_procedure")
}

func TestCallersAreDisclosed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		realm, caller, callee, want bool
	}{
		{false, false, false, false},
		{true, false, false, true},
		{false, true, false, true},
		{false, false, true, true},
	} {
		g := newRig(t, func(o *Config) { o.Disclose = c.realm })
		ann, bob := g.join("ann"), g.join("bob", as(realms.RoleDevice))
		g.register(bob, "a", func(o *message.RegisterOptions) { o.DiscloseCaller = c.callee })
		g.call(ann, "a", func(o *message.CallOptions) { o.DiscloseMe = c.caller })
		want := "INVOCATION 1 a hello"
		if c.want {
			want += " caller=ann,ann,service"
		}
		g.expect(bob, want)
	}
}

func TestACalleeThatCannotTakeTheCallFailsIt(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a")
	g.full[bob] = true
	g.call(ann, "a")
	g.expect(ann, "ERROR CALL 1 wamp.error.unavailable")
	g.full[bob] = false
	g.call(ann, "a")
	g.expect(bob, "INVOCATION 1 a hello") // ids have no gaps
	g.do(bob, &message.Yield{Request: 1})
	g.expect(ann, "RESULT 2")
	if n := g.realm.Counts().Calls; n != 0 {
		t.Errorf("%d calls are left", n)
	}
}

func TestProgressiveResults(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob", announcing(ClientFeatures{})) // which says nothing of call_canceling
	g.register(bob, "a")
	g.call(ann, "a", func(o *message.CallOptions) { o.ReceiveProgress = true })
	g.expect(bob, "INVOCATION 1 a hello receive_progress")
	more := message.YieldOptions{Progress: true}
	g.do(bob, &message.Yield{Request: 1, Options: more, Payload: text(1)})
	g.do(bob, &message.Yield{Request: 1, Options: more, Payload: text(2)})
	g.do(bob, &message.Yield{Request: 1, Payload: text(3)})
	g.do(bob, &message.Yield{Request: 1, Options: more, Payload: text(4)})
	g.expect(ann, "RESULT 1 1 progress", "RESULT 1 2 progress", "RESULT 1 3")
}

func TestProgressNobodyAskedForIsAViolation(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a")
	g.call(ann, "a")
	g.violates(bob, &message.Yield{Request: 1, Options: message.YieldOptions{Progress: true}})
	g.realm.Leave(bob, g.now)
	g.expect(ann, "ERROR CALL 1 wamp.error.canceled")
}

func TestPassthruNeedsAllThree(t *testing.T) {
	t.Parallel()
	sealed := &message.Passthru{Scheme: "x_custom", Serializer: "cbor", Cipher: "c", KeyID: "k"}
	g := newRig(t)
	ann, bob, old := g.join("ann"), g.join("bob"), g.join("old", announcing(ClientFeatures{}))
	g.register(bob, "a")
	g.register(old, "b")
	ppt := func(o *message.CallOptions) { o.Passthru = sealed }
	g.call(ann, "a", ppt)
	g.expect(bob, "INVOCATION 1 a hello ppt=x_custom")
	g.do(bob, &message.Yield{Request: 1, Options: message.YieldOptions{Passthru: sealed}})
	g.expect(ann, "RESULT 1 ppt=x_custom")
	g.call(ann, "b", ppt)
	g.expect(ann, "ERROR CALL 2 wamp.error.feature_not_supported")
	g.violates(old, &message.Call{Request: 1, Procedure: "a", Options: message.CallOptions{Passthru: sealed}})

	g.call(old, "a", func(o *message.CallOptions) { o.ReceiveProgress = true })
	g.take(bob)
	g.do(bob, &message.Yield{Request: 2, Options: message.YieldOptions{Passthru: sealed, Progress: true}})
	g.expect(old, "ERROR CALL 3 wamp.error.feature_not_supported")
	g.expect(bob, "INTERRUPT 2 killnowait wamp.error.feature_not_supported")

	g.call(ann, "b")
	g.expect(old, "INVOCATION 1 b hello")
	g.violates(old, &message.Yield{Request: 1, Options: message.YieldOptions{Passthru: sealed}})
}

func TestAnswersToNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a")
	g.call(ann, "a")
	g.do(bob, &message.Yield{Request: 1})
	g.take(ann)
	g.do(bob, &message.Yield{Request: 1}) // late or twice: nobody's fault
	g.do(bob, &message.Error{Request: message.CodeInvocation, RequestID: 1, URI: "a"})
	g.do(ann, &message.Cancel{Request: 1})
	g.do(ann, &message.Cancel{Request: 99})
	g.expect(ann)
	g.violates(bob, &message.Yield{Request: 2})
	g.violates(bob, &message.Error{Request: message.CodeInvocation, RequestID: 2, URI: "a"})
	g.violates(bob, &message.Error{Request: message.CodeCall, RequestID: 1, URI: "a"})
	g.violates(bob, &message.Hello{})
	g.violates(bob, &message.Welcome{})
	g.violates(bob, &message.Goodbye{})
	g.violates(bob, &message.Result{Request: 1})
	g.violates(bob, &message.Event{})
}
