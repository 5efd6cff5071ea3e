package router_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// soon is less than peers have that do not answer, and more than anything takes that does not wait for them.
const soon = patience

// within fails where f waits for peers.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > soon {
		t.Errorf("%s took %v", what, took)
	}
}

// F10
func TestAGoodbyeIsAnsweredBehindWhateverIsQueued(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	for i := range 100 {
		p := s.device(t, formats[i%len(formats)], a1)
		p.subscribe("busy.topic")
		for range 20 {
			p.send(&message.Publish{Request: p.id(), Topic: "busy.topic", Options: message.PublishOptions{KeepMe: true}})
		}
		p.send(&message.Goodbye{Reason: "wamp.close.normal", Details: message.Dict{}})
		got := p.ended()
		if len(got) != 21 {
			t.Fatalf("join %d: got %d messages, want 20 events and GOODBYE", i, len(got))
		}
		if g, ok := got[20].(*message.Goodbye); !ok || g.Reason != "wamp.close.goodbye_and_out" {
			t.Fatalf("join %d: got %+v", i, got[20])
		}
	}
}

func TestShuttingDownSaysGoodbyeToEverybodyWhateverTheyDo(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	good, stuck := s.device(t, message.JSON, a1), s.device(t, message.CBOR, a2)
	stuck.stuff(s)
	s.dial(t, message.JSON) // has not joined
	local := s.backend(t, realmA)
	within(t, "closing", func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if got := good.ended(); len(got) != 1 || got[0].(*message.Goodbye).Reason != "wamp.close.system_shutdown" {
		t.Errorf("got %+v", got)
	}
	<-local.Done()
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, err := s.Join(t.Context(), realmA.Name(), backendOf(realmA)); err == nil {
		t.Error("joined a router that is closed")
	}
	s.Apply(tenants()) // does nothing, and does not panic
}

func backendOf(r realms.Realm) realms.Principal {
	return realms.Principal{Role: realms.RoleBackend, AuthID: "service:backend", Project: r.Project}
}

// backend is a client in the router's own process.
func (s *stage) backend(t *testing.T, r realms.Realm) *client.Client {
	t.Helper()
	p, err := s.Join(t.Context(), r.Name(), backendOf(r))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewClient(p, client.Config{Realm: r.Name(), Logger: discard{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestAnOperatorListsAndEndsSessions(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	p := s.device(t, message.JSON, a1)
	stuck := s.device(t, message.JSON, a2)
	stuck.stuff(s)
	list, err := s.Sessions(realmA.Name())
	if err != nil || len(list) != 3 {
		t.Fatalf("%v %v", list, err)
	}
	first := list[0]
	if first.AuthID != string(a1.Serial) || first.Role != "device" || first.Method != "wampcra" || first.Device != a1.Key ||
		first.Protocol != "wamp.2.json" || first.Addr == "" || first.ID != uint64(p.session) {
		t.Errorf("got %+v", first)
	}
	within(t, "ending two sessions", func() {
		for _, info := range list[:2] {
			if err := s.Kill(realmA.Name(), info.ID); err != nil {
				t.Error(err)
			}
		}
		if got := expect[*message.Goodbye](p); got.Reason != "wamp.close.killed" {
			t.Errorf("got %s", got.Reason)
		}
		p.ended()
	})
	if err := s.Kill(realmA.Name(), 1); err == nil {
		t.Error("ended a session that is not there")
	}
	if err := s.Kill(realmB.Name(), list[2].ID); err == nil {
		t.Error("ended a session of another realm")
	}
	if _, err := s.Sessions("realm-1-1-dev"); err == nil {
		t.Error("listed a realm that is not there")
	}
	stuck.broken()
}

func TestAMemberOfThisProcessIsInTheRealmAndNowhereElse(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	c := s.backend(t, realmA)
	name := wire.HistoryProcedure("metrics").URI
	err := c.Register(name, func(_ context.Context, i *wamp.Invocation) client.InvokeResult {
		return client.InvokeResult{Args: wamp.List{i.Details["caller_authid"]}}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := s.device(t, message.MsgPack, a1)
	p.send(&message.Call{Request: p.id(), Procedure: name})
	if got := args(t, expect[*message.Result](p).Payload)[0]; got != string(a1.Serial) {
		t.Errorf("called by %v", got)
	}
	for name, p := range map[string]realms.Principal{
		"of another project": {Role: realms.RoleBackend, Project: projectB},
		"of no project":      {Role: realms.RoleBackend},
		"without a role":     {Project: projectA},
	} {
		if _, err := s.Join(t.Context(), realmA.Name(), p); err == nil {
			t.Errorf("a principal %s joined", name)
		}
	}
	if _, err := s.Join(t.Context(), "realm-1-1-dev", backendOf(realmA)); err == nil {
		t.Error("joined a realm that is not there")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Join(ended, realmA.Name(), backendOf(realmA)); !errors.Is(err, context.Canceled) {
		t.Errorf("joined though it was given up: %v", err)
	}
}

func TestAMemberOfThisProcessEndsWithItsRealm(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	c := s.backend(t, realmA)
	within(t, "its end", func() {
		s.Apply(tenants().Edit(func(e *realms.Editor) { e.DeleteRealm(realmA) }))
		<-c.Done()
	})
	if err := c.Publish("too.late", nil, nil, nil); err == nil {
		t.Error("published after the end")
	}
}

// F4
func TestARealmGoesWhileACallWithATimeoutIsPending(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	callee, caller := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	name := wire.DeviceFunction(projectA, a1.Key, app, wire.Dev, "slow")
	callee.send(&message.Register{Request: callee.id(), Procedure: name})
	expect[*message.Registered](callee)
	caller.send(&message.Call{Request: caller.id(), Procedure: name, Options: message.CallOptions{TimeoutMs: 50}})
	expect[*message.Invocation](callee)
	s.Apply(tenants().Edit(func(e *realms.Editor) { e.DeleteRealm(realmA) }))
	for _, p := range []*peer{callee, caller} {
		p.ended()
	}
}

func TestACallThatTakesTooLongIsEndedByTheRouter(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	callee, caller := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	name := wire.DeviceFunction(projectA, a1.Key, app, wire.Dev, "slow")
	callee.send(&message.Register{Request: callee.id(), Procedure: name})
	expect[*message.Registered](callee)
	caller.send(&message.Call{Request: caller.id(), Procedure: name, Options: message.CallOptions{TimeoutMs: 30}})
	if got := expect[*message.Error](caller); got.URI != "wamp.error.timeout" {
		t.Errorf("got %s", got.URI)
	}
}
