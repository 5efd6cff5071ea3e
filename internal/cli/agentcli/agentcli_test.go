package agentcli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/agent/state"
	"bulkhead/internal/cli/agentcli"
)

func run(t *testing.T, environ map[string]string, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = agentcli.Main(args, func(k string) string { return environ[k] }, agentcli.Streams{Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestACommandLineThatMakesNoSenseIsExplained(t *testing.T) {
	t.Parallel()
	flash := filepath.Join(t.TempDir(), "press-1.flash")
	if err := os.WriteFile(flash, []byte(`{"version": 1, "router"`), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, c := range map[string]struct {
		code int
		want string
	}{
		"fly":                                 {2, `no command "fly"`},
		"run":                                 {2, "--flash-file FILE is required"},
		"run --flash":                         {2, "flag provided but not defined"},
		"run --flash-file x y":                {2, `"y" is too much`},
		"run --flash-file x --log-level loud": {2, "log-level"},
		"run --flash-file /none/such.flash":   {2, "flash file /none/such.flash: there is none"},
		"run --flash-file " + flash:           {2, "flash file " + flash + ": truncated"},
		"status -o xml":                       {2, "want table or json"},
		"status --state-dir /none":            {3, "no agent has run with the state folder /none"},
	} {
		code, out, said := run(t, nil, strings.Fields(line)...)
		if code != c.code || !strings.Contains(said, c.want) || out != "" {
			t.Errorf("%s: exit %d, said %q, out %q", line, code, said, out)
		}
	}
}

func TestHelpAndVersionGoToStdout(t *testing.T) {
	t.Parallel()
	for _, line := range [][]string{{"help"}, {"--help"}, {"-h"}, {}, {"version"}} {
		if code, out, said := run(t, nil, line...); code != 0 || !strings.Contains(out, "bulkhead-agent") || said != "" {
			t.Errorf("%v: exit %d, out %q, said %q", line, code, out, said)
		}
	}
	_, out, _ := run(t, nil, "version", "-o", "json")
	var v struct{ Contract int }
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Contract != 1 {
		t.Errorf("%s: %v", out, err)
	}
}

func TestStatusTellsScriptsWhetherTheDeviceIsConnected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := map[string]string{"STATE_DIRECTORY": dir}
	d, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, joined := range []bool{true, false} {
		if err := d.WriteStatus(state.Status{Name: "press-1", Realms: []state.Realm{{Realm: "device-1", Joined: joined, Reason: "away"}}}); err != nil {
			t.Fatal(err)
		}
		code, out, said := run(t, environ, "status")
		if (code == 0) != joined || code != 0 && code != 6 || !strings.Contains(out, "press-1") || !strings.Contains(out, "device-1") {
			t.Errorf("joined %v: exit %d\n%s%s", joined, code, out, said)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	code, out, said := run(t, environ, "status", "-o", "json")
	var s state.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 6 || s.Running || !strings.Contains(said, "does not run") {
		t.Errorf("exit %d, %s, %q, %v", code, out, said, err)
	}
}
