package router_test

import (
	"context"
	"testing"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/message"
)

// service joins a realm as its service.
func (s *stage) service(t *testing.T, r realms.Realm) *peer {
	t.Helper()
	p := s.dial(t, message.JSON)
	p.join(r.Name(), "service:ingest", serviceSecret)
	return p
}

// sync waits until the router has handled what the peer has sent.
func (p *peer) sync() {
	p.t.Helper()
	p.send(&message.Unsubscribe{Request: p.id(), Subscription: 1 << 50})
	expect[*message.Error](p)
}

func TestNobodyElseAnswersOrEndsACall(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	callee := s.backend(t, realmA)
	called, answer := make(chan struct{}), make(chan struct{})
	slow := func(context.Context, *wamp.Invocation) client.InvokeResult {
		close(called)
		<-answer
		return client.InvokeResult{Args: wamp.List{"of the callee"}}
	}
	if err := callee.Register("history.transformed.slow", slow, nil); err != nil {
		t.Fatal(err)
	}
	caller := s.device(t, message.JSON, a1)
	caller.send(&message.Call{Request: 1, Procedure: "history.transformed.slow"})
	<-called
	for name, other := range map[string]func() *peer{
		"a device of the same project": func() *peer { return s.device(t, message.JSON, a2) },
		"a session of the same device": func() *peer { return s.device(t, message.CBOR, a1) },
		"a device of another project":  func() *peer { return s.device(t, message.JSON, b1) },
		"a service of the realm":       func() *peer { return s.service(t, realmA) },
	} {
		canceller := other()
		for _, mode := range []string{"skip", "kill", "killnowait"} { // of no call of its own: nothing happens
			canceller.send(&message.Cancel{Request: 1, Mode: mode})
		}
		canceller.sync()
		for id := range message.ID(3) { // no invocation of its own: a violation, which ends it alone
			for _, forged := range []message.Message{
				&message.Yield{Request: id + 1, Payload: payload(t, message.JSON, []any{"forged"})},
				&message.Error{Request: message.CodeInvocation, RequestID: id + 1, Details: message.Dict{}, URI: "forged.error"},
			} {
				forger := other()
				forger.send(forged)
				if a := expect[*message.Abort](forger); a.Reason != "wamp.error.protocol_violation" {
					t.Errorf("%s: %s with %s", name, forged.Code(), a.Reason)
				}
			}
		}
	}
	close(answer)
	if got := args(t, expect[*message.Result](caller).Payload); len(got) != 1 || got[0] != "of the callee" {
		t.Errorf("the caller got %v", got)
	}
}

func TestWhatARealmKeepsIsNotSeenInAnother(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	const topic = "kept.topic"
	source := s.device(t, message.JSON, a1)
	source.send(&message.Publish{Request: source.id(), Topic: topic, Options: message.PublishOptions{Retain: true, Acknowledge: true}, Payload: payload(t, message.JSON, []any{"retained"})})
	expect[*message.Published](source)
	listen := func(p *peer) {
		p.send(&message.Subscribe{Request: p.id(), Topic: topic, Options: message.SubscribeOptions{GetRetained: true}})
		expect[*message.Subscribed](p)
	}
	neighbour, stranger := s.device(t, message.JSON, a2), s.device(t, message.JSON, b1)
	listen(neighbour)
	listen(stranger)
	if got := args(t, expect[*message.Event](neighbour).Payload); got[0] != "retained" {
		t.Errorf("in its realm: %v", got)
	}
	source.send(&message.Call{Request: source.id(), Procedure: "wamp.session.add_testament", Payload: payload(t, message.JSON, []any{topic, []any{"testament"}, map[string]any{}})})
	expect[*message.Result](source)
	source.send(&message.Goodbye{Reason: "wamp.close.normal", Details: message.Dict{}})
	if got := args(t, expect[*message.Event](neighbour).Payload); got[0] != "testament" {
		t.Errorf("in its realm: %v", got)
	}
	stranger.sync() // it would have come before the answer
}

func TestTheMetaAPIOfARealmKnowsNoSessionOfAnother(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	service, foreign := s.service(t, realmA), s.device(t, message.JSON, b1)
	for _, call := range []struct {
		procedure string
		with      any
		want      string
	}{
		{"wamp.session.get", foreign.session, "wamp.error.no_such_session"},
		{"wamp.session.kill", foreign.session, "wamp.error.no_such_session"},
		{"wamp.session.kill_by_authid", string(b1.Serial), ""},
	} {
		service.send(&message.Call{Request: service.id(), Procedure: call.procedure, Payload: payload(t, message.JSON, []any{call.with})})
		switch m, err := service.next(); m := m.(type) {
		case *message.Error:
			if m.URI != call.want {
				t.Errorf("%s: %s, want %q", call.procedure, m.URI, call.want)
			}
		case *message.Result:
			killed, _ := args(t, m.Payload)[0].([]any)
			if got := args(t, m.Payload); call.want != "" || len(killed) > 0 {
				t.Errorf("%s: %v, want %q", call.procedure, got, call.want)
			}
		default:
			t.Fatalf("%T %v", m, err)
		}
	}
	service.send(&message.Call{Request: service.id(), Procedure: "wamp.session.list"})
	list, _ := args(t, expect[*message.Result](service).Payload)[0].([]any)
	if len(list) != 1 || list[0] != uint64(service.session) {
		t.Errorf("the list of sessions is %v", list)
	}
	foreign.sync() // it is there still
}
