package pages_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account/oidc"
	"bulkhead/backend/pages"
)

func TestAPersonLogsInWithPasswordAndCodeAndGoesOnWithWhatWasAsked(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	b.want(b.get("/account"), http.StatusSeeOther, "/login?to=%2Faccount")
	b.want(b.get("/login?to=%2Faccount"), http.StatusOK, `name="to" value="/account"`)
	b.want(b.post("/login", "name", "olga", "password", rightPassword, "to", "/account"), http.StatusSeeOther, "/login/second-factor?to=%2Faccount")
	b.want(b.get("/login/second-factor?to=%2Faccount"), http.StatusOK, `autocomplete="one-time-code"`)
	b.want(b.post("/login/second-factor", "code", "000000", "to", "/account"), http.StatusUnauthorized, "The code is not right.")
	b.want(b.post("/login/second-factor", "code", "123 456", "to", "/account"), http.StatusSeeOther, "/account")
	b.want(b.get("/account"), http.StatusOK, "Where you are logged in")
}

func TestAWrongPasswordKeepsTheNameAndNotThePassword(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	a := b.want(b.post("/login", "name", "olga", "password", "canary-password"), http.StatusUnauthorized, "Name or password is wrong.")
	if !strings.Contains(a.body, `value="olga"`) || strings.Contains(a.body, "canary-password") {
		t.Error(a.body)
	}
	if !strings.Contains(a.body, `aria-describedby="problem`) || !strings.Contains(a.body, `<title>Error: Log in`) || !strings.Contains(a.body, `role="alert"`) {
		t.Error("a reader of the screen is not told:\n", a.body)
	}
	if len(a.set) > 0 {
		t.Error("a cookie was set")
	}
}

func TestTheCookieIsAsStrictAsItCanBe(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	a := b.post("/login", "name", "olga", "password", rightPassword)
	if len(a.set) != 1 {
		t.Fatal(a.set)
	}
	c := a.set[0]
	if c.Name != "__Host-bulkhead" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 || !c.Expires.IsZero() {
		t.Errorf("%+v", c)
	}
}

func TestTheCookieChangesAtEachRaiseAndTheOneBeforeIsDead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.browser()
	b.post("/login", "name", "olga", "password", rightPassword)
	first := b.token()
	b.post("/login/second-factor", "code", rightCode)
	second := b.token()
	b.post("/login/second-factor", "code", rightCode) // step-up
	third := b.token()
	if first == second || second == third || first == "" {
		t.Fatal("the token stayed the same")
	}
	for _, old := range []string{first, second} {
		thief := s.browser()
		r := thief.request(http.MethodGet, "/account", "")
		r.AddCookie(&http.Cookie{Name: pages.CookieName, Value: old})
		thief.want(thief.do(r), http.StatusSeeOther, "/login?to=%2Faccount")
	}
}

func TestAFixedSessionIsNotTakenUp(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.browser()
	r := b.form("/login", "name", "olga", "password", rightPassword)
	r.AddCookie(&http.Cookie{Name: pages.CookieName, Value: "chosen-by-the-attacker"})
	b.do(r)
	if got := b.token(); got == "" || got == "chosen-by-the-attacker" {
		t.Fatalf("got %q", got)
	}
}

func TestLoggingInAgainEndsTheLoginThatTheBrowserHad(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	b.post("/login", "name", "olga", "password", rightPassword)
	if len(s.people.ended) != 1 || len(s.people.sessions) != 1 {
		t.Errorf("ended %v, %d left", s.people.ended, len(s.people.sessions))
	}
}

func TestACookieOfASiblingDomainIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	for _, c := range []http.Cookie{{Name: "bulkhead", Value: b.token()}, {Name: "__Host-bulkhead2", Value: b.token()}, {Name: "__Secure-bulkhead", Value: b.token()}} {
		other := s.browser()
		r := other.request(http.MethodGet, "/", "")
		r.AddCookie(&c)
		other.want(other.do(r), http.StatusSeeOther, "/login")
	}
	twice := s.browser()
	r := twice.request(http.MethodGet, "/", "")
	r.AddCookie(&http.Cookie{Name: pages.CookieName, Value: b.token()})
	r.AddCookie(&http.Cookie{Name: pages.CookieName, Value: "of-the-sibling"})
	twice.want(twice.do(r), http.StatusSeeOther, "/login")
	if len(s.noted.entries) != 1 || s.noted.entries[0].Check() != nil || !strings.Contains(string(s.noted.entries[0].After), "several cookies") {
		t.Errorf("on record are %+v", s.noted.entries)
	}
}

func TestAFirstFactorAloneReachesNothingButTheSecond(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.browser()
	b.post("/login", "name", "olga", "password", rightPassword)
	for _, path := range []string{"/", "/account", "/account/keys", "/device", "/device?code=BCDF-GHJK"} {
		if a := b.get(path); a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), "/login/second-factor") {
			t.Errorf("GET %s: %d to %q", path, a.status, a.location())
		}
	}
	for _, path := range []string{"/account/keys", "/account/keys/revoke", "/account/logins/end", "/account/logins/end-others", "/device"} {
		a := b.post(path, "id", "mine", "name", "x", "scope", "project.read", "days", "7", "user_code", "BCDF-GHJK", "answer", "approve", "confirm_code", rightCode)
		if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), "/login/second-factor") {
			t.Errorf("POST %s: %d to %q", path, a.status, a.location())
		}
	}
	if len(s.keys.made)+len(s.keys.revoked)+len(s.people.ended) > 0 {
		t.Error("something was done")
	}
}

func TestAnAddressOfADomainIsLedToItsProvider(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	a := b.want(b.post("/login", "name", "ida@plant.example", "password", "", "to", "/account"), http.StatusOK, "Continue with Plant")
	if got := a.header.Get("Refresh"); got != "0; url=/login/oidc/plant?to=%2Faccount" {
		t.Errorf("got %q", got)
	}
	b.want(b.post("/login", "name", "olga", "password", ""), http.StatusUnprocessableEntity, "Enter your password.")
}

func TestAPersonLogsInThroughAProvider(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.browser()
	b.want(b.get("/login"), http.StatusOK, `href="/login/oidc/sample"`)
	a := b.want(b.get("/login/oidc/sample?to=%2Faccount"), http.StatusSeeOther, "https://idp.example/authorize?state=x")
	if c := a.set[0]; c.Name != oidc.CookieName || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 600 {
		t.Errorf("%+v", c)
	}
	if s.outside.ask.ReturnTo != "/account" {
		t.Errorf("%+v", s.outside.ask)
	}
	s.outside.back = "/account"
	b.want(b.get("/login/oidc/sample/callback?code=c&state=x"), http.StatusSeeOther, "/login/second-factor?to=%2Faccount")
	b.want(b.get("/login/oidc/sample/callback?code=c&state=x"), http.StatusUnauthorized, "could not be completed") // its cookie has gone
}

func TestAProvidersOutageIsToldOnTheLoginPage(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.outside.fault = unavailable("Sample provider does not answer")
	b := s.browser()
	a := b.want(b.get("/login/oidc/sample"), http.StatusConflict, "Sample provider does not answer.")
	if strings.Contains(a.body, "aria-invalid") || !strings.Contains(a.body, `role="alert"`) {
		t.Error("nothing was wrong in the fields")
	}
}

func TestLogoutEndsTheLoginHereAndAtItsProvider(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.outside.logout = "https://idp.example/logout?x=1"
	b := s.loggedIn()
	b.want(b.get("/logout"), http.StatusOK, "Log out?")
	if len(s.people.ended) > 0 {
		t.Fatal("a GET ended the login")
	}
	a := b.want(b.post("/logout"), http.StatusOK, "You are logged out here")
	if a.header.Get("Refresh") != "0; url=https://idp.example/logout?x=1" || b.token() != "" || len(s.people.sessions) != 0 {
		t.Error(a.header, b.token())
	}
	b.want(b.get("/"), http.StatusSeeOther, "/login")
	b.want(b.post("/logout"), http.StatusSeeOther, "/login")
}

func TestAProviderThatIsDownKeepsNobodyLoggedIn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	s.outside.fault = unavailable("down")
	b.want(b.post("/logout"), http.StatusOK, "You are logged out")
	if len(s.people.sessions) != 0 {
		t.Error("the login lives")
	}
}

func TestADatabaseThatIsDownIsNotTakenForALogout(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	token := b.token()
	s.people.mu.Lock()
	s.people.fault = errors.New("canary: connection refused")
	s.people.mu.Unlock()
	a := b.want(b.get("/account"), http.StatusInternalServerError, "Something went wrong here")
	if strings.Contains(a.body, "canary") || b.token() != token || a.header.Get("X-Request-Id") == "" || !strings.Contains(a.body, a.header.Get("X-Request-Id")) {
		t.Error(a.header, a.body)
	}
}

func TestEnrolmentShowsTheSecretOnceAndThenTheRecoveryCodes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.people.enrolled = false
	b := s.browser()
	b.want(b.post("/login", "name", "olga", "password", rightPassword, "to", "/account"), http.StatusSeeOther, "/login/enrolment?to=%2Faccount")
	b.want(b.get("/login/second-factor"), http.StatusSeeOther, "/login/enrolment")
	if a := b.get("/login/enrolment?to=%2Faccount"); strings.Contains(a.body, "JBSW") || !strings.Contains(a.body, "Show the QR code") {
		t.Error(a.body)
	}
	a := b.want(b.post("/login/enrolment", "to", "/account"), http.StatusOK, "JBSW Y3DP EHPK 3PXP")
	if !strings.Contains(a.body, `src="data:image/png;base64,UE5H"`) || a.header.Get("Cache-Control") != "no-store" {
		t.Error(a.header, a.body)
	}
	b.want(b.post("/login/enrolment/confirm", "code", "000000", "to", "/account"), http.StatusUnauthorized, "The code is not right.")
	aal1 := b.token()
	a = b.want(b.post("/login/enrolment/confirm", "code", rightCode, "to", "/account"), http.StatusOK, recoveryCode)
	if b.token() == aal1 || !strings.Contains(a.body, `href="/account"`) {
		t.Error("the token stayed, or the way on is missing")
	}
}

func TestARecoveryCodeStandsInForTheApp(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	b.post("/login", "name", "olga", "password", rightPassword)
	b.want(b.get("/login/recovery?to=%2Faccount"), http.StatusOK, `value="/account"`)
	b.want(b.post("/login/recovery", "code", "nonsense"), http.StatusUnauthorized, "The code is not right.")
	b.want(b.post("/login/recovery", "code", " "+recoveryCode+" ", "to", "/account"), http.StatusSeeOther, "/account")
}

func TestAnotherFactorIsSetUpOnlyByWhoShowsThePresentOne(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	b.want(b.post("/login/enrolment", "to", "/account"), http.StatusOK, "JBSW")
	s.people.Pass(5 * time.Minute)
	a := b.want(b.post("/login/enrolment", "to", "/account"), http.StatusOK, "Confirm that it is you")
	if strings.Contains(a.body, "JBSW") {
		t.Fatal("the secret was shown")
	}
	a = b.want(b.again(a, "/login/enrolment", "confirm_code", "000000"), http.StatusUnauthorized, "The code is not right.")
	b.want(b.again(a, "/login/enrolment", "confirm_code", rightCode), http.StatusOK, "JBSW")
}

func TestWhoIsTooLateToSetUpAFactorLogsInAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.people.enrolled, s.people.stale = false, true
	b := s.browser()
	b.post("/login", "name", "olga", "password", rightPassword)
	a := b.want(b.post("/login/enrolment", "to", "/account"), http.StatusForbidden, "Log in again: a second factor is set up soon")
	if b.token() != "" || !strings.Contains(a.body, `value="/account"`) {
		t.Error("the old login is held, or the way on is lost")
	}
}
