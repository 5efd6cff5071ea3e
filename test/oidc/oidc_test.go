// Package oidc shows that the relying party logs in with providers that it does not know: the one of `bulkhead dev` and npm's certified oidc-provider.
package oidc

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/backend/account"
	"bulkhead/backend/account/oidc"
	"bulkhead/backend/audit"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/dev/idp"
	"bulkhead/internal/errs"
	"bulkhead/internal/localca"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

const (
	publicURL = "https://bulkhead.test"
	password  = "a secret: with / and %" // the client's, which HTTP's basic authentication must escape
)

var from = account.Client{Address: "192.0.2.7", RequestID: "r"}

// party is our relying party over a real database.
type party struct {
	*oidc.RelyingParty
	providers *oidc.Providers
	notes     *notes
}

type notes struct {
	mu   sync.Mutex // guards list
	list []audit.Entry
}

func (n *notes) Note(_ context.Context, e audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, e)
}

func newParty(t *testing.T) *party {
	t.Helper()
	keys, err := secret.NewKeyring(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	store := db.NewProviders(dbtest.New(t).DB)
	p := &party{providers: oidc.NewProviders(store, keys, time.Now), notes: &notes{}}
	p.RelyingParty = oidc.New(oidc.Config{
		Rows: store, Sealer: keys, Noter: p.notes, PublicURL: publicURL, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now,
	})
	return p
}

func (p *party) add(t *testing.T, issuer, ca string, edits ...func(*oidc.Provider)) oidc.Provider {
	t.Helper()
	row := oidc.Provider{Name: "company", Issuer: issuer, ClientID: "bulkhead", PrivateNetwork: true, CA: ca, Logout: true}
	for _, edit := range edits {
		edit(&row)
	}
	by := oidc.Administrator{Actor: audit.Server, Platform: func() bool { return true }}
	made, err := p.providers.Create(t.Context(), by, row, secret.FromString(password))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// callback and afterLogout are what a provider is told of us.
var (
	callback    = oidc.RedirectURI(publicURL, oidc.Provider{Name: "company"})
	afterLogout = oidc.AfterLogout(publicURL)
)

// browser follows redirects and fills forms as a person does.
type browser struct {
	t    *testing.T
	http *http.Client
}

func newBrowser(t *testing.T, ca string) *browser {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, http: &http.Client{Transport: transport, Jar: jar, Timeout: time.Minute, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(next.URL.String(), publicURL) {
			return http.ErrUseLastResponse // it has come back to us
		}
		return nil
	}}}
}

// page is what a browser shows: where it came back to us, or a form.
type page struct {
	back *url.URL
	at   *url.URL
	html string
	code int
}

func (b *browser) show(response *http.Response, err error) page {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := page{at: response.Request.URL, html: string(text), code: response.StatusCode}
	if to, err := response.Location(); err == nil {
		p.back = to
	}
	return p
}

func (b *browser) open(target string) page {
	b.t.Helper()
	return b.show(b.http.Get(target)) //nolint:noctx // the client has a timeout
}

var (
	action = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// submit fills the page's form.
func (b *browser) submit(p page, fields url.Values) page {
	b.t.Helper()
	found := action.FindStringSubmatch(p.html)
	if found == nil {
		b.t.Fatalf("%s: %d: no form in %s", p.at, p.code, p.html)
	}
	target, err := p.at.Parse(found[1])
	if err != nil {
		b.t.Fatal(err)
	}
	for _, field := range hidden.FindAllStringSubmatch(p.html, -1) {
		fields.Set(field[1], field[2])
	}
	return b.show(b.http.PostForm(target.String(), fields)) //nolint:noctx // the client has a timeout
}

// embedded is the provider of dev, under a path as there.
func embedded(t *testing.T) (issuer, ca string) {
	t.Helper()
	var inner http.Handler
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.StripPrefix("/dev-idp", inner).ServeHTTP(w, r) }))
	cert, ca := certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, strings.Replace(cert, "cert", "key", 1))
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	issuer = "https://" + server.Listener.Addr().String() + "/dev-idp"
	inner, err = idp.New(idp.Config{
		Issuer: issuer, ClientID: "bulkhead", ClientSecret: secret.FromString(password), RedirectURI: callback, LogoutURI: afterLogout, Now: time.Now,
		Users: []idp.User{
			{Name: "owner", FullName: "Olga Owner", Email: "owner@bulkhead.example", Password: secret.FromString("owner's password")},
			{Name: "operator", FullName: "Oscar Operator", Email: "operator@bulkhead.example", Password: secret.FromString("operator's")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return issuer, ca
}

// certificate makes one for 127.0.0.1 and gives its file and the authority as PEM.
func certificate(t *testing.T) (certFile, ca string) {
	t.Helper()
	files, err := localca.Ensure(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{files.Cert: "cert.pem", files.Key: "key.pem"} {
		if err := os.Link(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert.pem"), string(text)
}

func (p *party) begin(t *testing.T, edits ...func(*oidc.Ask)) oidc.Start {
	t.Helper()
	ask := oidc.Ask{Slug: "company", ReturnTo: "/account"}
	for _, edit := range edits {
		edit(&ask)
	}
	start, err := p.Begin(t.Context(), from, ask)
	if err != nil {
		t.Fatal(err)
	}
	return start
}

func TestTheSampleUsersLogInWithTheProviderOfDev(t *testing.T) {
	t.Parallel()
	issuer, ca := embedded(t)
	p := newParty(t)
	row := p.add(t, issuer, ca)
	b := newBrowser(t, ca)
	start := p.begin(t, func(a *oidc.Ask) { a.Hint = "owner"; a.MaxAge = time.Minute })
	form := b.open(start.URL)
	if !strings.Contains(form.html, `value="owner"`) {
		t.Errorf("the hint is not in %s", form.html)
	}
	for _, wrong := range []url.Values{{"name": {"owner"}, "password": {"operator's"}}, {"name": {"owner"}, "password": {""}}, {"name": {""}, "password": {""}}} {
		if again := b.submit(form, wrong); again.code != http.StatusUnauthorized || again.back != nil || !strings.Contains(again.html, "is wrong") {
			t.Fatalf("%v: %d %s", wrong, again.code, again.html)
		}
	}
	done := b.submit(form, url.Values{"name": {" owner"}, "password": {"owner's password"}})
	if done.back == nil || !strings.HasPrefix(done.back.String(), callback+"?") {
		t.Fatalf("came to %v: %s", done.back, done.html)
	}
	if done.back.Query().Get("iss") != issuer {
		t.Errorf("came back with %v", done.back)
	}
	proof, err := p.Finish(t.Context(), from, "company", string(start.Transaction.Reveal()), done.back.Query())
	if err != nil {
		t.Fatalf("%v; %+v", err, p.notes.list)
	}
	who := proof.Identity
	if who.Issuer != issuer || who.Subject != "owner" || who.Name != "Olga Owner" || !who.EmailVerified || len(who.AMR) != 1 || who.AuthTime.IsZero() {
		t.Errorf("got %+v", who)
	}
	if again := b.submit(form, url.Values{"name": {"owner"}, "password": {"owner's password"}}); again.back != nil || !strings.Contains(again.html, "is over") {
		t.Errorf("the form works twice: %v", again.back)
	}
	checkLogout(t, p, b, row, proof)
}

// checkLogout follows the link at which a provider logs its user out.
func checkLogout(t *testing.T, p *party, b *browser, row oidc.Provider, proof oidc.Proof) {
	t.Helper()
	out, err := p.LogoutURL(t.Context(), row.Key, proof.Identity.IDToken)
	if err != nil || out == "" {
		t.Fatalf("logout: %q, %v", out, err)
	}
	shown := b.open(out)
	for shown.back == nil && strings.Contains(shown.html, "<form") {
		shown = b.submit(shown, url.Values{"logout": {"yes"}})
	}
	if shown.back == nil || shown.back.String() != afterLogout {
		t.Errorf("after the logout: %v %d %s", shown.back, shown.code, shown.html)
	}
}

func TestTheProviderOfDevServesNobodyElse(t *testing.T) {
	t.Parallel()
	issuer, ca := embedded(t)
	b := newBrowser(t, ca)
	right := url.Values{
		"client_id": {"bulkhead"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {"x"}, "code_challenge_method": {"S256"},
	}
	for name, test := range map[string]struct{ field, value, fault string }{
		"another client":   {"client_id", "evil", ""},
		"another callback": {"redirect_uri", "https://evil.example/callback", ""},
		"a longer one":     {"redirect_uri", callback + "/../evil", ""},
		"a token at once":  {"response_type", "id_token", "unauthorized_client"},
		"no openid":        {"scope", "email", "invalid_scope"},
		"no PKCE":          {"code_challenge", "", "invalid_request"},
		"plain PKCE":       {"code_challenge_method", "plain", "invalid_request"},
		"PKCE unsaid":      {"code_challenge_method", "", "invalid_request"},
		"in the fragment":  {"response_mode", "fragment", "invalid_request"},
		"as a form":        {"response_mode", "form_post", "invalid_request"},
		"silently":         {"prompt", "none", "login_required"},
	} {
		asked := url.Values{}
		for k, v := range right {
			asked[k] = v
		}
		asked.Set(test.field, test.value)
		got := b.open(issuer + "/authorize?" + asked.Encode())
		switch {
		case test.fault == "" && (got.code != http.StatusBadRequest || got.back != nil):
			t.Errorf("%s: %d %v", name, got.code, got.back)
		case test.fault != "" && (got.back == nil || answer(t, got.back).Get("error") != test.fault || answer(t, got.back).Get("iss") != issuer):
			t.Errorf("%s: %d %v", name, got.code, got.back)
		}
	}
}

// answer is what a provider says to the client: in the fragment where the request asked for a token or for that.
func answer(t *testing.T, back *url.URL) url.Values {
	t.Helper()
	if back.Fragment == "" {
		return back.Query()
	}
	values, err := url.ParseQuery(back.EscapedFragment())
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestACodeOfTheProviderOfDevWorksOnceForItsClientAlone(t *testing.T) {
	t.Parallel()
	issuer, ca := embedded(t)
	b := newBrowser(t, ca)
	p := newParty(t)
	p.add(t, issuer, ca)
	for name, test := range map[string]struct {
		client, password string
		edit             func(url.Values)
		status           int
	}{
		"no client":        {"", "", nil, http.StatusUnauthorized},
		"wrong password":   {"bulkhead", "x", nil, http.StatusUnauthorized},
		"another verifier": {"bulkhead", url.QueryEscape(password), func(v url.Values) { v.Set("code_verifier", "x") }, http.StatusBadRequest},
		"no verifier":      {"bulkhead", url.QueryEscape(password), func(v url.Values) { v.Del("code_verifier") }, http.StatusBadRequest},
		"another grant":    {"bulkhead", url.QueryEscape(password), func(v url.Values) { v.Set("grant_type", "password") }, http.StatusBadRequest},
	} {
		done := b.submit(b.open(p.begin(t).URL), url.Values{"name": {"owner"}, "password": {"owner's password"}})
		form := url.Values{"grant_type": {"authorization_code"}, "code": {done.back.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {"v"}}
		if test.edit != nil {
			test.edit(form)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if test.client != "" {
			request.SetBasicAuth(test.client, test.password)
		}
		if got := b.show(b.http.Do(request)); got.code != test.status || strings.Contains(got.html, "id_token") {
			t.Errorf("%s: %d %s", name, got.code, got.html)
		}
	}
}

// npm starts the certified provider and gives its issuer and authority.
func npm(t *testing.T) (issuer, ca string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("node_modules", "oidc-provider")); err != nil {
		said, err := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput()
		if err != nil {
			t.Fatalf("the provider cannot be installed: npm ci: %v\n%s\n./justw test installs what is missing", err, said)
		}
	}
	cert, ca := certificate(t)
	command := exec.Command("node", "--no-warnings", "provider.mjs", cert, strings.Replace(cert, "cert.pem", "key.pem", 1), callback, afterLogout) //nolint:noctx // it ends with its input
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	t.Cleanup(func() {
		_ = input.Close()
		for lines.Scan() { // what it still says
		}
		if err := command.Wait(); err != nil {
			t.Errorf("the provider: %v\n%s", err, said.String())
		}
	})
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "https://") {
			return lines.Text(), ca
		}
	}
	t.Fatalf("the provider does not start: %s", said.String())
	return "", ""
}

func TestACertifiedProviderLogsItsUsersInAndOut(t *testing.T) {
	t.Parallel()
	issuer, ca := npm(t)
	p := newParty(t)
	row := p.add(t, issuer, ca, func(row *oidc.Provider) { row.Algorithms = []string{"RS256"} })
	b := newBrowser(t, ca)
	start := p.begin(t, func(a *oidc.Ask) { a.MaxAge = time.Minute })
	shown := b.submit(b.open(start.URL), url.Values{"login": {"alice"}, "password": {"any"}})
	for shown.back == nil { // it asks for consent too
		shown = b.submit(shown, url.Values{})
	}
	proof, err := p.Finish(t.Context(), from, "company", string(start.Transaction.Reveal()), shown.back.Query())
	if err != nil {
		t.Fatalf("%v; %+v", err, p.notes.list)
	}
	who := proof.Identity
	if who.Issuer != issuer || who.Subject != "alice" || who.Name != "alice of npm" || who.Email != "alice@plant.example" || who.AuthTime.IsZero() {
		t.Errorf("got %+v", who)
	}
	if shown.back.Query().Get("iss") != issuer {
		t.Errorf("came back with %v", shown.back)
	}
	again := p.begin(t)
	_, err = p.Finish(t.Context(), from, "company", string(again.Transaction.Reveal()), url.Values{
		"state": {mustQuery(t, again.URL).Get("state")}, "iss": {issuer}, "code": {shown.back.Query().Get("code")},
	})
	if errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("a code twice: %v", err)
	}
	checkLogout(t, p, b, row, proof)
}

func mustQuery(t *testing.T, text string) url.Values {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestNobodyAnswersWhereTheProviderWas(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	p := newParty(t)
	p.add(t, "https://"+listener.Addr().String(), "")
	_, err = p.Begin(t.Context(), from, oidc.Ask{Slug: "company"})
	if errs.KindOf(err) != wire.Unavailable || !strings.Contains(errs.UserText(err), "try again in a minute") {
		t.Errorf("got %v", err)
	}
}
