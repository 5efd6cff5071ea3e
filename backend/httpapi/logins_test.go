package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/account/factor"
	"bulkhead/backend/httpapi"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

const passphrase = "correct horse battery staple"

// person makes a local account and logs in with both factors.
func (s *stage) person(login string, owner bool) (httpapi.LoginToken, factor.Secret) {
	s.t.Helper()
	must[httpapi.User](s, 201, "POST", "/users", httpapi.UserCreate{Login: login, Password: passphrase, Owner: owner})
	if err := s.live.Load(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	first := must[httpapi.LoginToken](s, 200, "POST", "/login", httpapi.LoginCreate{Name: login, Password: passphrase}, nobody0)
	e := must[httpapi.EnrolmentSecret](s, 201, "POST", "/login/enrolment", nil, bearer(first.Token))
	f := factor.Stored(secret.FromString(e.Secret))
	done := must[httpapi.EnrolmentDone](s, 200, "POST", "/login/enrolment/confirm", httpapi.FactorCode{Code: s.code(f)}, bearer(first.Token))
	if len(done.RecoveryCodes) != 10 || done.Login.Level != "aal2" || done.Token == first.Token {
		s.t.Fatalf("%+v", done.Login)
	}
	s.clock.Pass(time.Minute)
	return done.LoginToken, f
}

func (s *stage) code(f factor.Secret) string {
	s.t.Helper()
	code, err := f.Code(factor.Step(s.clock.Now()))
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}

func bearer(token string) change { return header("Authorization", "Bearer "+token) }

func nobody0(r *http.Request) { r.Header.Del("Authorization") }

// cookie sends a login as browsers do, from a page of this server.
func cookie(token string) change {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		r.AddCookie(&http.Cookie{Name: httpapi.LoginCookie, Value: token})
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
}

func TestAFirstFactorReachesNothingButTheSecond(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.person("alice", true)
	first := must[httpapi.LoginToken](s, 200, "POST", "/login", httpapi.LoginCreate{Name: "alice", Password: passphrase}, nobody0)
	if !first.Enrolled || first.Login.Level != "aal1" {
		t.Errorf("%+v", first)
	}
	_, _, in := s.plant("plant-a")
	open := map[string]bool{
		"login": true, "whoami": true, "get-enrolment": true, "create-enrolment": true, "confirm-enrolment": true, "show-second-factor": true,
		"list-logins": true, "end-login": true,
	}
	for _, op := range operations(t, s) {
		if open[op.id] {
			continue
		}
		a := s.do(op.method, httpapi.Prefix+example(op.path, in.Realm), bodyOf(op.id), header("If-Match", "*"), bearer(first.Token))
		if p := a.problem(t); p.Code != "second_factor_required" && a.status != 400 && a.status != 422 {
			t.Errorf("%s: %d %s", op.id, a.status, a.body)
		}
	}
	s.refused(403, "second_factor_required", "DELETE", "/projects/plant-a", nil, bearer(first.Token), func(r *http.Request) { r.Header.Set("If-Match", "*") })
}

func TestWhatIsDangerousAsksForTheSecondFactorAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	token, f := s.person("alice", true)
	as := bearer(token.Token)
	must[httpapi.List[httpapi.User]](s, 200, "GET", "/users", nil, as)
	s.clock.Pass(5 * time.Minute)
	must[httpapi.Whoami](s, 200, "GET", "/whoami", nil, as)
	s.refused(403, "step_up_required", "GET", "/users", nil, as)
	s.refused(403, "step_up_required", "POST", "/apikeys", httpapi.APIKeyCreate{Name: "x"}, as)
	s.refused(403, "step_up_required", "POST", "/password", httpapi.UserPassword{Password: "another long passphrase"}, as)
	s.refused(403, "step_up_required", "POST", "/login/enrolment", nil, as)
	again := must[httpapi.LoginToken](s, 200, "POST", "/login/second-factor", httpapi.FactorCode{Code: s.code(f)}, as)
	s.refused(401, "unauthenticated", "GET", "/whoami", nil, as)
	must[httpapi.List[httpapi.User]](s, 200, "GET", "/users", nil, bearer(again.Token))
	must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "x"}, bearer(again.Token))
}

func TestACookieWorksFromPagesOfThisServerAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	token, _ := s.person("alice", true)
	me := must[httpapi.Whoami](s, 200, "GET", "/whoami", nil, cookie(token.Token))
	if me.Name != "alice" || me.Proof != "login" {
		t.Errorf("%+v", me)
	}
	body := httpapi.ServiceAccountCreate{Name: "made by a page"}
	must[httpapi.ServiceAccount](s, 201, "POST", "/service-accounts", body, cookie(token.Token))
	for name, change := range map[string]change{
		"another site":     header("Sec-Fetch-Site", "cross-site"),
		"a sibling domain": header("Sec-Fetch-Site", "same-site"),
		"a sibling's old page": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://evil.example.com")
		},
		"a null origin":           func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
		"nobody knows from where": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") },
	} {
		if p := s.refused(403, "cross_origin", "POST", "/service-accounts", body, cookie(token.Token), change); p.Detail == "" {
			t.Error(name)
		}
	}
}

func TestACookieOfASiblingSubdomainIsNotBelieved(t *testing.T) {
	t.Parallel()
	refusals := &noted{}
	s := newStage(t, func(c *httpapi.Config) { c.Refusals = refusals })
	token, _ := s.person("alice", true)
	thief, _ := s.person("mallory", false)
	for name, cookies := range map[string][]*http.Cookie{
		"two of one name":    {{Name: httpapi.LoginCookie, Value: thief.Token}, {Name: httpapi.LoginCookie, Value: token.Token}},
		"without the prefix": {{Name: "bulkhead", Value: token.Token}},
		"another prefix":     {{Name: "__Secure-bulkhead", Value: token.Token}},
		"another case":       {{Name: "__host-bulkhead", Value: token.Token}},
		"an API key in it":   {{Name: httpapi.LoginCookie, Value: s.key}},
		"empty":              {{Name: httpapi.LoginCookie}},
	} {
		a := s.do("GET", httpapi.Prefix+"/whoami", nil, nobody0, func(r *http.Request) {
			for _, c := range cookies {
				r.AddCookie(c)
			}
		})
		if a.status != 401 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if told := refusals.told(); !strings.Contains(told, "several cookies") || strings.Contains(told, token.Token) {
		t.Errorf("a planted cookie is not on record, or with a token: %s", told)
	}
	// A header is looked at alone: a cookie that somebody planted does not change who calls.
	me := must[httpapi.Whoami](s, 200, "GET", "/whoami", nil, cookie(thief.Token), bearer(token.Token))
	if me.Name != "alice" {
		t.Errorf("%+v", me)
	}
}

func TestATokenInAURLIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	token, _ := s.person("alice", false)
	for _, path := range []string{"/whoami?x=" + token.Token, "/projects/" + token.Token, "/whoami?" + token.Token + "=1"} {
		if p := s.refused(400, "credential_in_url", "GET", path, nil); strings.Contains(p.Detail, token.Token[21:40]) {
			t.Error("it is repeated")
		}
	}
}

func TestOneSeesAndEndsOnesOwnLoginsAndTheirSessions(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	alice, _ := s.person("alice", true)
	bob, _ := s.person("bob", false)
	list := must[httpapi.List[httpapi.Login]](s, 200, "GET", "/logins", nil, bearer(alice.Token))
	if len(list.Items) != 1 || !list.Items[0].Current || list.Items[0].ID != alice.Login.ID || list.Items[0].Address == "" {
		t.Errorf("%+v", list)
	}
	s.refused(404, "not_found", "DELETE", "/logins/"+alice.Login.ID, nil, bearer(bob.Token))
	p := s.project("plant-a")
	_ = p
	must[struct{}](s, 204, "DELETE", "/logins/"+alice.Login.ID, nil, bearer(alice.Token))
	s.refused(401, "unauthenticated", "GET", "/whoami", nil, bearer(alice.Token))
	must[httpapi.Whoami](s, 200, "GET", "/whoami", nil, bearer(bob.Token))
}

func TestAnOwnerResetsAFactorAndASuspendedUserIsOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	bob, _ := s.person("bob", false)
	s.refused(403, "denied", "POST", "/users/bob/reset-factor", nil, bearer(bob.Token))
	s.refused(403, "denied", "POST", "/users/nobody/reset-factor", nil, bearer(bob.Token)) // and he does not learn who there is
	s.refused(403, "denied", "GET", "/apikeys?all=true", nil, bearer(bob.Token))
	s.refused(403, "denied", "POST", "/apikeys", httpapi.APIKeyCreate{Name: "x", ServiceAccount: "bootstrap owner"}, bearer(bob.Token))
	must[struct{}](s, 204, "POST", "/users/bob/reset-factor", nil)
	s.refused(401, "unauthenticated", "GET", "/whoami", nil, bearer(bob.Token))
	must[struct{}](s, 204, "POST", "/users/bob/suspend", nil)
	s.refused(401, "unauthenticated", "POST", "/login", httpapi.LoginCreate{Name: "bob", Password: passphrase}, nobody0)
	must[struct{}](s, 204, "POST", "/users/bob/resume", nil)
	if again := must[httpapi.LoginToken](s, 200, "POST", "/login", httpapi.LoginCreate{Name: "bob", Password: passphrase}, nobody0); again.Enrolled {
		t.Errorf("%+v", again)
	}
}

func TestAKeyThatLeaksNeitherLogsItsHolderOutNorTakesThemOutOfAProject(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	ann, _ := s.person("ann", false)
	must[httpapi.Member](s, 201, "POST", "/projects/plant-a/members", httpapi.MemberCreate{Principal: "ann"})
	must[httpapi.Grant](s, 201, "POST", "/grants", httpapi.GrantCreate{Principal: "ann", Asset: "project:plant-a", Set: wire.SetViewer})
	leaked := must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "reads", Scopes: []wire.Flag{wire.ProjectRead}}, bearer(ann.Token))
	as := bearer(leaked.Key)
	must[httpapi.Project](s, 200, "GET", "/projects/plant-a", nil, as)
	s.refused(403, "denied", "GET", "/logins", nil, as)
	s.refused(403, "denied", "DELETE", "/logins/"+ann.Login.ID, nil, as)
	s.refused(403, "denied", "DELETE", "/projects/plant-a/membership", nil, as)
	must[httpapi.Whoami](s, 200, "GET", "/whoami", nil, bearer(ann.Token))
	must[httpapi.Project](s, 200, "GET", "/projects/plant-a", nil, bearer(ann.Token))
}

func TestWhoAddsAMemberWhomADemandedProviderKeepsOutIsWarned(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	s.person("ann", false)
	add := httpapi.MemberCreate{Principal: "ann"}
	if m := must[httpapi.Member](s, 201, "POST", "/projects/plant-a/members", add); m.Warning != "" {
		t.Errorf("warned of %q where nothing is demanded", m.Warning)
	}
	must[struct{}](s, 204, "DELETE", "/projects/plant-a/members/ann", nil)
	must[httpapi.Provider](s, 201, "POST", "/providers", httpapi.ProviderCreate{Name: "company", Issuer: "https://company.example", ClientID: "x"})
	must[httpapi.DemandedProvider](s, 200, "PUT", "/projects/plant-a/demanded-provider", httpapi.ProviderDemand{Provider: "company"})
	if m := must[httpapi.Member](s, 201, "POST", "/projects/plant-a/members", add); !strings.Contains(m.Warning, "company") || !strings.Contains(m.Warning, "ann") {
		t.Errorf("the warning is %q", m.Warning)
	}
	robot := must[httpapi.ServiceAccount](s, 201, "POST", "/service-accounts", httpapi.ServiceAccountCreate{Name: "robot"})
	if m := must[httpapi.Member](s, 201, "POST", "/projects/plant-a/members", httpapi.MemberCreate{Principal: robot.Key.String()}); m.Warning != "" {
		t.Errorf("warned of a service account: %q", m.Warning)
	}
}

func TestAKeyReachesNoFartherThanItsScopes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	made := must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "ci", Scopes: []wire.Flag{wire.DeviceRead}})
	as := bearer(made.Key)
	must[httpapi.Device](s, 200, "GET", "/projects/plant-a/devices/press-1", nil, as)
	s.refused(403, "denied", "DELETE", "/projects/plant-a/devices/press-1", nil, as, header("If-Match", "*"))
	s.refused(403, "denied", "POST", "/apikeys", httpapi.APIKeyCreate{Name: "wider"}, as)
	s.refused(403, "denied", "GET", "/apikeys", nil, as)
	s.refused(403, "denied", "GET", "/users", nil, as)
	must[struct{}](s, 204, "DELETE", "/apikeys/"+made.APIKey.ID, nil, as) // one that has leaked may be ended by who finds it
	s.refused(401, "unauthenticated", "GET", "/whoami", nil, as)
}

func TestALoginIsNeverRepeatedByAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.person("alice", false)
	body := httpapi.LoginCreate{Name: "alice", Password: passphrase}
	one := must[httpapi.LoginToken](s, 200, "POST", "/login", body, nobody0, header("Idempotency-Key", "k"))
	two := must[httpapi.LoginToken](s, 200, "POST", "/login", body, nobody0, header("Idempotency-Key", "k"))
	if one.Token == two.Token {
		t.Error("the same token")
	}
}

func TestWhoIsNotProvedSurelyEnoughIsPutOnRecord(t *testing.T) {
	t.Parallel()
	refusals := &noted{}
	s := newStage(t, func(c *httpapi.Config) { c.Refusals = refusals })
	alice, _ := s.person("alice", true)
	first := must[httpapi.LoginToken](s, 200, "POST", "/login", httpapi.LoginCreate{Name: "alice", Password: passphrase}, nobody0)
	reads := must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "reads", Scopes: []wire.Flag{wire.ProjectRead}})
	if told := refusals.told(); strings.Contains(told, "reason") {
		t.Errorf("who was let in is on record as refused: %s", told)
	}
	s.refused(403, "second_factor_required", "GET", "/projects", nil, bearer(first.Token))
	s.refused(403, "denied", "POST", "/users", httpapi.UserCreate{Login: "eve", Password: passphrase}, bearer(reads.Key))
	s.clock.Pass(account.FreshFor)
	s.refused(403, "step_up_required", "POST", "/users", httpapi.UserCreate{Login: "eve", Password: passphrase}, bearer(alice.Token))
	s.refused(403, "step_up_required", "POST", "/apikeys", httpapi.APIKeyCreate{Name: "more"}, bearer(alice.Token))
	told := refusals.told()
	for _, want := range []string{"no second factor", "no scope", "no fresh second factor", `"/projects"`, `"/users"`, `"/apikeys"`} {
		if !strings.Contains(told, want) {
			t.Errorf("nothing on record has %q: %s", want, told)
		}
	}
	if n := strings.Count(told, `"reason"`); n != 4 {
		t.Errorf("%d entries: %s", n, told)
	}
}
