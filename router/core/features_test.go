package core

import (
	"testing"

	"bulkhead/router/message"
)

func TestFeaturesAreReadFromHello(t *testing.T) {
	t.Parallel()
	got := FeaturesOf([]message.Role{
		{Name: "caller", Features: []string{"progressive_call_invocations", "payload_passthru_mode"}},
		{Name: "callee", Features: []string{"call_canceling", "registration_revocation", "progressive_call_invocations", "payload_passthru_mode"}},
		{Name: "publisher", Features: []string{"payload_passthru_mode"}},
		{Name: "subscriber", Features: []string{"subscription_revocation"}},
	})
	if got != everything {
		t.Errorf("%+v, want everything", got)
	}
	for name, roles := range map[string][]message.Role{
		"nothing": nil, "no features": {{Name: "callee"}},
		"features of another role": {{Name: "caller", Features: []string{"call_canceling"}}},
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
