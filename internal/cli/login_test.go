package cli

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
)

// fake is a server that knows the first token "one" and, after a right code, "two".
type fake struct {
	*httptest.Server
	mu     sync.Mutex // guards all below
	tokens []string   // that requests came with
	fresh  bool
	polls  []string // what the next polls are told
}

const rightCode = "123456"

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/projects", f.projects)
	mux.HandleFunc("POST /api/v1/login/second-factor", f.factor)
	mux.HandleFunc("POST /oauth/device_authorization", f.authorize)
	mux.HandleFunc("POST /oauth/token", f.token)
	mux.HandleFunc("POST /oauth/revoke", f.count)
	mux.HandleFunc("GET /api/v1/whoami", func(w http.ResponseWriter, r *http.Request) {
		f.count(w, r)
		_, _ = io.WriteString(w, `{"kind":"user","id":"7","name":"\u001b[2Jolga","proof":"login","level":"aal2"}`)
	})
	f.Server = httptest.NewTLSServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) count(_ http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens = append(f.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")+r.PostFormValue("token"))
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": "no", "detail": "because of " + code, "code": code, "status": status})
}

func (f *fake) projects(w http.ResponseWriter, r *http.Request) {
	f.count(w, r)
	f.mu.Lock()
	defer f.mu.Unlock()
	last := f.tokens[len(f.tokens)-1]
	switch {
	case last == "dead":
		refuse(w, http.StatusUnauthorized, "unauthenticated")
	case !f.fresh:
		refuse(w, http.StatusForbidden, codeStepUpRequired)
	default:
		_, _ = io.WriteString(w, `{"items":[]}`)
	}
}

func (f *fake) factor(w http.ResponseWriter, r *http.Request) {
	var body struct{ Code string }
	_ = json.NewDecoder(r.Body).Decode(&body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if body.Code != rightCode {
		refuse(w, http.StatusUnauthorized, "unauthenticated")
		return
	}
	f.fresh = true
	_, _ = io.WriteString(w, `{"token":"two","enrolled":true}`)
}

func (f *fake) authorize(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{
		"device_code": "dc", "user_code": "BCDF-GHJK", "verification_uri": f.URL + "/device",
		"verification_uri_complete": f.URL + "/device?user_code=BCDF-GHJK", "expires_in": 600, "interval": 1,
	})
}

func (f *fake) token(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.polls) == 0 {
		_, _ = io.WriteString(w, `{"access_token":"two","token_type":"Bearer","expires_in":60}`)
		return
	}
	next := f.polls[0]
	f.polls = f.polls[1:]
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": next})
}

// desk is a user's contexts, with one that is logged in to the fake.
type desk struct {
	t        *testing.T
	fake     *fake
	contexts Contexts
	caFile   string
}

func newDesk(t *testing.T, token string) *desk {
	t.Helper()
	d := &desk{t: t, fake: newFake(t), contexts: Contexts{filepath.Join(t.TempDir(), "contexts")}}
	d.caFile = filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.fake.Certificate().Raw})
	if _, err := x509.ParseCertificate(d.fake.Certificate().Raw); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	context := Context{Server: d.fake.URL, CAFile: d.caFile, Login: &Login{User: "olga", Store: storeFile}}
	if token == "" {
		context.Login = nil
	}
	if err := d.contexts.Put("desk", context); err != nil {
		t.Fatal(err)
	}
	if token != "" {
		d.write("desk.token", token)
	}
	return d
}

func (d *desk) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.contexts.Dir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) read(name string) string {
	text, err := os.ReadFile(filepath.Join(d.contexts.Dir, name))
	if err != nil {
		return ""
	}
	return string(text)
}

// run runs a command line with a text, or a terminal, as its input.
func (d *desk) run(in io.Reader, args ...string) (code int, said string) {
	var out bytes.Buffer
	code = Main(args, []string{"BULKHEAD_CONTEXT_DIR=" + d.contexts.Dir}, Streams{In: in, Out: &out, Err: &out})
	return code, out.String()
}

func TestWithoutATerminalACommandSaysHowToStepUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	code, said := d.run(strings.NewReader(""), "project", "list")
	if code != 4 || !strings.Contains(said, "type: bulkhead login --step-up") {
		t.Errorf("%d: %s", code, said)
	}
	d.write("code", rightCode+"\n")
	if code, said := d.run(strings.NewReader(""), "login", "--step-up", "--code-file", filepath.Join(d.contexts.Dir, "code")); code != 0 {
		t.Errorf("%d: %s", code, said)
	}
	if code, said := d.run(strings.NewReader(""), "project", "list"); code != 0 || d.read("desk.token") != "two" {
		t.Errorf("%d: %s; token %q", code, said, d.read("desk.token"))
	}
}

func TestAtATerminalTheCodeIsAskedForAndTheCommandGoesOn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	keyboard, screen, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer keyboard.Close()
	defer screen.Close()
	if _, err := io.WriteString(keyboard, "000000\n"+rightCode+"\n"); err != nil {
		t.Fatal(err)
	}
	code, said := d.run(screen, "project", "list", "-o", "json")
	if code != 0 || !strings.Contains(said, "wants a code of your second factor again") || !strings.HasSuffix(strings.TrimSpace(said), "[]") {
		t.Errorf("%d: %s", code, said)
	}
	if d.read("desk.token") != "two" || strings.Contains(said, rightCode) {
		t.Errorf("token %q, said %s", d.read("desk.token"), said)
	}
}

func TestALoginThatHasEndedSaysWhatToType(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "dead")
	code, said := d.run(strings.NewReader(""), "project", "list")
	if code != 4 || !strings.Contains(said, "has ended\n  type: bulkhead login") || len(d.fake.tokens) != 1 {
		t.Errorf("%d: %s; asked %v", code, said, d.fake.tokens)
	}
}

func TestACommandIsLoggedInWhenItsCodeWasApproved(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	d.fake.polls = []string{"authorization_pending"}
	code, said := d.run(strings.NewReader(""), "login")
	if code != 0 || !strings.Contains(said, "BCDF-GHJK") || !strings.Contains(said, d.fake.URL+"/device?user_code=BCDF-GHJK") || strings.ContainsRune(said, 0x1b) {
		t.Errorf("%d: %s", code, said)
	}
	if d.read("desk.token") != "two" || strings.Contains(d.read("desk.yaml"), "two") || strings.Contains(said, "dc\n") {
		t.Errorf("token %q, context %s", d.read("desk.token"), d.read("desk.yaml"))
	}
	if last := d.fake.tokens; len(last) != 2 || last[1] != "one" {
		t.Errorf("the login before was not ended: %v", last)
	}
}

func TestADeniedLoginChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	d.fake.polls = []string{"access_denied"}
	code, said := d.run(strings.NewReader(""), "login")
	if code != 4 || !strings.Contains(said, "the login was denied") || d.read("desk.token") != "one" {
		t.Errorf("%d: %s", code, said)
	}
}

func TestLogoutEndsTheLoginHereAndThere(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	if code, said := d.run(strings.NewReader(""), "logout"); code != 0 {
		t.Errorf("%d: %s", code, said)
	}
	if len(d.fake.tokens) != 1 || d.fake.tokens[0] != "one" || d.read("desk.token") != "" || strings.Contains(d.read("desk.yaml"), "login") {
		t.Errorf("told %v; left %q, %s", d.fake.tokens, d.read("desk.token"), d.read("desk.yaml"))
	}
	if code, said := d.run(strings.NewReader(""), "project", "list"); code != 4 || !strings.Contains(said, "not logged in") {
		t.Errorf("%d: %s", code, said)
	}
	if code, _ := d.run(strings.NewReader(""), "logout"); code != 5 {
		t.Errorf("logged out twice: %d", code)
	}
}

func TestALogoutThatTheServerDoesNotHearOfForgetsTheLogin(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "one")
	d.fake.Close()
	code, said := d.run(strings.NewReader(""), "logout")
	if code != 6 || !strings.Contains(said, "forgotten here") || d.read("desk.token") != "" {
		t.Errorf("%d: %s", code, said)
	}
}
