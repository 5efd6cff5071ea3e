package cli

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
)

// listings are all commands that list something of a project, as the tree of commands has them.
func listings(root *cobra.Command) (found []*cobra.Command) {
	for _, c := range root.Commands() {
		found = append(found, listings(c)...)
		lists := c.Name() == "list" || strings.HasPrefix(c.Short, "List ")
		ofProject := c.Flags().Lookup("project") != nil || c.InheritedFlags().Lookup("project") != nil || slices.Contains(strings.Fields(c.Use), "PROJECT")
		if c.Runnable() && !c.HasSubCommands() && lists && ofProject {
			found = append(found, c)
		}
	}
	return found
}

// asked is a server that has nothing to list, and remembers what it was asked for.
type asked struct {
	*httptest.Server
	mu   sync.Mutex // guards what
	what []string
}

func newAsked(t *testing.T) *asked {
	t.Helper()
	a := &asked{}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.what = append(a.what, r.Method+" "+r.URL.String())
		_, _ = io.WriteString(w, `{"items":[]}`)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *asked) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	what := a.what
	a.what = nil
	return what
}

// Whoever knows one listing of what a project has knows them all: each takes --project PROJECT, which its help shows, and
// PROJECT alone. The commands come from the tree, so that none is missed.
func TestEveryListingOfAProjectTakesItInBothForms(t *testing.T) {
	t.Parallel()
	server := newAsked(t)
	dir := t.TempDir()
	ca, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "key")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for file, content := range map[string][]byte{ca: text, key: []byte("bhk_0000000000000000_x_y")} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(c *cobra.Command, args ...string) (code int, said string, what []string) {
		var out bytes.Buffer
		line := slices.Concat(strings.Fields(c.CommandPath())[1:], args, []string{"--server", server.URL, "--ca-file", ca, "--api-key-file", key})
		code = Main(line, []string{"BULKHEAD_CONTEXT_DIR=" + dir}, Streams{In: strings.NewReader(""), Out: &out, Err: &out})
		return code, out.String(), server.take()
	}
	all := listings((&invocation{}).root())
	if len(all) < 10 {
		t.Fatalf("%d listings are found", len(all))
	}
	for _, c := range all {
		if !strings.Contains(c.UseLine(), "--project PROJECT") {
			t.Errorf("the help of %q does not show --project PROJECT", c.UseLine())
		}
		code, said, flag := run(c, "--project", "plant-a")
		if code != 0 || len(flag) == 0 || !strings.Contains(strings.Join(flag, " "), "plant-a") {
			t.Errorf("%s --project plant-a: %d, asked %q: %s", c.CommandPath(), code, flag, said)
		}
		code, said, alone := run(c, "plant-a")
		if code != 0 || !slices.Equal(flag, alone) {
			t.Errorf("%s plant-a: %d, asked %q in place of %q: %s", c.CommandPath(), code, alone, flag, said)
		}
		code, said, both := run(c, "plant-a", "--project", "plant-b")
		if code != exitUsage || len(both) != 0 || !strings.Contains(said, "two projects") {
			t.Errorf("%s with two projects: %d, asked %q: %s", c.CommandPath(), code, both, said)
		}
		code, said, none := run(c)
		if optional := strings.Contains(c.Use, "[--project PROJECT]"); optional != (code == 0) || !optional && (code != exitUsage || len(none) != 0) {
			t.Errorf("%s: %d, asked %q: %s", c.CommandPath(), code, none, said)
		}
		if code, said, _ = run(c, "plant-a", "press-1"); code != exitUsage {
			t.Errorf("%s with two arguments: %d: %s", c.CommandPath(), code, said)
		}
	}
}
