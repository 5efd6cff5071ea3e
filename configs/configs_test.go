package configs_test

import (
	"testing"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/backend/databackend"
	"bulkhead/configs"
	"bulkhead/wire"
)

func TestTheShippedPolicyAllowsTheSampleTargets(t *testing.T) {
	t.Parallel()
	p, err := policy.Parse(configs.AgentPolicy)
	if err != nil {
		t.Fatal(err)
	}
	for target, allowed := range map[string]bool{"127.0.0.1:8080": true, "localhost:22": true, "http://127.0.0.1:8080": true, "https://localhost:8443": true, "10.0.0.1:22": false, "169.254.169.254:80": false} {
		parsed, err := wire.ParseTarget(target)
		if err != nil {
			t.Fatal(err)
		}
		if a := p.Decide(policy.Question{Target: parsed, EndToEnd: !parsed.Protocol.Web()}); a.Allowed != allowed {
			t.Errorf("%s: %+v", target, a)
		}
	}
	if !p.Decide(policy.Question{Target: wire.PTY}).Allowed || !p.Decide(policy.Question{Target: wire.PTY, EndToEnd: true}).Allowed {
		t.Error("no shell, in the browser or out of it")
	}
}

func TestTheSampleTemplateIsValid(t *testing.T) {
	t.Parallel()
	template, err := databackend.ParseTemplate("host-metrics.yaml", configs.HostMetrics)
	if err != nil {
		t.Fatal(err)
	}
	if len(template.Tables) != 1 || template.Tables[0].Name != "metrics" {
		t.Errorf("got %+v", template)
	}
}
