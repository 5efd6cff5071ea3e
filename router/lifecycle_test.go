package router_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// within fails where f takes longer than a second.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > time.Second {
		t.Errorf("%s took %v", what, took)
	}
}

func TestAChangeOfTheDirectoryEndsTheSessionsThatItTakesAwayAndNoOthers(t *testing.T) {
	t.Parallel()
	service := func(s *stage, t *testing.T) *peer {
		p := s.dial(t, message.JSON)
		p.join(realmA.Name(), "service:ingest", serviceSecret)
		return p
	}
	device := func(s *stage, t *testing.T) *peer { return s.device(t, message.JSON, a1) }
	onDevice := func(s *stage, t *testing.T) *peer {
		id := realms.AppIdentity{App: app, Stage: wire.Dev, Epoch: 1, Serial: a1.Serial}
		p := s.dial(t, message.JSON)
		p.join(realmA.Name(), id.AuthID(), id.Secret(appKey))
		return p
	}
	put := func(change func(*realms.Device)) func(*realms.Editor) {
		return func(e *realms.Editor) {
			d := a1
			change(&d)
			e.PutDevice(d)
		}
	}
	epochs := func(apps ...realms.AppCredential) func(*realms.Editor) {
		return func(e *realms.Editor) { e.PutRealm(realms.Entry{Realm: realmA, Apps: apps}) }
	}
	const killed = "wamp.close.killed"
	for _, c := range []struct {
		name   string
		joined func(*stage, *testing.T) *peer
		edit   func(*realms.Editor)
		want   string // "" where it stays
	}{
		{"a device that is removed", device, func(e *realms.Editor) { e.DeleteDevice(a1.Serial) }, killed},
		{"a device that is suspended", device, put(func(d *realms.Device) { d.Suspended = true }), killed},
		{"a device with another secret", device, put(func(d *realms.Device) { d.Secrets = []secret.Value{secret.Random()} }), killed},
		{"a device without a secret", device, put(func(d *realms.Device) { d.Secrets = nil }), killed},
		{"a device that moved to another project", device, put(func(d *realms.Device) { d.Project = projectB }), killed},
		{"a device during a rotation", device, put(func(d *realms.Device) {
			d.Secrets = []secret.Value{secret.Random(), d.Secrets[0]}
		}), ""},
		{"a device with another name", device, put(func(d *realms.Device) { d.Name = "other" }), ""},
		{"a device beside one that is removed", device, func(e *realms.Editor) { e.DeleteDevice(a2.Serial) }, ""},
		{"an app on a device that is removed", onDevice, func(e *realms.Editor) { e.DeleteDevice(a1.Serial) }, killed},
		{"an app with a new key", onDevice, epochs(realms.AppCredential{Epoch: 2, Key: secret.Random()}), killed},
		{"an app during a rotation", onDevice, epochs(realms.AppCredential{Epoch: 2, Key: secret.Random()},
			realms.AppCredential{Epoch: 1, Key: appKey, Until: time.Now().Add(time.Minute)}), ""},
		{"a service that is removed", service, func(e *realms.Editor) { e.DeleteService(realmA, "ingest") }, killed},
		{"a service with another secret", service, func(e *realms.Editor) { e.PutService(realmA, "ingest", secret.Random()) }, killed},
		{"a device whose realm is removed", device, func(e *realms.Editor) { e.DeleteRealm(realmA) }, "wamp.close.close_realm"},
		{"a device beside a realm that is removed", device, func(e *realms.Editor) { e.DeleteRealm(realmB) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, router.Config{})
			p := c.joined(s, t)
			within(t, "Apply", func() { s.Apply(tenants().Edit(c.edit)) })
			if c.want == "" {
				p.subscribe("still.here")
				return
			}
			within(t, "the end", func() {
				if got := expect[*message.Goodbye](p); got.Reason != c.want {
					t.Errorf("got %s, want %s", got.Reason, c.want)
				}
				p.ended()
			})
		})
	}
}

func TestARealmAppearsAndDisappearsAtRunTime(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	late := realms.OfInstallation(projectA, 500, wire.Prod)
	join := func() string {
		p := s.dial(t, message.JSON)
		reason, _ := attempt(p, hello(late.Name(), string(a1.Serial), "wampcra"), signedBy(a1.Secrets[0]))
		return reason
	}
	if got := join(); got != "wamp.error.no_such_realm" {
		t.Errorf("before: %q", got)
	}
	s.Apply(tenants().Edit(func(e *realms.Editor) { e.PutRealm(realms.Entry{Realm: late}) }))
	if got := join(); got != "" {
		t.Errorf("there: %q", got)
	}
	s.Apply(tenants())
	if got := join(); got != "wamp.error.no_such_realm" {
		t.Errorf("after: %q", got)
	}
}

func TestACredentialThatIsWithdrawnDuringTheJoinDoesNotLetIn(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	p := s.dial(t, message.JSON)
	p.send(hello(realmA.Name(), string(a1.Serial), "wampcra"))
	c := expect[*message.Challenge](p)
	s.Apply(tenants().Edit(func(e *realms.Editor) { e.DeleteDevice(a1.Serial) }))
	p.send(answer(c, a1.Secrets[0]))
	if got := expect[*message.Abort](p); got.Reason != "wamp.error.authentication_failed" {
		t.Errorf("got %s", got.Reason)
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

// stuff fills the peer's queue so that it and the kernel's buffers are full of what it does not read.
func (p *peer) stuff(s *stage) {
	p.t.Helper()
	p.subscribe("flood.topic")
	source := s.backend(p.t, realmA)
	chunk := make([]byte, 1<<20)
	for range 8 {
		if err := source.Publish("flood.topic", wamp.Dict{"acknowledge": true}, wamp.List{chunk}, nil); err != nil {
			p.t.Fatal(err)
		}
	}
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

// F7
func TestAReceiverThatDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	stuck := s.device(t, message.JSON, a1)
	stuck.stuff(s)
	within(t, "removing its realm", func() {
		s.Apply(tenants().Edit(func(e *realms.Editor) { e.DeleteRealm(realmA) }))
	})
	other := s.device(t, message.JSON, b1)
	within(t, "another realm's answer", func() { other.subscribe("calm.waters") })
	for _, m := range stuck.broken() {
		_ = m // the events that were on their way
	}
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

// F9
func TestABurstOf20000EventsReachesWhoReads(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	const burst = 20_000
	p, q := s.device(t, message.JSON, a1), s.device(t, message.CBOR, a2)
	p.subscribe("burst.topic")
	go func() {
		for i := range burst {
			data, _ := message.Append(nil, q.format, &message.Publish{
				Request: message.ID(i + 1), Topic: "burst.topic", Payload: payload(t, q.format, []any{i}),
				Options: message.PublishOptions{Acknowledge: i == burst-1},
			})
			if err := q.ws.WriteMessage(q.kind(), data); err != nil {
				return
			}
		}
	}()
	for i := range burst {
		e := expect[*message.Event](p)
		if got := args(t, e.Payload)[0]; got != uint64(i) {
			t.Fatalf("event %d is %v", i, got)
		}
	}
	expect[*message.Published](q)
}

func TestASlowReceiverIsEndedAndTheOthersLoseNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{Queue: 256 << 10}})
	slow, fast := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	slow.subscribe("flood.topic")
	fast.subscribe("flood.topic")
	source := s.backend(t, realmA)
	chunk := make([]byte, 64<<10)
	sent := 0
	for sessions := 3; sessions == 3; sent++ {
		if err := source.Publish("flood.topic", wamp.Dict{"acknowledge": true}, wamp.List{chunk}, nil); err != nil {
			t.Fatal(err)
		}
		expect[*message.Event](fast)
		list, err := s.Sessions(realmA.Name())
		if err != nil || sent > 1000 {
			t.Fatal(sent, err)
		}
		sessions = len(list)
	}
	got := slow.broken()
	if len(got) > sent { // all but the last event, and GOODBYE
		t.Errorf("the slow receiver got %d messages, of %d events", len(got), sent)
	}
	if g, ok := got[len(got)-1].(*message.Goodbye); ok && g.Reason != "wamp.close.backpressure" {
		t.Errorf("got %s", g.Reason)
	}
}

func TestASlowReceiverIsToldHowManyEventsItLost(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{
		Limits: transport.Limits{Queue: 256 << 10},
		Slow:   func(realms.Kind, realms.Role) transport.Policy { return transport.DropOldest },
	})
	slow := s.device(t, message.MsgPack, a1)
	slow.subscribe("flood.topic")
	source := s.backend(t, realmA)
	const sent = 400
	chunk := make([]byte, 64<<10)
	for range sent {
		if err := source.Publish("flood.topic", wamp.Dict{"acknowledge": true}, wamp.List{chunk}, nil); err != nil {
			t.Fatal(err)
		}
	}
	slow.send(&message.Subscribe{Request: 99, Topic: "other.topic"}) // its reply is not dropped, and is behind all
	var got, lost uint64
	for {
		m, err := slow.next()
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := m.(*message.Event); ok {
			got, lost = got+1, lost+e.Details.Dropped
			continue
		}
		break
	}
	if got+lost != sent || lost == 0 {
		t.Errorf("got %d and was told of %d lost, of %d", got, lost, sent)
	}
}

// F8
func TestACallerThatDoesNotReadDoesNotBlockASharedCallee(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{Queue: 256 << 10}})
	callee := s.backend(t, realmA)
	big := make([]byte, 1<<20)
	err := callee.Register("history.transformed.big", func(context.Context, *wamp.Invocation) client.InvokeResult {
		return client.InvokeResult{Args: wamp.List{big}}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stuck, good := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	for range 20 {
		stuck.send(&message.Call{Request: stuck.id(), Procedure: "history.transformed.big"})
	}
	for range 3 {
		within(t, "a call beside a caller that does not read", func() {
			good.send(&message.Call{Request: good.id(), Procedure: "history.transformed.big"})
			expect[*message.Result](good)
		})
	}
	stuck.broken()
}

func TestADeadPeerIsNoticed(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{Limits: transport.Limits{PingEvery: 40 * time.Millisecond}})
	dead, live := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	pings := make(chan struct{}, 100)
	live.ws.SetPingHandler(func(data string) error {
		pings <- struct{}{}
		return live.ws.WriteControl(10, []byte(data), time.Now().Add(patience))
	})
	go func() { _, _, _ = live.ws.ReadMessage() }()
	for range 6 {
		<-pings
	}
	list, err := s.Sessions(realmA.Name())
	if err != nil || len(list) != 1 || list[0].AuthID != string(a2.Serial) {
		t.Errorf("the dead peer is there: %v %v", list, err)
	}
	dead.broken()
}

// F5
func TestStrangersThatDoNotReadDelayNoJoin(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	for i := range 10 {
		p := s.dial(t, message.JSON)
		p.send(hello(fmt.Sprintf("realm-%d-1-dev", i+1), "x", "wampcra"))
	}
	within(t, "a join", func() { s.device(t, message.JSON, a1) })
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
