package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account/factor"
	"bulkhead/backend/httpapi"
	"bulkhead/db/dbtest"
	"bulkhead/internal/config"
	"bulkhead/internal/secret"
	"bulkhead/internal/server"
	"bulkhead/internal/wampx"
)

const passphrase = "correct horse battery staple"

// site is a running server and a client of its API.
type site struct {
	*server.Server
	t     testing.TB
	roots *x509.CertPool
	key   string
}

func newSite(t testing.TB) *site {
	t.Helper()
	c := config.Default()
	c.Listen, c.OpsListen, c.StateDir, c.Database.Driver = "127.0.0.1:0", "127.0.0.1:0", t.TempDir(), config.DriverSchema
	s, err := server.Start(t.Context(), server.Options{Config: c, DatabaseURL: secret.FromString(dbtest.NewEmpty(t)), Log: quiet, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	ca, errCA := os.ReadFile(s.CAFile())
	key, errKey := os.ReadFile(s.OwnerKeyFile())
	if errCA != nil || errKey != nil {
		t.Fatal(errCA, errKey)
	}
	out := &site{Server: s, t: t, roots: x509.NewCertPool(), key: strings.TrimSpace(string(key))}
	out.roots.AppendCertsFromPEM(ca)
	return out
}

// from is a client that comes from an address of this machine.
func (s *site) from(address string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, DialContext: dialer.DialContext, Proxy: nil}}
	s.t.Cleanup(client.CloseIdleConnections)
	return client
}

func (s *site) send(client *http.Client, token, method, path string, body any) (status int, text []byte, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.API()+httpapi.Prefix+path, bytes.NewReader(data))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}

func ask[T any](s *site, token, method, path string, body any) (out T) {
	s.t.Helper()
	status, text, err := s.send(s.from("127.0.0.1"), token, method, path, body)
	if err != nil || status >= 300 {
		s.t.Fatalf("%s %s: %d %s %v", method, path, status, text, err)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

func (s *site) user(name string) {
	s.t.Helper()
	ask[httpapi.User](s, s.key, "POST", "/users", httpapi.UserCreate{Login: name, Password: passphrase, Owner: true})
}

func (s *site) login(name string) httpapi.LoginToken {
	s.t.Helper()
	return ask[httpapi.LoginToken](s, "", "POST", "/login", httpapi.LoginCreate{Name: name, Password: passphrase})
}

// enrolled logs in somebody new with both factors.
func (s *site) enrolled(name string) (httpapi.EnrolmentDone, factor.Secret) {
	s.t.Helper()
	s.user(name)
	first := s.login(name)
	e := ask[httpapi.EnrolmentSecret](s, first.Token, "POST", "/login/enrolment", nil)
	f := factor.Stored(secret.FromString(e.Secret))
	code, err := f.Code(factor.Step(time.Now()))
	if err != nil {
		s.t.Fatal(err)
	}
	return ask[httpapi.EnrolmentDone](s, first.Token, "POST", "/login/enrolment/confirm", httpapi.FactorCode{Code: code}), f
}

// join opens a session with a ticket of a login's.
func (s *site) join(token, realm string) *wampx.Session {
	s.t.Helper()
	ticket := ask[httpapi.Ticket](s, token, "POST", "/realms/"+realm+"/ticket", nil)
	session, err := wampx.Dial(s.t.Context(), wampx.Config{
		URL: s.Router(), Realm: ticket.Realm, AuthID: ticket.AuthID, Ticket: secret.FromString(ticket.Ticket), TLS: &tls.Config{RootCAs: s.roots},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = session.Close(context.Background()) })
	return session
}

// gone waits until a session has ended. That it takes a second at most is shown in package account, by a clock that no load slows.
func gone(t *testing.T, session *wampx.Session, what string) {
	t.Helper()
	select {
	case <-session.Done():
	case <-time.After(time.Minute): // nothing else ends it before
		t.Errorf("%s: the session is open", what)
	}
}

func TestALoginThatEndsTakesItsSessionsWithIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, _ := s.enrolled("alice")
	p := ask[httpapi.Project](s, alice.Token, "POST", "/projects", httpapi.ProjectCreate{Name: "plant-a"})
	// Another login of hers, by a recovery code.
	other := ask[httpapi.LoginToken](s, s.login("alice").Token, "POST", "/login/second-factor", httpapi.FactorCode{Code: alice.RecoveryCodes[0]})
	key := ask[httpapi.APIKeySecret](s, alice.Token, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "hers"})
	first, second, third := s.join(alice.Token, p.DeviceRealm), s.join(other.Token, p.DeviceRealm), s.join(key.Key, p.DeviceRealm)
	if first.AuthID() != second.AuthID() || first.AuthID() != third.AuthID() {
		t.Errorf("%s, %s and %s", first.AuthID(), second.AuthID(), third.AuthID())
	}
	ask[struct{}](s, alice.Token, "DELETE", "/logins/"+alice.Login.ID, nil)
	gone(t, first, "a login that was ended")
	for _, open := range []*wampx.Session{second, third} {
		select {
		case <-open.Done():
			t.Errorf("a session of another login ended too: %v", open.Err())
		default:
		}
	}
	ask[struct{}](s, other.Token, "DELETE", "/apikeys/"+key.APIKey.ID, nil)
	gone(t, third, "a key that was revoked")
	ask[struct{}](s, s.key, "POST", "/users/alice/suspend", nil)
	gone(t, second, "a user who was suspended")
}

func TestACredentialInAURLOpensNothingAnywhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	client := s.from("127.0.0.1")
	for _, path := range []string{
		"/ws?access_token=" + s.key, "/ws?x=" + s.key, "/ws/" + s.key, "/ws-ua-usr?token=x", "/ws-agent?" + s.key, "/?api_key=x", "/account/keys?x=" + s.key, "/login?bhs_x",
		"/oauth/token?token=" + s.key, "/api/v1/whoami?key=" + s.key,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.API()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Protocol": {"wamp.2.json"}}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), httpapi.CodeCredentialInURL) || strings.Contains(string(text), s.key) {
			t.Errorf("%s: %d %s", strings.ReplaceAll(path, s.key, "KEY"), answer.StatusCode, text)
		}
	}
}
