package core

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// Faults that are known of WAMP routers, and which of them concern the core. Each has a test here, named after its symptom;
// F-numbers are those of the list of faults that the router must not have.
//
//	F1  receivers share a map that is written                below
//	F2  options of passthru mode that are no text            the decoder's; the core has typed options only
//	F3  a shared procedure registered twice                  below
//	F4  realm removed while a call's timeout is pending      below
//	F5, F6, F7, F10  admission, frames, slow readers         the transport's
//	F8  a caller that does not read blocks a callee          below
//	F9  events and acknowledgements lost in bursts           scale_test.go, as far as the core goes: it drops nothing
//	F11 clients speak in the router's name                   below
//	F12 testaments are not authorized                        below
//	F13 a client's own details are believed                  below
//	F14, F15  authentication                                 authn's
//	F16 wrong ids; a reused CALL id goes on with a call      the decoder's; the reused id below
//	F17 publishing costs by the number of subscriptions      scale_test.go, and BenchmarkPublishAmongPatterns
//	F18 a slow authorizer delays others                      scale_test.go: it is asked once
//	F19 CANCEL, then the callee leaves: no answer            below, and TestAKilledCallEndsAsTheCalleeSays
//	F20 history ends with its last subscriber                TestHistoryOutlivesTheLastSubscriber
//	F21 progress withheld from callees without canceling     below
//	F22 refused calls leak; nothing is limited               scale_test.go, and TestQuotas
//	F23 no on_leave when a realm is removed; timers stay     below, and TestTheRouterSessionsSeeTheOthersLeaveWithTheRealm
//	F24 foreign UNREGISTER and UNSUBSCRIBE are acknowledged  below

// encoders read every event on another goroutine, as transports do when they encode it.
type encoders struct {
	*rig
	queue chan *message.Event
}

func (e *encoders) Fanout(to []*Session, ev *message.Event) {
	for range to {
		e.queue <- ev
	}
}

// F1: the race detector sees an event that is changed after it was handed over.
func TestTheProcessSurvivesAllKindsOfSubscriptionsToOneTopic(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	out := &encoders{g, make(chan *message.Event)}
	g.realm.config.Output = out
	pub := g.join("pub")
	for _, spec := range []string{"a.b", "prefix:a", "wildcard:a."} {
		g.subscribe(g.join("sub"), spec)
	}
	topics := map[string]int{}
	var encoding sync.WaitGroup
	encoding.Go(func() {
		for e := range out.queue {
			topics[e.Details.Topic]++
			if args, _, err := e.Payload.Decode(); err != nil || len(args) != 1 {
				t.Errorf("payload %v %v", args, err)
			}
		}
	})
	const busy = 1000
	for range busy {
		g.publish(pub, "a.b", retain, func(o *message.PublishOptions) { o.DiscloseMe = true })
	}
	close(out.queue)
	encoding.Wait()
	if topics[""] != busy || topics["a.b"] != 2*busy {
		t.Errorf("events by details.topic: %v, want %d without and %d with", topics, busy, 2*busy)
	}
}

// F3.
func TestASharedProcedureRegisteredTwiceIsGoneWithItsSession(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a", invoke("roundrobin"))
	g.do(bob, &message.Register{Request: 2, Procedure: "a", Options: message.RegisterOptions{Invoke: "roundrobin"}})
	g.expect(bob, "ERROR REGISTER 2 wamp.error.procedure_already_exists")
	g.realm.Leave(bob, g.now)
	g.call(ann, "a")
	g.expect(ann, "ERROR CALL 1 wamp.error.no_such_procedure")
}

// F4, F23.
func TestARealmIsRemovedWhileACallWaits(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a")
	g.call(ann, "a", func(o *message.CallOptions) { o.TimeoutMs = 10 })
	g.realm.KillAll("wamp.close.close_realm", "", g.now)
	if at, ok := g.realm.NextDeadline(); ok {
		t.Errorf("a timer is left for %v", at)
	}
	g.realm.Tick(g.now.Add(time.Hour))
	g.take(ann)
	g.do(bob, &message.Yield{Request: 1})
	g.expect(ann)
	g.join("cat") // the realm may be used again
}

// F8.
func TestACallerThatDoesNotReadDoesNotHinderItsCallee(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	deaf, ann, bob := g.join("deaf"), g.join("ann"), g.join("bob")
	g.register(bob, "a", invoke("roundrobin"))
	g.full[deaf] = true
	for range 100 {
		g.call(deaf, "a", func(o *message.CallOptions) { o.ReceiveProgress = true })
		g.call(deaf, "wamp.session.list")
	}
	g.call(ann, "a")
	for i := range bob.invoked {
		g.do(bob, &message.Yield{Request: i + 1, Payload: text("done")})
	}
	g.expect(ann, "RESULT 201 done")
	if n := g.realm.Counts().Calls; n != 0 {
		t.Errorf("%d calls are left", n)
	}
}

// F11, for everybody, whatever Authorize says.
func TestNobodySpeaksInTheRoutersName(t *testing.T) {
	t.Parallel()
	for _, role := range []realms.Role{
		realms.RoleDevice, realms.RoleAgent, realms.RoleService, realms.RoleConsole, realms.RoleBackend,
	} {
		g := newRig(t)
		ann, eve := g.join("ann"), g.join("eve", as(role))
		g.subscribe(ann, "prefix:wamp")
		for _, topic := range []string{"wamp", "wamp.session.on_leave", "wamp.x"} {
			g.publish(eve, topic, acknowledged)
			g.expect(eve, "ERROR PUBLISH 9 wamp.error.invalid_uri")
			for _, match := range []string{"exact", "prefix", "wildcard"} {
				g.do(eve, &message.Register{Request: 1, Procedure: topic, Options: message.RegisterOptions{Match: match}})
				g.expect(eve, "ERROR REGISTER 1 wamp.error.invalid_uri")
			}
			if got := g.meta(eve, addProcedure, topic); got != "wamp.error.invalid_uri" {
				t.Errorf("testament for %s: %s", topic, got)
			}
		}
		g.register(eve, "prefix:")
		g.register(eve, "prefix:wam")
		g.register(eve, "wildcard:.session.count")
		if got := g.meta(ann, "wamp.session.count"); got != "2" {
			t.Errorf("wamp.session.count is answered by %q", got)
		}
		g.call(ann, "wamp.nonsense")
		g.expect(eve)
		g.publish(eve, "wampum.x") // only looks like it
		g.expectLast(ann, "EVENT prefix:wamp hello topic=wampum.x")
	}
}

// F12.
func TestWhoMayNotPublishDoesNotDoSoWithATestament(t *testing.T) {
	t.Parallel()
	mute := false
	g := newRig(t, func(c *Config) {
		c.Authorize = func(s *Session, a realms.Action, _ string, _ realms.Match) bool {
			return a != realms.Publish || s.principal.AuthID != "eve" || !mute
		}
	})
	ann, eve := g.join("ann"), g.join("eve")
	g.subscribe(ann, "a")
	g.meta(eve, addProcedure, "a", []any{"allowed when it was set"})
	mute = true // the router need not have rechecked yet
	g.realm.Leave(eve, g.now)
	eve = g.join("eve/2")
	if got := g.meta(eve, addProcedure, "a"); got != "wamp.error.not_authorized" {
		t.Errorf("set a testament: %s", got)
	}
	g.realm.Leave(eve, g.now)
	g.expect(ann)
}

// F13: a session is known by its principal; there is nothing else that a publisher could select by.
func TestDetailsOfAClientsChoiceAreNotShown(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	eve := g.join("eve", announcing(FeaturesOf([]message.Role{{Name: "callee", Features: []string{"admin"}}})))
	want := "{authid=eve authmethod=wampcra authprovider=test authrole=service session=eve}"
	if got := g.meta(g.join("ann"), "wamp.session.get", eve.ID()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// F16.
func TestACallIDThatIsOutstandingDoesNotGoOnWithTheCall(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a")
	id := g.call(ann, "a")
	g.take(bob)
	g.violates(ann, &message.Call{Request: id, Procedure: "a"})
	g.violates(ann, &message.Call{Request: id, Procedure: "a", Options: message.CallOptions{Progress: true}})
	g.expect(bob)
}

// F19.
func TestACallThatIsKilledIsAnsweredThoughTheCalleeLeaves(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.register(bob, "a")
	g.call(ann, "a")
	g.do(ann, &message.Cancel{Request: 1, Mode: "kill"})
	g.realm.Leave(bob, g.now)
	g.expect(ann, "ERROR CALL 1 wamp.error.canceled")
}

// F21: see TestProgressiveResults, whose callee announces nothing.
func TestProgressIsNotWithheldFromCalleesThatCannotCancel(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, old := g.join("ann"), g.join("old", announcing(ClientFeatures{}))
	g.register(old, "a")
	g.call(ann, "a", func(o *message.CallOptions) { o.ReceiveProgress = true })
	g.expect(old, "INVOCATION 1 a hello receive_progress")
}

// F24.
func TestNobodyEndsWhatIsAnothers(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, eve := g.join("ann"), g.join("eve")
	sub, reg := g.subscribe(ann, "a"), g.register(ann, "a")
	g.do(eve, &message.Unsubscribe{Request: 1, Subscription: sub})
	g.expect(eve, "ERROR UNSUBSCRIBE 1 wamp.error.no_such_subscription")
	g.do(eve, &message.Unregister{Request: 1, Registration: reg})
	g.expect(eve, "ERROR UNREGISTER 1 wamp.error.no_such_registration")
	g.do(eve, &message.Unsubscribe{Request: 1, Subscription: 4711})
	g.expect(eve, "ERROR UNSUBSCRIBE 1 wamp.error.no_such_subscription")
	g.do(eve, &message.Unregister{Request: 1, Registration: 4711})
	g.expect(eve, "ERROR UNREGISTER 1 wamp.error.no_such_registration")
	g.publish(eve, "a")
	g.call(eve, "a")
	g.expect(ann, "EVENT a hello", "INVOCATION 1 a hello")
}

// Other routers let any session end another's call with an ERROR or a YIELD of its own.
func TestNobodyAnswersForAnother(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob, eve := g.join("ann"), g.join("bob"), g.join("eve")
	g.register(bob, "a")
	g.register(eve, "e")
	g.call(ann, "e")
	g.do(eve, &message.Yield{Request: 1})
	g.expect(ann, "RESULT 1")
	g.call(ann, "a")
	g.do(eve, &message.Yield{Request: 1, Payload: text("forged")}) // its own, which has been answered
	g.do(eve, &message.Error{Request: message.CodeInvocation, RequestID: 1, URI: "com.forged"})
	g.violates(eve, &message.Yield{Request: 2, Payload: text("forged")})
	g.violates(eve, &message.Error{Request: message.CodeInvocation, RequestID: 2, URI: "com.forged"})
	g.expect(ann)
	g.do(bob, &message.Yield{Request: 1, Payload: text("true")})
	g.expect(ann, "RESULT 2 true")
}

func TestWhatTheRouterSaysOfErrorsIsForUsers(t *testing.T) {
	t.Parallel()
	var got *message.Error
	g := newRig(t)
	ann := g.join("ann")
	g.realm.config.Output = sendFunc(func(m message.Message) { got, _ = m.(*message.Error) })
	g.realm.refuse(ann, message.CodeCall, 1, errs.As(wire.Internal, fmt.Errorf("password=hunter2"), "see the log"))
	args, _, err := got.Payload.Decode()
	if err != nil || !slices.Equal(args, []any{"internal error"}) || got.URI != "bulkhead.error.internal" {
		t.Errorf("%s %v %v", got.URI, args, err)
	}
}

type sendFunc func(message.Message)

func (f sendFunc) Send(_ *Session, m message.Message) error   { f(m); return nil }
func (f sendFunc) Fanout(_ []*Session, m *message.Event)      { f(m) }
func (f sendFunc) Close(_ *Session, goodbye *message.Goodbye) { f(goodbye) }
