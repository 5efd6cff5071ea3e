package dev

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bulkhead/configs"
)

// earlier is the policy of the first version, which knew no web applications.
const earlier = "version: 1\nallow:\n  - {protocol: tcp, hosts: [127.0.0.1], ports: [\"1-65535\"]}\n"

func TestAnEarlierPolicyIsRenewedAndOneThatWasTouchedStays(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d := &Dev{folder: &folder{path: dir}, options: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	file := filepath.Join(dir, "agent-policy.yaml")
	known := shippedBefore
	const page = "http://127.0.0.1:8080"
	see := func(before, want string, says bool) {
		t.Helper()
		if before != "" {
			if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := d.agentPolicy(known)
		if err != nil || got != file {
			t.Fatal(got, err)
		}
		text, err := os.ReadFile(file)
		if err != nil || string(text) != want {
			t.Errorf("%v\n%s", err, text)
		}
		log.Reset()
		d.explainPolicy(file, page)
		if strings.Contains(log.String(), "does not let the sample page be opened") != says {
			t.Errorf("said %q", log.String())
		}
	}
	shipped := string(configs.AgentPolicy)
	see("", shipped, false)
	see(earlier, earlier, true)
	see(shipped+"# of my own\n", shipped+"# of my own\n", false)
	sum := sha256.Sum256([]byte(earlier))
	known = []string{hex.EncodeToString(sum[:])}
	see(earlier, shipped, false)
}

// Who changes what is shipped lists what was shipped until then.
func TestWhatIsShippedIsNotWhatWasShippedBefore(t *testing.T) {
	t.Parallel()
	if slices.Contains(shippedBefore, hashOf(configs.AgentPolicy)) {
		t.Error("each start would write it anew")
	}
}
