package dev

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"time"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/configs"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// shippedBefore are the policies that earlier versions wrote, by their SHA-256: what nobody has touched is renewed. Whoever
// changes configs/agent-policy.yaml adds the one from before.
var shippedBefore = []string{
	"6de1d0f054a6489a32c5b7b201353545b263a13ad12cd94f8347675af9b705d0",
	"3246605dd251a0dac5b94e05e0357d96a3c77690f105051a40282882426b741e",
	"99ffbc7c75dda381e650f182e704ebcd810dcf851508083f463c5e2a4f4ceab7",
	"26ae7b7930ed7cd33e8c7261d3652db5a46d8e654287c8ea8fd606c2b05b08eb",
}

// agentPolicy writes the policy of tunnels where there is none, or one that an earlier version wrote, by its SHA-256. What its
// owner has made of it stays.
func (d *Dev) agentPolicy(earlier []string) (string, error) {
	file := d.folder.file("agent-policy.yaml")
	text, err := os.ReadFile(file)
	if err == nil && !slices.Contains(earlier, hashOf(text)) || err != nil && exists(file) {
		return file, nil
	}
	return file, errs.As(wire.Invalid, secret.WriteFile(file, configs.AgentPolicy), "%s cannot be written", file)
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// explainPolicy says so where the policy refuses what the greeting has people try.
func (d *Dev) explainPolicy(file, sample string) {
	target, err := wire.ParseTarget(sample)
	if err != nil {
		return
	}
	p, err := policy.Read(file)
	reason := ""
	if err != nil {
		reason = err.Error()
	} else if a := p.Decide(policy.Question{Target: target, At: time.Now()}); !a.Allowed {
		reason = a.Reason
	}
	if reason != "" {
		d.options.Log.Warn("the policy of the sample devices is not as it is shipped, and does not let the sample page be opened; delete it to have it written anew",
			logkey.File, file, logkey.Reason, reason)
	}
}
