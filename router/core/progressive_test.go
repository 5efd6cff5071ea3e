package core

import (
	"testing"

	"bulkhead/router/message"
)

// part is one CALL of a call in parts.
func part(id message.ID, more bool, word string) *message.Call {
	return &message.Call{
		Request: id, Procedure: "a", Payload: text(word), Options: message.CallOptions{Progress: more, DiscloseMe: true},
	}
}

func TestACallInPartsGoesToOneCallee(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob, cat := g.join("ann"), g.join("bob"), g.join("cat")
	g.register(bob, "a", invoke("roundrobin"))
	g.register(cat, "a", invoke("roundrobin"))
	g.do(ann, part(1, true, "one"))
	later := part(1, true, "two")
	later.Options = message.CallOptions{Progress: true, ReceiveProgress: true} // the options of the first count
	g.do(ann, later)
	g.do(ann, part(2, false, "other"))
	g.do(ann, part(1, false, "three"))
	g.expect(
		bob, "INVOCATION 1 a one caller=ann,ann,service progress", "INVOCATION 1 a two caller=ann,ann,service progress",
		"INVOCATION 1 a three caller=ann,ann,service",
	)
	g.expect(cat, "INVOCATION 1 a other caller=ann,ann,service")
	g.do(bob, &message.Yield{Request: 1, Payload: text("done")})
	g.expect(ann, "RESULT 1 done")
}

func TestTheRestOfAnAnsweredCallIsDropped(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(g *rig, ann, bob *Session){
		"result":    func(g *rig, _, bob *Session) { g.do(bob, &message.Yield{Request: 1}) },
		"callee":    func(g *rig, _, bob *Session) { g.realm.Leave(bob, g.now) },
		"canceled":  func(g *rig, ann, _ *Session) { g.do(ann, &message.Cancel{Request: 1}) },
		"not taken": func(g *rig, ann, bob *Session) { g.full[bob] = true; g.do(ann, part(1, true, "x")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			ann, bob := g.join("ann"), g.join("bob")
			g.register(bob, "a")
			g.do(ann, part(1, true, "one"))
			end(g, ann, bob)
			if got := g.take(ann); len(got) != 1 {
				t.Fatalf("%q, want one answer", got)
			}
			g.take(bob)
			g.full[bob] = false
			g.do(ann, part(1, true, "two"))
			g.do(ann, part(1, false, "three"))
			g.expect(ann)
			g.expect(bob)
			if len(ann.ended) != 0 {
				t.Errorf("still remembered: %v", ann.ended)
			}
		})
	}
}

func TestTheRestOfARefusedCallIsDropped(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	g.do(ann, part(1, true, "one"))
	g.expect(ann, "ERROR CALL 1 wamp.error.no_such_procedure")
	g.do(ann, part(1, false, "two"))
	g.expect(ann)
}

func TestWhatIsRememberedOfAnsweredCallsIsBounded(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	for id := range message.ID(1000) {
		g.do(ann, part(id+1, true, "x"))
	}
	if n := len(ann.ended); n != maxEnded {
		t.Errorf("%d are remembered, want %d", n, maxEnded)
	}
}

func TestAnOutstandingRequestIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a")
	g.register(bob, "b")
	g.do(ann, part(1, false, "one"))
	g.violates(ann, part(1, false, "again"))
	g.do(ann, part(2, true, "one"))
	g.violates(ann, &message.Call{Request: 2, Procedure: "b"})
	g.do(ann, part(2, false, "two"))
	g.violates(ann, part(2, false, "three"))
	g.expect(
		bob, "INVOCATION 1 a one caller=ann,ann,service", "INVOCATION 2 a one caller=ann,ann,service progress",
		"INVOCATION 2 a two caller=ann,ann,service",
	)
}

func TestPartsMustBeAnnounced(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	g.violates(g.join("old", announcing(ClientFeatures{})), part(1, true, "x"))
	for name, f := range map[string]ClientFeatures{
		"nothing": {}, "no canceling": {ProgressiveInvocationsCallee: true}, "no parts": {CallCanceling: true},
	} {
		callee := g.join(name, announcing(f))
		g.register(callee, "a")
		id := g.request()
		g.do(ann, part(id, true, "x"))
		g.expect(ann, words{"ERROR CALL", fmtID(id), "wamp.error.feature_not_supported"}.String())
		g.realm.Leave(callee, g.now)
	}
}
