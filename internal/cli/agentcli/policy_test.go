package agentcli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/configs"
	"bulkhead/internal/cli/agentcli"
)

func TestPolicyCheckTellsWhatTheDeviceAllows(t *testing.T) {
	t.Parallel()
	good, broken := filepath.Join(t.TempDir(), "policy.yaml"), filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(good, configs.AgentPolicy, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("version: 1\nalow: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"policy", "check", "--policy-file", good}, 0, "a shell; also in a browser"},
		{[]string{"policy", "check", "--policy-file", good, "--to", "127.0.0.1:80"}, 0, "allowed now"},
		{[]string{"policy", "check", "--policy-file", good, "--to", "127.0.0.1:80", "-o", "json"}, 0, `"allowed": true`},
		{[]string{"policy", "check", "--policy-file", good, "--to", "http://127.0.0.1:80"}, 0, "allowed now, readable by the gateway"},
		{[]string{"policy", "check", "--policy-file", good, "--to", "10.0.0.1:80"}, 4, "no rule of the device's policy names 10.0.0.1:80"},
		{[]string{"policy", "check", "--policy-file", good, "--to", "0x7f.1:80"}, 2, "programs read differently"},
		{[]string{"policy", "check", "--policy-file", broken}, 2, "unknown key alow"},
		{[]string{"policy", "check", "--policy-file", filepath.Join(t.TempDir(), "none")}, 2, "there is none"},
		{[]string{"policy"}, 2, "want: bulkhead-agent policy check"},
	} {
		var said bytes.Buffer
		code := agentcli.Main(c.args, os.Getenv, agentcli.Streams{Out: &said, Err: &said})
		if code != c.code || !strings.Contains(said.String(), c.says) {
			t.Errorf("%v: exit code %d, %s", c.args, code, said.String())
		}
	}
}
