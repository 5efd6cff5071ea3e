package oidc_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"bulkhead/backend/account"
	"bulkhead/backend/account/oidc"
	"bulkhead/backend/audit"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/clocktest"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

const (
	clientID     = "bulkhead"
	clientSecret = "canary-client-secret"
	publicURL    = "https://bulkhead.test"
)

// Keys are dear to make, so that all tests share them; stranger's are nobody's in any key set.
var (
	rsaKey      = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	strangerKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey       = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// notes are what the audit log is told.
type notes struct {
	mu   sync.Mutex // guards list
	list []audit.Entry
}

func (n *notes) Note(_ context.Context, e audit.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, e)
}

func (n *notes) last(t *testing.T) audit.Entry {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) == 0 {
		t.Fatal("the audit log was told nothing")
	}
	return n.list[len(n.list)-1]
}

// stage is a relying party over a real database.
type stage struct {
	t         *testing.T
	slug      string // of a provider that no other stage of the database has
	database  *dbtest.Database
	providers *oidc.Providers
	party     *oidc.RelyingParty
	config    oidc.Config
	notes     *notes
	clock     *clocktest.Clock
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return newStageOver(t, dbtest.New(t), "company")
}

// forks gives stages over one database.
func forks(t *testing.T) func(*testing.T) *stage {
	t.Helper()
	database, count := dbtest.New(t), atomic.Int32{}
	return func(t *testing.T) *stage {
		t.Helper()
		return newStageOver(t, database, fmt.Sprintf("company-%d", count.Add(1)))
	}
}

func newStageOver(t *testing.T, database *dbtest.Database, slug string) *stage {
	t.Helper()
	s := &stage{t: t, slug: slug, database: database, notes: &notes{}, clock: clocktest.Start()}
	keys := must(secret.NewKeyring(bytes.Repeat([]byte{7}, 32)))
	store := db.NewProviders(s.database.DB)
	s.providers = oidc.NewProviders(store, keys, s.clock.Now)
	s.config = oidc.Config{
		Rows: store, Sealer: keys, Noter: s.notes, PublicURL: publicURL, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: s.clock.Now,
	}
	s.party = oidc.New(s.config)
	return s
}

var administrator = oidc.Administrator{Actor: audit.Actor{Kind: audit.APIKey, ID: "k"}, Platform: func() bool { return true }}

// add makes the row of a provider.
func (s *stage) add(name string, p *provider, edits ...func(*oidc.Provider)) oidc.Provider {
	s.t.Helper()
	row := oidc.Provider{Name: name, Title: "The " + name, Issuer: p.issuer, ClientID: clientID, PrivateNetwork: true, CA: p.ca, JustInTime: true}
	for _, edit := range edits {
		edit(&row)
	}
	made, err := s.providers.Create(s.t.Context(), administrator, row, secret.FromString(clientSecret))
	if err != nil {
		s.t.Fatal(err)
	}
	return made
}

var browser = account.Client{Address: "192.0.2.7", Agent: "a browser", RequestID: "request-1"}

// trip is a browser on its way: what Begin gave it, and what the provider sends it back with.
type trip struct {
	slug        string
	transaction string
	at          url.Values // of the authorization endpoint
	back        url.Values
}

func (s *stage) begin(slug string, p *provider, edits ...func(*oidc.Ask)) *trip {
	s.t.Helper()
	ask := oidc.Ask{Slug: slug, ReturnTo: "/account"}
	for _, edit := range edits {
		edit(&ask)
	}
	start, err := s.party.Begin(s.t.Context(), browser, ask)
	if err != nil {
		s.t.Fatal(err)
	}
	u := must(url.Parse(start.URL))
	return &trip{slug: slug, transaction: string(start.Transaction.Reveal()), at: u.Query(), back: p.approve(u.Query())}
}

func (s *stage) finish(t *trip) (oidc.Proof, error) {
	return s.party.Finish(s.t.Context(), browser, t.slug, t.transaction, t.back)
}

// refused checks that somebody was refused with the one message, and that the audit log alone has the reason.
func (s *stage) refused(err error, kind wire.Kind, reason string) {
	s.t.Helper()
	if errs.KindOf(err) != kind {
		s.t.Fatalf("got %v (%s), want %s because %q", err, errs.KindOf(err), kind, reason)
	}
	message := map[wire.Kind]string{wire.Unauthenticated: "this login could not be completed", wire.Unavailable: "does not answer as it should"}[kind]
	if text := errs.UserText(err); !strings.Contains(text, message) || strings.Contains(text, reason) {
		s.t.Errorf("the user reads %q", text)
	}
	e := s.notes.last(s.t)
	if err := e.Check(); err != nil {
		s.t.Error(err)
	}
	told := string(must(json.Marshal(e)))
	if e.Action != audit.ProviderRefuse || e.Actor.Address != browser.Address || e.Actor.RequestID != browser.RequestID || !strings.Contains(told, reason) {
		s.t.Errorf("the audit log has %s, want the reason %q", told, reason)
	}
	if strings.Contains(told, "canary") || strings.Contains(err.Error(), "canary") {
		s.t.Errorf("a secret is told: %s, %v", told, err)
	}
}

// provider is one that a test plays: honest, until the test changes it.
type provider struct {
	issuer, ca string
	server     *httptest.Server

	mu        sync.Mutex // guards all below
	discovery map[string]any
	keys      jose.JSONWebKeySet
	codes     map[string]url.Values // what was asked at the authorization endpoint
	claims    func(map[string]any)  // changes what the ID token says
	sign      func(claims map[string]any) string
	answer    func(w http.ResponseWriter, r *http.Request) bool // answers in place of the provider
	userinfo  map[string]any
	asked     []string
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{codes: map[string]url.Values{}}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	p.issuer = p.server.URL
	p.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
	p.discovery = map[string]any{
		"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token", "jwks_uri": p.issuer + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"},
	}
	p.keys.Keys = []jose.JSONWebKey{
		{Key: rsaKey().Public(), KeyID: "rsa", Algorithm: "RS256", Use: "sig"}, {Key: ecKey().Public(), KeyID: "ec", Algorithm: "ES256", Use: "sig"},
	}
	p.sign = func(claims map[string]any) string {
		return signed("RS256", rsaKey(), claims, map[string]any{"kid": "rsa"})
	}
	return p
}

// approve is what the user does at the provider, and what the browser brings back.
func (p *provider) approve(asked url.Values) url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := "canary-code-" + rand.Text()
	p.codes[code] = asked
	return url.Values{"code": {code}, "state": {asked.Get("state")}}
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	answer := p.answer
	p.asked = append(p.asked, r.URL.Path)
	p.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		reply(w, http.StatusOK, p.discovery)
	case "/keys":
		reply(w, http.StatusOK, p.keys)
	case "/userinfo":
		reply(w, http.StatusOK, p.userinfo)
	case "/token":
		p.token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	id, password, _ := r.BasicAuth()
	asked, known := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	switch {
	case id != clientID || password != clientSecret:
		reply(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "canary " + password})
	case !known || asked.Get("redirect_uri") != r.FormValue("redirect_uri") || asked.Get("code_challenge_method") != "S256" ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]):
		reply(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "canary " + r.FormValue("code")})
	default:
		now := time.Now()
		claims := map[string]any{
			"iss": p.issuer, "aud": clientID, "sub": "alice", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nonce": asked.Get("nonce"),
			"name": "Alice", "email": "alice@plant.example", "email_verified": true,
		}
		if p.claims != nil {
			p.claims(claims)
		}
		reply(w, http.StatusOK, map[string]any{"access_token": "canary-access", "token_type": "Bearer", "id_token": p.sign(claims)})
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// signed makes a token with any header.
func signed(algorithm jose.SignatureAlgorithm, key any, claims, header map[string]any) string {
	o := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for name, value := range header {
		o.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, o))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// unsigned makes a token whose header may say anything.
func unsigned(header, claims map[string]any, signature string) string {
	part := func(v any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(v))) }
	return part(header) + "." + part(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte(signature))
}

func (p *provider) set(change func(p *provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// says has ID tokens say something else; nil takes a claim away.
func (p *provider) says(other map[string]any) {
	p.set(func(p *provider) {
		p.claims = func(claims map[string]any) {
			maps.Copy(claims, other)
			maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
		}
	})
}
