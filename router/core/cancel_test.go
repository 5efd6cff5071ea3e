package core

import (
	"testing"
	"time"

	"bulkhead/router/message"
)

const canceled = "ERROR CALL 1 wamp.error.canceled"

func TestCancelModes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode              string
		understands       bool
		interrupt, answer string
	}{
		{"skip", true, "", canceled},
		{"skip", false, "", canceled},
		{"kill", true, "INTERRUPT 1 kill wamp.error.canceled", ""},
		{"kill", false, "", canceled},
		{"killnowait", true, "INTERRUPT 1 killnowait wamp.error.canceled", canceled},
		{"killnowait", false, "", canceled},
		{"", true, "INTERRUPT 1 killnowait wamp.error.canceled", canceled},
	} {
		g := newRig(t)
		ann, bob := g.join("ann"), g.join("bob", announcing(ClientFeatures{CallCanceling: c.understands}))
		g.register(bob, "a")
		g.call(ann, "a")
		g.take(bob)
		g.do(ann, &message.Cancel{Request: 1, Mode: c.mode})
		g.expect(bob, none(c.interrupt)...)
		g.expect(ann, none(c.answer)...)
		g.do(ann, &message.Cancel{Request: 1, Mode: c.mode}) // again: as if it were not sent
		g.expect(bob)
		g.do(bob, &message.Yield{Request: 1, Payload: text("late")})
		if c.answer == "" {
			g.expect(ann, "RESULT 1 late")
		}
		g.expect(ann)
	}
}

func none(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func TestAKilledCallEndsAsTheCalleeSays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(g *rig, ann, bob *Session)
		want string
	}{
		"result": {func(g *rig, _, bob *Session) { g.do(bob, &message.Yield{Request: 1}) }, "RESULT 1"},
		"error": {func(g *rig, _, bob *Session) {
			g.do(bob, &message.Error{Request: message.CodeInvocation, RequestID: 1, URI: "wamp.error.canceled"})
		}, canceled},
		"callee leaves": {func(g *rig, _, bob *Session) { g.realm.Leave(bob, g.now) }, canceled},
		"impatience":    {func(g *rig, ann, _ *Session) { g.do(ann, &message.Cancel{Request: 1, Mode: "skip"}) }, canceled},
		"timeout":       {func(g *rig, _, _ *Session) { g.realm.Tick(g.now.Add(time.Second)) }, "ERROR CALL 1 wamp.error.timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			ann, bob := g.join("ann"), g.join("bob")
			g.register(bob, "a")
			g.call(ann, "a", func(o *message.CallOptions) { o.TimeoutMs = 1000 })
			g.do(ann, &message.Cancel{Request: 1, Mode: "kill"})
			g.expect(ann)
			c.end(g, ann, bob)
			g.expect(ann, c.want)
			if n := g.realm.Counts().Calls; n != 0 {
				t.Errorf("%d calls are left", n)
			}
		})
	}
}

func TestACallerCancelsOnlyItsOwnCalls(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob, eve := g.join("ann"), g.join("bob"), g.join("eve")
	g.register(bob, "a")
	g.call(ann, "a")
	g.do(eve, &message.Cancel{Request: 1, Mode: "kill"})
	g.do(eve, &message.Cancel{Request: 1, Mode: "skip"})
	g.expect(bob, "INVOCATION 1 a hello")
	g.expect(ann)
}

func TestLeavingEndsCalls(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob, old := g.join("ann"), g.join("bob"), g.join("old", announcing(ClientFeatures{}))
	g.register(bob, "a")
	g.register(old, "b")
	g.call(ann, "a")
	g.call(ann, "b")
	g.take(bob)
	g.take(old)
	g.realm.Leave(ann, g.now)
	g.expect(bob, "INTERRUPT 1 killnowait wamp.error.canceled")
	g.expect(old)
	g.do(bob, &message.Yield{Request: 1})
	g.do(old, &message.Yield{Request: 1})
	g.expect(ann)
}

func TestCallsTimeOutInOrder(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a")
	after := func(ms int64) func(*message.CallOptions) {
		return func(o *message.CallOptions) { o.TimeoutMs = ms; o.ReceiveProgress = true }
	}
	for _, ms := range []int64{300, 100, 200, 0, -5, 1 << 53} {
		g.call(ann, "a", after(ms))
	}
	g.take(bob)
	if at, ok := g.realm.NextDeadline(); !ok || !at.Equal(g.now.Add(100*time.Millisecond)) {
		t.Errorf("next deadline %v %v", at, ok)
	}
	g.do(bob, &message.Yield{Request: 3}) // the third is answered in time
	g.expect(ann, "RESULT 3")
	g.realm.Tick(g.now.Add(99 * time.Millisecond))
	g.expect(ann)
	g.realm.Tick(g.now.Add(100 * time.Millisecond))
	g.expect(ann, "ERROR CALL 2 wamp.error.timeout")
	g.expect(bob, "INTERRUPT 2 killnowait wamp.error.timeout")
	g.do(bob, &message.Yield{Request: 2}) // too late
	g.now = g.now.Add(250 * time.Millisecond)
	g.do(bob, &message.Yield{Request: 1, Options: message.YieldOptions{Progress: true}}) // the time starts anew
	g.expect(ann, "RESULT 1 progress")
	g.realm.Tick(g.now.Add(299 * time.Millisecond))
	g.expect(ann)
	g.realm.Tick(g.now.Add(time.Hour))
	g.expect(ann, "ERROR CALL 1 wamp.error.timeout")
	if at, ok := g.realm.NextDeadline(); ok {
		t.Errorf("deadline %v although nothing waits", at)
	}
	if n := g.realm.Counts().Calls; n != 3 {
		t.Errorf("%d calls are outstanding, want the 3 without a timeout", n)
	}
}
