package idp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"bulkhead/internal/dev/idp"
	"bulkhead/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://127.0.0.1:8443/dev-idp"
	callback = "https://127.0.0.1:8443/login/oidc/dev/callback"
	after    = "https://127.0.0.1:8443/login"
	verifier = "a verifier that is long enough to be one, of 43 characters"
)

// site is a provider with a clock of its own.
type site struct {
	*testing.T
	handler http.Handler
	now     time.Time
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, now: time.Now()}
	handler, err := idp.New(idp.Config{
		Issuer: issuer, ClientID: "bulkhead", ClientSecret: secret.FromString("s"), RedirectURI: callback, LogoutURI: after,
		Users: []idp.User{{Name: "owner", FullName: "Olga Owner", Email: "owner@bulkhead.example", Password: secret.FromString("p")}},
		Now:   func() time.Time { return s.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.handler = handler
	return s
}

func (s *site) do(method, path string, form url.Values, edits ...func(*http.Request)) *http.Response {
	request := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, edit := range edits {
		edit(request)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, request)
	return w.Result()
}

// begin gives the id of a login page, or where the browser was sent instead.
func (s *site) begin(extra url.Values) (id string, at *url.URL) {
	s.Helper()
	hash := sha256.Sum256([]byte(verifier))
	asked := url.Values{
		"client_id": {"bulkhead"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid email phone"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(hash[:])}, "code_challenge_method": {"S256"},
	}
	for name, values := range extra {
		asked[name] = values
	}
	at = s.location(s.do(http.MethodGet, "/authorize?"+asked.Encode(), nil))
	return at.Query().Get("id"), at
}

func (s *site) location(r *http.Response) *url.URL {
	s.Helper()
	to, err := r.Location()
	if err != nil {
		s.Fatalf("%d: %v", r.StatusCode, err)
	}
	return to
}

func (s *site) logIn(id string) *http.Response {
	return s.do(http.MethodPost, "/login", url.Values{"id": {id}, "name": {"owner"}, "password": {"p"}})
}

func (s *site) trade(code string) (status int, reply map[string]any) {
	s.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	r := s.do(http.MethodPost, "/token", form, func(r *http.Request) { r.SetBasicAuth("bulkhead", "s") })
	if err := json.NewDecoder(r.Body).Decode(&reply); err != nil {
		s.Fatal(err)
	}
	return r.StatusCode, reply
}

func TestTheIDTokenSaysWhatWasAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id, _ := s.begin(nil)
	back := s.location(s.logIn(id))
	if q := back.Query(); q.Get("iss") != issuer || q.Get("state") != "s" || !strings.HasPrefix(back.String(), callback+"?") {
		t.Fatalf("came back with %v", back)
	}
	status, reply := s.trade(back.Query().Get("code"))
	text, _ := reply["id_token"].(string)
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
	if status != http.StatusOK || err != nil {
		t.Fatalf("%d %v: %v", status, reply, err)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(s.do(http.MethodGet, "/keys", nil).Body).Decode(&keys); err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(keys.Keys[0])
	if err != nil || !keys.Keys[0].IsPublic() {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"iss": issuer, "sub": "owner", "azp": "bulkhead", "nonce": "n", "email": "owner@bulkhead.example", "email_verified": true,
		"auth_time": float64(s.now.Unix()), "name": nil, // the profile was not asked for
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, not %v", name, claims[name], want)
		}
	}
	if reply["scope"] != "openid email" {
		t.Errorf("granted %v", reply["scope"])
	}
}

func TestACodeWorksOnceAndForAMinute(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id, _ := s.begin(nil)
	code := s.location(s.logIn(id)).Query().Get("code")
	if status, reply := s.trade(code); status != http.StatusOK {
		t.Fatalf("%d %v", status, reply)
	}
	if status, reply := s.trade(code); status != http.StatusBadRequest || reply["error"] != "invalid_grant" {
		t.Errorf("twice: %d %v", status, reply)
	}
	id, _ = s.begin(nil)
	code = s.location(s.logIn(id)).Query().Get("code")
	s.now = s.now.Add(time.Minute)
	if status, reply := s.trade(code); status != http.StatusBadRequest || reply["error"] != "invalid_grant" {
		t.Errorf("after a minute: %d %v", status, reply)
	}
}

func TestALoginPageIsAnsweredOnceWithinTenMinutes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id, _ := s.begin(nil)
	s.location(s.logIn(id))
	if r := s.logIn(id); r.StatusCode != http.StatusBadRequest {
		t.Errorf("twice: %d", r.StatusCode)
	}
	id, _ = s.begin(nil)
	s.now = s.now.Add(10 * time.Minute)
	if r := s.logIn(id); r.StatusCode != http.StatusBadRequest {
		t.Errorf("after ten minutes: %d", r.StatusCode)
	}
}

func TestThePasswordIsAskedEachTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, extra := range map[string]url.Values{"nothing": {}, "prompt": {"prompt": {"login"}}, "max_age": {"max_age": {"0"}}, "older": {"max_age": {"3600"}}} {
		id, at := s.begin(extra)
		if id == "" || !strings.HasPrefix(at.String(), issuer+"/login?") {
			t.Errorf("%s: went to %v", name, at)
		}
		s.location(s.logIn(id))
	}
	if _, at := s.begin(url.Values{"prompt": {"none"}}); at.Query().Get("error") != "login_required" || at.Query().Get("iss") != issuer {
		t.Errorf("silently: went to %v", at)
	}
}

func TestLoginsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range 1000 {
		if id, at := s.begin(nil); id == "" {
			t.Fatalf("went to %v", at)
		}
	}
	if _, at := s.begin(nil); at.Query().Get("error") != "server_error" {
		t.Errorf("went to %v", at)
	}
	s.now = s.now.Add(10 * time.Minute)
	if id, at := s.begin(nil); id == "" {
		t.Errorf("went to %v", at)
	}
}

func TestLogoutLeadsToTheServerAndNowhereElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	query := func(to, hint string) string {
		return "/logout?" + url.Values{"client_id": {"bulkhead"}, "post_logout_redirect_uri": {to}, "id_token_hint": {hint}}.Encode()
	}
	if to := s.location(s.do(http.MethodGet, query(after, ""), nil)); to.String() != after {
		t.Errorf("went to %v", to)
	}
	if to := s.location(s.do(http.MethodGet, query(after, "of.another.start"), nil)); to.String() != after {
		t.Errorf("with a hint from before a restart: went to %v", to)
	}
	for _, evil := range []string{"https://evil.example", after + ".evil.example", ""} {
		if r := s.do(http.MethodGet, query(evil, ""), nil); r.StatusCode != http.StatusOK || r.Header.Get("Location") != "" {
			t.Errorf("%q: %d to %q", evil, r.StatusCode, r.Header.Get("Location"))
		}
	}
}

func TestOnlyWhatIsOpenIsNamedAndOpen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var got map[string]any
	if err := json.NewDecoder(s.do(http.MethodGet, "/.well-known/openid-configuration", nil).Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got["issuer"] != issuer || got["authorization_response_iss_parameter_supported"] != true {
		t.Errorf("got %v", got)
	}
	var named []string
	for name, value := range got {
		if text, ok := value.(string); ok && strings.HasPrefix(text, issuer+"/") {
			named = append(named, name)
		}
	}
	slices.Sort(named)
	if want := []string{"authorization_endpoint", "end_session_endpoint", "jwks_uri", "token_endpoint"}; !slices.Equal(named, want) {
		t.Errorf("named are %v", named)
	}
	for _, path := range []string{"/userinfo", "/revoke", "/oauth/token", "/oauth/introspect", "/device_authorization", "/authorize/callback?id=x", "/healthz"} {
		if r := s.do(http.MethodPost, path, nil); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
}
