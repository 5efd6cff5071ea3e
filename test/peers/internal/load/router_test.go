package load

import (
	"context"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
	"go.uber.org/goleak"

	"bulkhead/test/peers/internal/floor"
	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/scene"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secrets are the scene's, as nexus wants them.
type secrets map[string]string

func (s secrets) AuthKey(authid, _ string) ([]byte, error) { return []byte(s[authid]), nil }
func (secrets) PasswordInfo(string) (string, int, int)     { return "", 0, 0 }
func (secrets) AuthRole(string) (string, error)            { return "agent", nil }
func (secrets) Provider() string                           { return "test" }

// realRouter is somebody else's router.
func realRouter(t *testing.T) Target {
	t.Helper()
	known := secrets{}
	for i := range scene.Devices {
		known[scene.Serial(i)] = scene.Secret(i)
	}
	r, err := nexus.NewRouter(&nexus.Config{RealmConfigs: []*nexus.RealmConfig{
		{URI: scene.Main, AnonymousAuth: true},
		{URI: scene.ProjectRealm, Authenticators: []auth.Authenticator{auth.NewCRAuthenticator(known, time.Minute)}},
	}}, log.New(io.Discard, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	ws := nexus.NewWebsocketServer(r)
	ws.OutQueueSize = 10_000 // so that nothing is lost
	server := httptest.NewServer(ws)
	t.Cleanup(server.Close)
	return Target{Addr: server.Listener.Addr().String()}
}

func theFloor(t *testing.T) Target {
	t.Helper()
	h, err := floor.New()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return Target{Addr: server.Listener.Addr().String()}
}

func eachServer(t *testing.T, f func(t *testing.T, target Target)) {
	t.Helper()
	for name, serve := range map[string]func(*testing.T) Target{"nexus": realRouter, "floor": theFloor} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, serve(t))
		})
	}
}

const shortly = 50 * time.Millisecond

func TestEveryEventIsCounted(t *testing.T) {
	t.Parallel()
	for _, s := range [][2]frame.Serializer{{frame.JSON, frame.JSON}, {frame.CBOR, frame.CBOR}, {frame.JSON, frame.MessagePack}} {
		t.Run(s[0].String()+" to "+s[1].String(), func(t *testing.T) {
			t.Parallel()
			eachServer(t, func(t *testing.T, target Target) { countEvents(t, target, s[0], s[1]) })
		})
	}
}

func countEvents(t *testing.T, target Target, from, to frame.Serializer) {
	t.Helper()
	p, err := NewPubSub(t.Context(), target, PubSubPlan{
		Realm: scene.Main, Topic: "a.topic", Publishers: 2, Window: 8, Subscribers: 3, From: from, To: to,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 2 {
		r, err := p.Run(t.Context(), shortly)
		if err != nil {
			t.Fatal(err)
		}
		if r.Ops == 0 || r.Ops != 3*p.Published() || r.Lost != 0 || r.Refused != 0 || r.Disordered != 0 {
			t.Errorf("%d published to 3: %+v", p.Published(), r)
		}
		if r.Latency.Count() != uint64(r.Ops) || r.Latency.Quantile(0.5) == 0 || r.Elapsed <= 0 {
			t.Errorf("%d latencies of %d events in %v", r.Latency.Count(), r.Ops, r.Elapsed)
		}
	}
}

func TestAPacedPublisherKeepsItsPace(t *testing.T) {
	t.Parallel()
	p, err := NewPubSub(t.Context(), theFloor(t), PubSubPlan{
		Realm: scene.Main, Topic: "a.topic", Publishers: 1, Window: 64, Subscribers: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Pace(500)
	if _, err := p.Run(t.Context(), 4*shortly); err != nil {
		t.Fatal(err)
	}
	if n := p.Published(); n == 0 || n > 101 {
		t.Errorf("%d publications in 200 ms at 500 a second", n)
	}
}

func TestEveryCallIsCounted(t *testing.T) {
	t.Parallel()
	for s := range frame.Serializer(frame.Serializers) {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			eachServer(t, func(t *testing.T, target Target) {
				c, err := NewCalls(t.Context(), target, CallPlan{Realm: scene.Main, Callers: 2, Callees: 2, Window: 4, Serializer: s})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				r, err := c.Run(t.Context(), shortly)
				if err != nil || r.Ops == 0 || r.Lost != 0 || r.Refused != 0 || r.Latency.Count() != uint64(r.Ops) {
					t.Errorf("%+v, %v", r, err)
				}
			})
		})
	}
}

func TestDevicesJoinWithTheirProof(t *testing.T) {
	t.Parallel()
	target := realRouter(t)
	j := NewJoins(target, JoinPlan{Realm: scene.ProjectRealm, CRA: true, Workers: 3, Limit: 12})
	defer j.Close()
	r, err := j.Run(t.Context(), time.Minute)
	if err != nil || r.Ops != 12 {
		t.Errorf("%d joined, %v", r.Ops, err)
	}
	for s := range frame.Serializer(frame.Serializers) {
		session, err := Join(t.Context(), target, Login{Realm: scene.ProjectRealm, Serializer: s, Device: 5})
		if err != nil {
			t.Errorf("%v: %v", s, err)
			continue
		}
		if session.ID == 0 {
			t.Errorf("%v: no session id", s)
		}
		session.Close()
	}
}

func TestARefusalSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := Join(t.Context(), realRouter(t), Login{Realm: "no.such.realm"})
	if err == nil || !strings.Contains(err.Error(), "no_such_realm") {
		t.Errorf("joined, or: %v", err)
	}
}

func TestAJoinEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Join(ctx, theFloor(t), Login{Realm: scene.Main}); err == nil {
		t.Error("joined")
	}
}

func TestIdleSessionsThatEndAreCounted(t *testing.T) {
	t.Parallel()
	h, err := floor.New()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	idle, err := NewIdle(t.Context(), Target{Addr: server.Listener.Addr().String()}, JoinPlan{Realm: scene.Main, Workers: 2, Limit: 6})
	if err != nil {
		t.Fatal(err)
	}
	if n := idle.Ended(); n != 0 {
		t.Errorf("%d have ended", n)
	}
	idle.sessions[0].Close()
	idle.sessions[3].Close()
	idle.Close()
	if n := idle.Ended(); n != 6 {
		t.Errorf("%d have ended, of 6 that were closed", n)
	}
}

func TestAProbeMeasuresEachExchange(t *testing.T) {
	t.Parallel()
	p, err := NewProbe(t.Context(), realRouter(t), scene.Main, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r, err := p.Run(t.Context(), shortly)
	if err != nil || r.Ops == 0 || r.Latency.Count() != uint64(r.Ops) || r.Latency.Quantile(0.5) == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPatternsThatDoNotMatchChangeNothing(t *testing.T) {
	t.Parallel()
	target := realRouter(t)
	held, err := Subscribe(t.Context(), target, scene.Main, 250)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if n := len(held.sessions); n != 3 {
		t.Errorf("%d sessions", n)
	}
	countEvents(t, target, frame.JSON, frame.JSON)
	if n := held.Ended(); n != 0 {
		t.Errorf("%d sessions got something, or ended", n)
	}
}
