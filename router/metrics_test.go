package router_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/message"
)

// read gives the registry's values by name and labels, as name{a,b}.
func read(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "bulkhead_router_")
			out[name+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func TestWhatHappensIsCounted(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	s := newStage(t, router.Config{Metrics: registry, Sink: panicking{}})
	a, b, c := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2), s.device(t, message.CBOR, a2)
	for _, p := range []*peer{a, b, c} {
		p.subscribe("some.topic")
	}
	other := s.device(t, message.JSON, b1) // in another realm: nobody gets it
	other.send(&message.Publish{Request: other.id(), Topic: "some.topic", Options: message.PublishOptions{Acknowledge: true}})
	expect[*message.Published](other)
	for range 3 {
		a.publish("some.topic", "x")
		expect[*message.Event](b)
		expect[*message.Event](c)
	}
	refused := s.dial(t, message.JSON)
	attempt(refused, hello("realm-1-1-dev", "x", "wampcra"), signedBy(secret.Random()))
	attempt(s.dial(t, message.JSON), hello(realmA.Name(), "x", "wampcra"), signedBy(secret.Random()))
	a.publish(realmA.Project.String() + "." + app.String() + ".metrics") // the sink panics
	expect[*message.Abort](a)
	a.ended()
	b.send(&message.Goodbye{Reason: "wamp.close.normal", Details: message.Dict{}})
	b.ended()
	got := read(t, registry)
	for name, want := range map[string]float64{
		"sessions{data}":                        2,
		"joins_total{data}":                     4,
		"sessions{device}":                      0,
		"refusals_total{no_such_realm}":         1,
		"refusals_total{authentication_failed}": 1,
		"panics_total{}":                        1,
		"messages_in_total{data,PUBLISH}":       5,
		"messages_in_total{data,SUBSCRIBE}":     3,
		"messages_out_total{data,EVENT}":        6,
		"messages_out_total{data,WELCOME}":      4,
		"events_encoded_total{data}":            6, // JSON and CBOR
		"events_shared_total{data}":             0,
		"overflows_total{data}":                 0,
		"events_dropped_total{data}":            0,
		"rate_limited_total{data}":              0,
		"refusals_total{other}":                 0,
	} {
		if v, ok := got[name]; v != want || !ok {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	for _, name := range []string{"bytes_in_total{data}", "bytes_out_total{data}", "bytes_in_total{joining}", "authorizations_total{data}", "authorization_seconds_total{data}", "writes_total{data}", "queue_high_water_bytes{data}"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
}

func TestAStrangerCannotMakeANewLabel(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	s := newStage(t, router.Config{Metrics: registry})
	before := len(read(t, registry))
	for _, name := range []string{"realm-1-2-dev", "x", strings.Repeat("y", 100)} {
		attempt(s.dial(t, message.JSON), hello(name, name, name), signedBy(secret.Random()))
	}
	s.Refused("a reason that is not one")
	if after := len(read(t, registry)); after != before {
		t.Errorf("%d series became %d", before, after)
	}
}

func TestASessionThatSendsTooMuchIsTold(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	s := newStage(t, router.Config{Metrics: registry, Rates: func(realms.Kind, realms.Role) router.Rate { return router.Rate{Messages: 5} }})
	p, q := s.device(t, message.JSON, a1), s.device(t, message.JSON, a2)
	ok, refused := 0, 0
	for range 30 {
		p.send(&message.Publish{Request: p.id(), Topic: "some.topic", Options: message.PublishOptions{Acknowledge: true}})
		switch m, err := p.next(); m := m.(type) {
		case *message.Published:
			ok++
		case *message.Error:
			refused++
			if m.URI != "bulkhead.error.exhausted" {
				t.Errorf("got %s", m.URI)
			}
		default:
			t.Fatal(m, err)
		}
	}
	if ok < 10 || refused < 10 {
		t.Errorf("%d were taken and %d refused", ok, refused)
	}
	q.subscribe("some.topic") // another session has a rate of its own
	if got := read(t, registry)["rate_limited_total{data}"]; got != float64(refused) {
		t.Errorf("%v are counted, %d were refused", got, refused)
	}
}
