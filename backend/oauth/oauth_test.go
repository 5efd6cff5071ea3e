package oauth_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/account/devicegrant"
	"bulkhead/backend/audit"
	"bulkhead/backend/oauth"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

const token = "bhs_canary"

// logins knows one user.
type logins struct {
	mu    sync.Mutex // guards all below
	made  []account.Client
	ended []string
	fault error
}

func (l *logins) Approve(_ context.Context, c account.Client, p account.Principal, kind account.LoginKind) (account.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != nil {
		return account.Session{}, l.fault
	}
	l.made = append(l.made, c)
	return account.Session{Login: account.Login{User: p.Key, Kind: kind, ExpiresAt: time.Now().Add(time.Hour)}, Token: secret.FromString(token)}, nil
}

func (l *logins) Authenticate(_ context.Context, _ account.Client, text string) (account.Principal, error) {
	if text != token {
		return account.Principal{}, errs.E(wire.Unauthenticated, "not valid")
	}
	return owner(), nil
}

func (l *logins) End(_ context.Context, _ account.Client, _ account.Principal, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, id)
	return l.fault
}

type records struct{}

func (records) Record(context.Context, audit.Entry) error { return nil }

func owner() account.Principal {
	return account.Principal{Kind: account.KindUser, Key: 7, Name: "owner", Login: "l1", Proof: account.ProofLogin, Level: account.AAL2, FactorAt: time.Now()}
}

type stage struct {
	t       *testing.T
	logins  *logins
	grants  *devicegrant.Grants
	handler http.Handler
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, logins: &logins{}, grants: devicegrant.New(time.Now, records{})}
	s.handler = oauth.Handler(oauth.Config{
		Grants: s.grants, Logins: s.logins, PublicURL: "https://bulkhead.example", Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	return s
}

func (s *stage) send(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *stage) post(path, form string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.send(r)
}

// ask begins a login as the command line does.
func (s *stage) ask() (a oauth.Authorization) {
	s.t.Helper()
	w := s.post(oauth.AuthorizationPath, "client_id=bulkhead-cli&host_name=laptop&client_version=bulkhead%2F1")
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != http.StatusOK {
		s.t.Fatalf("%d %s", w.Code, w.Body)
	}
	return a
}

func (s *stage) poll(code string) *httptest.ResponseRecorder {
	return s.post(oauth.TokenPath, url.Values{"grant_type": {oauth.GrantType}, "client_id": {oauth.ClientID}, "device_code": {code}}.Encode())
}

func (s *stage) refused(w *httptest.ResponseRecorder, status int, code string) {
	s.t.Helper()
	var body struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != status || body.Error != code {
		s.t.Errorf("%d %s, want %d %s", w.Code, w.Body, status, code)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
		s.t.Errorf("headers %v", w.Header())
	}
}

func TestACommandLineGetsATokenOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a := s.ask()
	if a.VerificationURI != "https://bulkhead.example/device" || a.VerificationURIComplete != a.VerificationURI+"?user_code="+a.UserCode || a.ExpiresIn != 600 || a.Interval != 2 {
		t.Errorf("got %+v", a)
	}
	s.refused(s.poll(a.DeviceCode), 400, "authorization_pending")
	s.refused(s.poll(a.DeviceCode), 400, "slow_down")
	if err := s.grants.Approve(t.Context(), account.Client{}, owner(), a.UserCode); err != nil {
		t.Fatal(err)
	}
	b := s.ask()
	if err := s.grants.Approve(t.Context(), account.Client{}, owner(), b.UserCode); err != nil {
		t.Fatal(err)
	}
	w := s.poll(b.DeviceCode)
	var got oauth.Token
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.AccessToken != token || got.TokenType != "Bearer" || got.ExpiresIn < 3500 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("a cache may keep the token")
	}
	if len(s.logins.made) != 1 || s.logins.made[0].Agent != "bulkhead/1 on laptop" || s.logins.made[0].Address != "192.0.2.1" {
		t.Errorf("made %+v", s.logins.made)
	}
	s.refused(s.poll(b.DeviceCode), 400, "invalid_grant")
}

func TestWhatWasDeniedIsAccessDenied(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a := s.ask()
	if err := s.grants.Deny(t.Context(), account.Client{}, owner(), a.UserCode); err != nil {
		t.Fatal(err)
	}
	s.refused(s.poll(a.DeviceCode), 400, "access_denied")
}

func TestAnApproverWhoseLoginEndedGivesNoToken(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a := s.ask()
	if err := s.grants.Approve(t.Context(), account.Client{}, owner(), a.UserCode); err != nil {
		t.Fatal(err)
	}
	s.logins.fault = errs.E(wire.Unauthenticated, "the login has ended")
	s.refused(s.poll(a.DeviceCode), 400, "invalid_grant")
	s.logins.fault = nil
	s.refused(s.poll(a.DeviceCode), 400, "invalid_grant")
}

func TestARequestThatIsWrongIsToldInOAuthsWords(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	code := s.ask().DeviceCode
	grant := "grant_type=" + url.QueryEscape(oauth.GrantType)
	for _, c := range []struct {
		path, form string
		status     int
		code       string
	}{
		{oauth.AuthorizationPath, "", 401, "invalid_client"},
		{oauth.AuthorizationPath, "client_id=other", 401, "invalid_client"},
		{oauth.AuthorizationPath, "client_id=bulkhead-cli&client_id=bulkhead-cli", 400, "invalid_request"},
		{oauth.AuthorizationPath, "client_id=bulkhead-cli&scope=all", 400, "invalid_scope"},
		{oauth.AuthorizationPath, "client_id=%zz", 400, "invalid_request"},
		{oauth.AuthorizationPath, "client_id=bulkhead-cli&x=" + strings.Repeat("x", 9000), 400, "invalid_request"},
		{oauth.AuthorizationPath + "?client_id=bulkhead-cli", "", 400, "invalid_request"},
		{oauth.TokenPath, "", 400, "invalid_request"},
		{oauth.TokenPath, "grant_type=password&client_id=bulkhead-cli", 400, "unsupported_grant_type"},
		{oauth.TokenPath, grant + "&client_id=bulkhead-cli", 400, "invalid_request"},
		{oauth.TokenPath, grant + "&client_id=other&device_code=" + url.QueryEscape(code), 401, "invalid_client"},
		{oauth.TokenPath, grant + "&client_id=bulkhead-cli&device_code=x", 400, "invalid_grant"},
		{oauth.TokenPath + "?device_code=" + url.QueryEscape(code), grant + "&client_id=bulkhead-cli", 400, "invalid_request"},
		{oauth.RevocationPath, "", 400, "invalid_request"},
	} {
		s.refused(s.post(c.path, c.form), c.status, c.code)
	}
	s.refused(s.send(httptest.NewRequest(http.MethodGet, oauth.TokenPath, nil)), 405, "invalid_request")
	s.refused(s.send(httptest.NewRequest(http.MethodPost, oauth.TokenPath, strings.NewReader("{}"))), 400, "invalid_request")
	s.refused(s.poll(code), 400, "authorization_pending") // none of it has used the code up
}

func TestAnotherSitesPageIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := httptest.NewRequest(http.MethodPost, oauth.AuthorizationPath, strings.NewReader("client_id=bulkhead-cli"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := s.send(r); w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTooManyLoginsAtOnceAreToldToWait(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for range 20 {
		s.ask()
	}
	w := s.post(oauth.AuthorizationPath, "client_id=bulkhead-cli")
	s.refused(w, 503, "temporarily_unavailable")
	if w.Header().Get("Retry-After") == "" {
		t.Error("it does not say when to come back")
	}
}

func TestARevokedTokenEndsItsLoginAndAnotherSaysNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, text := range []string{"bhs_other", token} {
		if w := s.post(oauth.RevocationPath, "token="+text); w.Code != 200 || w.Body.Len() != 0 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if len(s.logins.ended) != 1 || s.logins.ended[0] != "l1" {
		t.Errorf("ended %v", s.logins.ended)
	}
	s.logins.fault = errs.E(wire.Unavailable, "no database")
	s.refused(s.post(oauth.RevocationPath, "token="+token), 503, "temporarily_unavailable")
}
