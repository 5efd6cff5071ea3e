package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"bulkhead/backend/httpapi"
)

// person is a user with a browser and a terminal of their own.
type person struct {
	t        *testing.T
	d        *runningDev
	name     string
	password string // file with it
	totp     string // the secret
	seen     string // all that was said to the person
	used     time.Time
	home     *site // with contexts of its own
	browser  *http.Client
}

func newPerson(t *testing.T, d *runningDev, name string) *person {
	t.Helper()
	dir := t.TempDir()
	ca, err := os.ReadFile(d.ready.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{
		t: t, d: d, name: name, password: filepath.Join(dir, "password"), home: &site{contexts: filepath.Join(dir, "contexts")},
		browser: &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	}
	t.Cleanup(p.browser.CloseIdleConnections)
	if err := os.WriteFile(p.password, []byte("correct horse battery staple"), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// bulkhead runs a command with lines to read, and gives its exit code and all that it said.
func (p *person) bulkhead(lines string, args ...string) (int, string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	c := p.home.command(ctx, "bulkhead", args...)
	c.Stdin = strings.NewReader(lines)
	said, err := c.CombinedOutput()
	if err != nil && c.ProcessState == nil {
		p.t.Fatal(err)
	}
	p.seen += string(said)
	return c.ProcessState.ExitCode(), string(said)
}

func (p *person) must(args ...string) string {
	p.t.Helper()
	code, said := p.bulkhead("", args...)
	if code != 0 {
		p.t.Fatalf("%v: %d: %s", args, code, said)
	}
	return said
}

// code gives a code that was not used yet: the next step's is taken a little early where this one's was.
func (p *person) code() string {
	p.t.Helper()
	at := time.Now()
	if !p.used.IsZero() && at.Unix()/30 <= p.used.Unix()/30 {
		at = p.used.Add(30 * time.Second)
	}
	p.used = at
	code, err := totp.GenerateCode(p.totp, at)
	if err != nil {
		p.t.Fatal(err)
	}
	return code
}

// started is a command that goes on while the test reads what it says.
type started struct {
	process *exec.Cmd
	said    *transcript
	in      io.WriteCloser
	ended   chan error
}

func (p *person) start(args ...string) *started {
	p.t.Helper()
	s := &started{process: p.home.command(context.Background(), "bulkhead", args...), said: &transcript{}, ended: make(chan error, 1)}
	s.process.Stdout, s.process.Stderr = s.said, s.said
	var err error
	if s.in, err = s.process.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() { s.ended <- s.process.Wait() }()
	p.t.Cleanup(func() { _ = s.process.Process.Kill() })
	return s
}

// find waits for what a command says, and gives the parenthesis of a pattern.
func (s *started) find(t *testing.T, pattern string) (found string) {
	t.Helper()
	form := regexp.MustCompile(pattern)
	until(t, time.Minute, pattern, func() bool {
		match := form.FindStringSubmatch(s.said.String())
		if match != nil {
			found = match[1]
		}
		return match != nil
	})
	return found
}

// end waits for a command's end and gives its exit code.
func (p *person) end(s *started) int {
	p.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		p.t.Fatalf("it did not end\n%s", s.said)
	}
	p.seen += s.said.String()
	return s.process.ProcessState.ExitCode()
}

// enrol logs in for the first time, and sets up a second factor in the terminal.
func (p *person) enrol() (recovery string) {
	p.t.Helper()
	s := p.start("login", "--local", "--user", p.name, "--password-file", p.password, "--server", p.d.ready.API, "--ca-file", p.d.ready.CAFile)
	p.totp = s.find(p.t, `secret to type: ([A-Z2-7]+)`)
	if _, err := io.WriteString(s.in, p.code()+"\n"); err != nil {
		p.t.Fatal(err)
	}
	if code := p.end(s); code != 0 {
		p.t.Fatalf("%d: %s", code, s.said)
	}
	return s.find(p.t, `apart from it:\n  (\S+)\n`)
}

// post sends a form as the pages do, and gives the page that it leads to.
func (p *person) post(path string, form url.Values) string {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.d.ready.API+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", p.d.ready.API)
	response, err := p.browser.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s %v\n%s", path, response.Status, err, text)
	}
	return string(text)
}

// browse logs in with the browser.
func (p *person) browse() {
	p.t.Helper()
	password, err := os.ReadFile(p.password)
	if err != nil {
		p.t.Fatal(err)
	}
	p.post("/login", url.Values{"name": {p.name}, "password": {string(password)}})
	p.post("/login/second-factor", url.Values{"code": {p.code()}})
}

func (p *person) loginByCode() (*started, string) {
	p.t.Helper()
	s := p.start("login", "--server", p.d.ready.API, "--ca-file", p.d.ready.CAFile)
	return s, s.find(p.t, `\n  ([BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4})\n`)
}

// token is the one token of the person's contexts.
func (p *person) token() string {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.home.contexts, "*.token"))
	if err != nil || len(files) != 1 {
		p.t.Fatalf("tokens: %v %v", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		p.t.Errorf("%v %v", info.Mode(), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func TestPeopleLogInFromACommandLine(t *testing.T) {
	t.Parallel()
	d := newSite(t).start(t)
	olga := newPerson(t, d, "olga")
	d.site.run(t, "bulkhead", "user", "create", "olga", "--password-file", olga.password, "--owner")
	recovery := olga.enrol()
	first := olga.token()
	if me := olga.must("whoami"); !strings.Contains(me, "aal2") || !strings.Contains(me, "less than a minute ago") || !strings.Contains(me, d.ready.API) {
		t.Errorf("whoami: %s", me)
	}
	olga.must("user", "list") // an owner whose factor is fresh may

	if code, said := olga.bulkhead("olga\nwrong password\n", "login", "--local"); code != 4 || olga.token() != first {
		t.Errorf("a wrong password: %d: %s", code, said)
	}
	if code, said := olga.bulkhead("000000\n", "login", "--local", "--user", "olga", "--password-file", olga.password); code != 4 || olga.token() != first {
		t.Errorf("a wrong code: %d: %s", code, said)
	}
	if code, said := olga.bulkhead(recovery+"\n", "login", "--step-up"); code != 0 || olga.token() == first {
		t.Errorf("step-up with a recovery code: %d: %s", code, said)
	}
	if code, said := olga.bulkhead(recovery+"\n", "login", "--step-up"); code != 4 {
		t.Errorf("a recovery code twice: %d: %s", code, said)
	}
	second := olga.token()

	olga.browse()
	s, userCode := olga.loginByCode()
	if page := olga.post("/device", url.Values{"user_code": {userCode}, "answer": {"approve"}}); !strings.Contains(page, "Approved") {
		t.Errorf("approved: %s", page)
	}
	if code := olga.end(s); code != 0 || olga.token() == second {
		t.Errorf("%d: %s", code, s.said)
	}
	third := olga.token()
	olga.must("whoami")

	s, userCode = olga.loginByCode()
	olga.post("/device", url.Values{"user_code": {userCode}, "answer": {"deny"}})
	if code := olga.end(s); code != 4 || !strings.Contains(s.said.String(), "denied") || olga.token() != third {
		t.Errorf("denied: %d: %s", code, s.said)
	}
	s, _ = olga.loginByCode()
	if err := s.process.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := olga.end(s); code != 130 {
		t.Errorf("Ctrl-C: %d: %s", code, s.said)
	}

	olga.must("logout")
	if code, said := olga.bulkhead("", "whoami"); code != 4 || !strings.Contains(said, "type: bulkhead login") {
		t.Errorf("after logout: %d: %s", code, said)
	}
	for _, token := range []string{first, second, third} {
		if strings.Contains(olga.seen+d.output.String(), token) {
			t.Error("a token was printed")
		}
		if status := olga.whoamiWith(token); status != http.StatusUnauthorized {
			t.Errorf("a login that was replaced or ended still opens: %d", status)
		}
	}
}

func (p *person) whoamiWith(token string) int {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.d.ready.API+"/api/v1/whoami", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := (&http.Client{Transport: p.browser.Transport}).Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestKeysRotateWhileEverythingRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.start(t)
	olga := newPerson(t, d, "olga")
	s.run(t, "bulkhead", "user", "create", "olga", "--password-file", olga.password)
	olga.enrol()
	realm := d.ready.Projects[0].Name + "/host-metrics@prod"
	before := cli[httpapi.SealingKeys](t, d, "keys", "list")
	after := cli[httpapi.SealingKeys](t, d, "keys", "rotate")
	if len(after.Keys) != 2 || after.Keys[0].Values != before.Keys[0].Values || after.Keys[0].Values < 10 || after.Keys[1].Values != 0 || after.Work.Failed != 0 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	s.run(t, "bulkhead", "history", realm, "metrics", "--limit", "1")
	if _, stderr, err := s.try("bulkhead", "keys", "drop", after.Keys[0].ID); err == nil || !strings.Contains(stderr, "make a new one first") {
		t.Errorf("dropped the key in use: %s", stderr)
	}
	if _, stderr, err := s.try("bulkhead", "keys", "drop", after.Keys[1].ID); err == nil || !strings.Contains(stderr, "try again in") {
		t.Errorf("dropped while requests may need it: %s", stderr)
	}
	d.stop(t)
	d = s.start(t) // agents, services and databases are opened with what the new key wraps
	s.run(t, "bulkhead", "keys", "drop", before.Keys[0].ID)
	d.stop(t)
	d = s.start(t)
	if left := cli[httpapi.SealingKeys](t, d, "keys", "list"); len(left.Keys) != 1 || left.Keys[0].ID != after.Keys[0].ID || left.Keys[0].Values < 10 {
		t.Errorf("left %+v", left)
	}
	s.run(t, "bulkhead", "history", realm, "metrics", "--limit", "1")
	olga.d = d
	if code, said := olga.bulkhead(olga.code()+"\n", "login", "--local", "--user", "olga", "--password-file", olga.password, "--server", d.ready.API, "--ca-file", d.ready.CAFile); code != 0 {
		t.Errorf("the second factor does not open: %d: %s", code, said)
	}
}
