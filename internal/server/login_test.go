package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account/factor"
	"bulkhead/backend/httpapi"
	"bulkhead/internal/secret"
	"bulkhead/internal/server/servertest"
	"bulkhead/internal/wampx"
)

const passphrase = "correct horse battery staple"

// site is a running server with people.
type site struct {
	*servertest.Server
	t testing.TB
}

func newSite(t testing.TB) *site { return &site{servertest.Start(t), t} }

func (s *site) user(name string) {
	s.t.Helper()
	servertest.Ask[httpapi.User](s.Server, s.Key, "POST", "/users", httpapi.UserCreate{Login: name, Password: passphrase, Owner: true})
}

func (s *site) login(name string) httpapi.LoginToken {
	s.t.Helper()
	return servertest.Ask[httpapi.LoginToken](s.Server, "", "POST", "/login", httpapi.LoginCreate{Name: name, Password: passphrase})
}

// enrolled logs in somebody new with both factors.
func (s *site) enrolled(name string) (httpapi.EnrolmentDone, factor.Secret) {
	s.t.Helper()
	s.user(name)
	first := s.login(name)
	e := servertest.Ask[httpapi.EnrolmentSecret](s.Server, first.Token, "POST", "/login/enrolment", nil)
	f := factor.Stored(secret.FromString(e.Secret))
	code, err := f.Code(factor.Step(time.Now()))
	if err != nil {
		s.t.Fatal(err)
	}
	return servertest.Ask[httpapi.EnrolmentDone](s.Server, first.Token, "POST", "/login/enrolment/confirm", httpapi.FactorCode{Code: code}), f
}

func (s *site) join(token, realm string) *wampx.Session {
	s.t.Helper()
	session, err := s.Join(token, realm)
	if err != nil {
		s.t.Fatal(err)
	}
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
	p := servertest.Ask[httpapi.Project](s.Server, alice.Token, "POST", "/projects", httpapi.ProjectCreate{Name: "plant-a"})
	// Another login of hers, by a recovery code.
	other := servertest.Ask[httpapi.LoginToken](s.Server, s.login("alice").Token, "POST", "/login/second-factor", httpapi.FactorCode{Code: alice.RecoveryCodes[0]})
	key := servertest.Ask[httpapi.APIKeySecret](s.Server, alice.Token, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "hers"})
	first, second, third := s.join(alice.Token, p.DeviceRealm), s.join(other.Token, p.DeviceRealm), s.join(key.Key, p.DeviceRealm)
	if first.AuthID() != second.AuthID() || first.AuthID() != third.AuthID() {
		t.Errorf("%s, %s and %s", first.AuthID(), second.AuthID(), third.AuthID())
	}
	servertest.Ask[struct{}](s.Server, alice.Token, "DELETE", "/logins/"+alice.Login.ID, nil)
	gone(t, first, "a login that was ended")
	for _, open := range []*wampx.Session{second, third} {
		select {
		case <-open.Done():
			t.Errorf("a session of another login ended too: %v", open.Err())
		default:
		}
	}
	servertest.Ask[struct{}](s.Server, other.Token, "DELETE", "/apikeys/"+key.APIKey.ID, nil)
	gone(t, third, "a key that was revoked")
	servertest.Ask[struct{}](s.Server, s.Key, "POST", "/users/alice/suspend", nil)
	gone(t, second, "a user who was suspended")
}

func TestACredentialInAURLOpensNothingAnywhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{
		"/ws?access_token=" + s.Key, "/ws?x=" + s.Key, "/ws/" + s.Key, "/ws-ua-usr?token=x", "/ws-agent?" + s.Key, "/?api_key=x", "/account/keys?x=" + s.Key, "/login?bhs_x",
		"/oauth/token?token=" + s.Key, "/api/v1/whoami?key=" + s.Key,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.API()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}, "Sec-Websocket-Protocol": {"wamp.2.json"}}
		answer, err := s.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), httpapi.CodeCredentialInURL) || strings.Contains(string(text), s.Key) {
			t.Errorf("%s: %d %s", strings.ReplaceAll(path, s.Key, "KEY"), answer.StatusCode, text)
		}
	}
}
