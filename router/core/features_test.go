package core

import (
	"testing"

	"bulkhead/router/message"
)

func TestFeaturesAreReadFromHello(t *testing.T) {
	t.Parallel()
	f := func(names ...string) message.Dict {
		d := message.Dict{}
		for _, n := range names {
			d[n] = true
		}
		return message.Dict{"features": d}
	}
	got := FeaturesOf(message.Dict{
		"caller":     f("progressive_call_invocations", "payload_passthru_mode"),
		"callee":     f("call_canceling", "registration_revocation", "progressive_call_invocations", "payload_passthru_mode"),
		"publisher":  f("payload_passthru_mode"),
		"subscriber": f("subscription_revocation"),
	})
	if got != everything {
		t.Errorf("%+v, want everything", got)
	}
	for name, roles := range map[string]message.Dict{
		"nothing": nil, "no dictionary": {"callee": 1}, "no features": {"callee": message.Dict{}},
		"features of another role": {"caller": f("call_canceling")},
		"no booleans":              {"callee": message.Dict{"features": message.Dict{"call_canceling": 1}}},
		"false":                    {"callee": message.Dict{"features": message.Dict{"call_canceling": false}}},
	} {
		if got := FeaturesOf(roles); got != (ClientFeatures{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestFeaturesAreTheCallersToChange(t *testing.T) {
	t.Parallel()
	one := Features()
	one["broker"].(message.Dict)["features"].(message.Dict)["event_history"] = false
	if on := Features()["broker"].(message.Dict)["features"].(message.Dict)["event_history"]; on != true {
		t.Errorf("event_history is %v", on)
	}
}
