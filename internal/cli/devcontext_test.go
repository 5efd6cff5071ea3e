package cli

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"bulkhead/internal/dev"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// address is a server whose audit log has a key, which becomes another where another server has the address.
type address struct {
	*httptest.Server
	t        *testing.T
	key      atomic.Value
	contexts string
}

func newAddress(t *testing.T) *address {
	t.Helper()
	a := &address{t: t, contexts: filepath.Join(t.TempDir(), "contexts")}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/audit/key", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"key": a.key.Load()})
	})
	mux.HandleFunc("GET /api/v1/audit/logs", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"items":[]}`) })
	a.Server = httptest.NewTLSServer(mux)
	t.Cleanup(a.Close)
	return a
}

// another server takes the address.
func (a *address) another() (key string) {
	a.t.Helper()
	_, key, err := note.GenerateKey(rand.Reader, "bulkhead-"+strings.ToLower(rand.Text()[:12]))
	if err != nil {
		a.t.Fatal(err)
	}
	a.key.Store(key)
	return key
}

// dev is what `bulkhead dev` does in a state directory once its server answers.
func (a *address) dev(dir string) string {
	a.t.Helper()
	ready := dev.Ready{API: a.URL, CAFile: filepath.Join(dir, "ca.pem"), OwnerAPIKeyFile: filepath.Join(dir, "owner.key")}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	for file, text := range map[string][]byte{ready.CAFile: ca, ready.OwnerAPIKeyFile: []byte("key\n")} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return a.invocation(io.Discard).rememberDev(ready, dir)
}

func (a *address) invocation(to io.Writer) *invocation {
	return &invocation{Streams: Streams{In: strings.NewReader(""), Out: to, Err: to}, environ: []string{"BULKHEAD_CONTEXT_DIR=" + a.contexts}}
}

func (a *address) run(want int, args ...string) string {
	a.t.Helper()
	var said bytes.Buffer
	inv := a.invocation(&said)
	if code := Main(args, inv.environ, inv.Streams); code != want {
		a.t.Errorf("%s: ended with %d, want %d: %s", strings.Join(args, " "), code, want, said.String())
	}
	return said.String()
}

// meet sees a device of the server of a context.
func (a *address) meet(context, key string) error {
	a.t.Helper()
	inv := a.invocation(io.Discard)
	inv.target.context = context
	c, err := inv.resolve()
	if err != nil {
		a.t.Fatal(err)
	}
	known, err := inv.knownDevices(c)
	if err == nil {
		_, err = known.check(c.Server, 7, "plant-a/press-1", key)
	}
	return err
}

func TestWhatWasSeenOfADevServerGoesWithItsStateDirectory(t *testing.T) {
	t.Parallel()
	a := newAddress(t)
	first, second := t.TempDir(), t.TempDir()
	before := a.another()
	if flags := a.dev(first); flags != "" {
		t.Errorf("commands need %q", flags)
	}
	a.run(0, "audit", "verify")
	if err := a.meet("dev", "one"); err != nil {
		t.Error(err)
	}

	a.another()
	if said := a.run(7, "audit", "verify"); !strings.Contains(said, "another key than before") {
		t.Errorf("the same state directory, and another key: %s", said)
	}
	if err := a.meet("dev", "two"); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("the same state directory, and another device: %v", err)
	}

	a.dev(second)
	a.run(0, "audit", "verify")
	if err := a.meet("dev", "two"); err != nil {
		t.Error(err)
	}
	a.dev(first)
	a.run(7, "audit", "verify") // its own key was the first
	if err := a.meet("dev", "two"); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("back in the first: %v", err)
	}
	a.key.Store(before)
	a.run(0, "audit", "verify")
}

// Who takes a server's address, or runs dev at it, has nothing forgotten of what was seen there without dev.
func TestWhatWasSeenOfAnyOtherServerStays(t *testing.T) {
	t.Parallel()
	a := newAddress(t)
	dir := t.TempDir()
	a.another()
	a.dev(dir)
	if err := (Contexts{a.contexts}).Put("plant", Context{Server: a.URL, CAFile: filepath.Join(dir, "ca.pem"), APIKeyFile: filepath.Join(dir, "owner.key")}); err != nil {
		t.Fatal(err)
	}
	a.run(0, "audit", "verify", "--context", "plant")
	if err := a.meet("plant", "one"); err != nil {
		t.Error(err)
	}
	other := t.TempDir()
	a.another()
	a.dev(other)
	a.run(0, "audit", "verify")
	byFlags := []string{"--server", a.URL, "--ca-file", filepath.Join(other, "ca.pem"), "--api-key-file", filepath.Join(other, "owner.key")}
	for _, flags := range [][]string{{"--context", "plant"}, byFlags} {
		a.run(7, append([]string{"audit", "verify"}, flags...)...)
	}
	if err := a.meet("plant", "two"); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("another device: %v", err)
	}
	a.run(0, "dev", "reset", "--dir", filepath.Join(dir, "nothing"))
	a.run(0, "audit", "verify") // another directory's context stays
	a.run(7, "audit", "verify", "--context", "plant")
}

// A context of that name by which somebody has logged in to a server is not taken for one of dev.
func TestDevLeavesAContextOfItsNameThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	a := newAddress(t)
	contexts, dir := Contexts{a.contexts}, t.TempDir()
	own := Context{Server: "https://bulkhead.example", Login: &Login{User: "olga", Store: storeFile}}
	if err := contexts.Put(devContext, own); err != nil {
		t.Fatal(err)
	}
	if flags := a.dev(dir); !strings.HasPrefix(flags, " --server "+a.URL) {
		t.Errorf("commands need %q", flags)
	}
	a.run(0, "dev", "reset", "--dir", filepath.Join(dir, "nothing"))
	if found, err := contexts.Get(devContext); err != nil || found.Server != own.Server || found.Login == nil {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestALoginToADevServerLastsAsLongAsItsStateDirectory(t *testing.T) {
	t.Parallel()
	a := newAddress(t)
	contexts, dir := Contexts{a.contexts}, t.TempDir()
	loggedIn := func() bool {
		a.dev(dir)
		found, err := contexts.Get(devContext)
		if err != nil {
			t.Fatal(err)
		}
		_, missing := os.Stat(contexts.tokenFile(devContext))
		return found.Login != nil && missing == nil
	}
	a.dev(dir)
	found, err := contexts.Get(devContext)
	if err != nil {
		t.Fatal(err)
	}
	found.Login = &Login{User: "owner", Store: storeFile}
	if err := contexts.Put(devContext, found); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(contexts.tokenFile(devContext), []byte("token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !loggedIn() {
		t.Error("a restart has forgotten it")
	}
	if err := os.RemoveAll(filepath.Join(dir, seenFolder)); err != nil { // as who removes the whole directory
		t.Fatal(err)
	}
	if loggedIn() {
		t.Error("it is kept for another server")
	}
	if _, err := os.Stat(contexts.tokenFile(devContext)); err == nil {
		t.Error("its token is left")
	}
}
