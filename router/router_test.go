package router_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/gammazero/nexus/v3/client"
	"github.com/gammazero/nexus/v3/transport/serialize"
	"github.com/gammazero/nexus/v3/wamp"
	"github.com/gammazero/nexus/v3/wamp/crsign"
	"github.com/google/go-cmp/cmp"

	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/message"
)

func TestADevicePublishesToADeviceOfItsProjectInEverySerializer(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	for _, from := range formats {
		for _, to := range formats {
			for _, batched := range []bool{false, true} {
				t.Run(fmt.Sprint(from, " to ", to, " batched ", batched), func(t *testing.T) {
					t.Parallel()
					topic := fmt.Sprintf("news.%s.%s.%t", from, to, batched)
					listener := s.dialAs(t, to, batched)
					listener.join(realmA.Name(), string(a2.Serial), a2.Secrets[0])
					sub := listener.subscribe(topic)
					s.device(t, from, a1).publish(topic, "hello", 1, -1, 2.5, nil, true, map[string]any{"k": []any{"v"}})
					e := expect[*message.Event](listener)
					if e.Subscription != sub || e.Details.Publisher.AuthID != string(a1.Serial) {
						t.Errorf("event %+v, want subscription %d from %s", e, sub, a1.Serial)
					}
					want := []any{"hello", uint64(1), int64(-1), 2.5, nil, true, message.Dict{"k": []any{"v"}}}
					if d := cmp.Diff(want, args(t, e.Payload)); d != "" {
						t.Error(d)
					}
				})
			}
		}
	}
}

func TestANexusClientJoinsCallsRegistersAndPublishesInEverySerializer(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	for _, format := range []serialize.Serialization{serialize.JSON, serialize.MSGPACK, serialize.CBOR} {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			t.Parallel()
			callee, caller := s.nexusClient(t, a1, format), s.nexusClient(t, a2, format)
			name := fmt.Sprintf("%s.%s.%s.DEV.add%d", projectA, a1.Key, app, format)
			add := func(_ context.Context, i *wamp.Invocation) client.InvokeResult {
				a, _ := wamp.AsInt64(i.Arguments[0])
				b, _ := wamp.AsInt64(i.Arguments[1])
				return client.InvokeResult{Args: wamp.List{a + b}}
			}
			if err := callee.Register(name, add, nil); err != nil {
				t.Fatal(err)
			}
			result, err := caller.Call(t.Context(), name, nil, wamp.List{2, 3}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if sum, _ := wamp.AsInt64(result.Arguments[0]); sum != 5 {
				t.Errorf("2 + 3 = %v", result.Arguments)
			}
			events := make(chan *wamp.Event, 1)
			topic := fmt.Sprintf("weather.today%d", format)
			if err := caller.SubscribeChan(topic, events, nil); err != nil {
				t.Fatal(err)
			}
			if err := callee.Publish(topic, wamp.Dict{"acknowledge": true}, wamp.List{"sun"}, nil); err != nil {
				t.Fatal(err)
			}
			if got := (<-events).Arguments[0]; got != "sun" {
				t.Errorf("got %v", got)
			}
		})
	}
}

func (s *stage) nexusClient(t *testing.T, d realms.Device, f serialize.Serialization) *client.Client {
	t.Helper()
	c, err := client.ConnectNet(t.Context(), "wss://"+s.addr+"/ws", client.Config{
		Realm: realms.OfInstallation(d.Project, app, "dev").Name(), Serialization: f, TlsCfg: s.tls(),
		HelloDetails: wamp.Dict{"authid": string(d.Serial)}, Logger: discard{},
		AuthHandlers: map[string]client.AuthFunc{"wampcra": func(c *wamp.Challenge) (string, wamp.Dict) {
			return crsign.RespondChallenge(string(d.Secrets[0].Reveal()), c, nil), wamp.Dict{}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

type discard struct{}

func (discard) Print(...any)          {}
func (discard) Println(...any)        {}
func (discard) Printf(string, ...any) {}
