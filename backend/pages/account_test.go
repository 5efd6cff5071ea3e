package pages_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account/devicegrant"
	"bulkhead/wire"
)

func (s *stage) waiting(address string) devicegrant.Issued {
	s.t.Helper()
	issued, err := s.grants.Start(devicegrant.From{Address: address, Host: "workbench", Client: "bulkhead/1.0"})
	if err != nil {
		s.t.Fatal(err)
	}
	return issued
}

func TestACommandLineIsApprovedByWhoSeesWhereItComesFrom(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	issued := s.waiting("192.0.2.9")
	b.want(b.get("/device"), http.StatusOK, "Enter the code that the terminal shows.")
	a := b.want(b.get("/device?code="+strings.ToLower(issued.UserCode)), http.StatusOK, issued.UserCode)
	for _, text := range []string{"workbench", "192.0.2.9", "bulkhead/1.0", "another network address than yours", "Do all that you may do here"} {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	b.want(b.again(a, "/device", "answer", "approve"), http.StatusOK, "The command line is logged in now.")
	if by, _, err := s.grants.Poll(string(issued.DeviceCode.Reveal())); err != nil || by.Key != 7 {
		t.Errorf("%+v, %v", by, err)
	}
	b.want(b.again(a, "/device", "answer", "approve"), http.StatusNotFound, "No login waits under this code")
}

func TestACommandLineIsDenied(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	issued := s.waiting("127.0.0.1")
	a := b.get("/device?user_code=" + issued.UserCode)
	if strings.Contains(a.body, "another network address") {
		t.Error("it comes from the same address")
	}
	b.want(b.again(a, "/device", "answer", "nonsense"), http.StatusUnprocessableEntity, "Approve or deny.")
	b.want(b.again(a, "/device", "answer", "deny"), http.StatusOK, "The command line was not logged in.")
	if _, _, err := s.grants.Poll(string(issued.DeviceCode.Reveal())); err == nil {
		t.Error("it was logged in")
	}
}

func TestAnApprovalWantsAFreshCodeAndThenGoesOn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	s.people.Pass(5 * time.Minute)
	issued := s.waiting("127.0.0.1")
	before := b.token()
	a := b.get("/device?code=" + issued.UserCode)
	a = b.want(b.again(a, "/device", "answer", "approve"), http.StatusOK, "Confirm that it is you")
	a = b.want(b.again(a, "/device", "confirm_code", "000000"), http.StatusUnauthorized, "The code is not right.")
	if _, _, err := s.grants.Poll(string(issued.DeviceCode.Reveal())); err == nil {
		t.Fatal("approved without a code")
	}
	b.want(b.again(a, "/device", "confirm_code", rightCode), http.StatusOK, "The command line is logged in now.")
	if b.token() == before {
		t.Error("the token stayed the same")
	}
}

func TestAKeyIsMadeForOneselfAndShownOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	b.want(b.get("/account/keys"), http.StatusOK, "exporter")
	a := b.want(b.post("/account/keys", "name", " reports ", "days", "30", "scope", "project.read", "scope", "device.read", "scope", "project.read"), http.StatusOK, "bhk_the-key")
	if strings.Contains(a.location(), "bhk_") {
		t.Error("the key is in an address")
	}
	q := s.keys.made[0]
	if q.Name != "reports" || q.Holder.Key != 7 || q.Life != 30*24*time.Hour || len(q.Scopes) != 2 || q.Scopes[0] != wire.ProjectRead {
		t.Errorf("%+v", q)
	}
}

func TestAKeyThatCannotBeMadeIsToldWithTheFormAsItWas(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	for _, c := range []struct {
		fields []string
		says   string
	}{
		{[]string{"name", "reports", "days", "30"}, "Choose at least one thing"},
		{[]string{"name", "reports", "days", "0", "scope", "project.read"}, "An API key lives from a day to a year."},
		{[]string{"name", "reports", "days", "99999", "scope", "project.read"}, "An API key lives from a day to a year."},
		{[]string{"name", "reports", "days", "30", "scope", "*"}, "There is no such privilege."},
		{[]string{"name", "reports", "days", "30", "scope", "project.nonsense"}, "There is no such privilege."},
	} {
		a := b.want(b.post("/account/keys", c.fields...), http.StatusUnprocessableEntity, c.says)
		if !strings.Contains(a.body, `value="reports"`) {
			t.Error("the name has gone")
		}
	}
	if len(s.keys.made) > 0 {
		t.Error("a key was made")
	}
}

func TestAKeyIsMadeOnlyWithAFreshCode(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	s.people.Pass(6 * time.Minute)
	a := b.want(b.post("/account/keys", "name", "reports", "days", "30", "scope", "project.read", "scope", "device.read"), http.StatusOK, "Confirm that it is you")
	if len(s.keys.made) > 0 {
		t.Fatal("made without a code")
	}
	b.want(b.again(a, "/account/keys", "confirm_code", rightCode), http.StatusOK, "bhk_the-key")
	if q := s.keys.made[0]; len(q.Scopes) != 2 || q.Name != "reports" {
		t.Errorf("%+v", q)
	}
}

func TestAnotherUsersKeyAnswersAsOneThatDoesNotExist(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	other, none := b.post("/account/keys/revoke", "id", "other"), b.post("/account/keys/revoke", "id", "none")
	if other.status != http.StatusNotFound || other.body != none.body || len(s.keys.revoked) > 0 {
		t.Errorf("%d %d %v", other.status, none.status, s.keys.revoked)
	}
	b.want(b.post("/account/keys/revoke", "id", "mine"), http.StatusSeeOther, "/account/keys?done=revoked")
	b.want(b.get("/account/keys?done=revoked"), http.StatusOK, "The key is revoked.")
}

func TestOtherLoginsAreEnded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first, second, third := s.loggedIn(), s.loggedIn(), s.loggedIn()
	id := s.people.sessions[second.token()].Login
	first.want(first.post("/account/logins/end", "id", id), http.StatusSeeOther, "/account?done=ended")
	second.want(second.get("/account"), http.StatusSeeOther, "/login?to=%2Faccount")
	first.want(first.post("/account/logins/end", "id", id), http.StatusSeeOther, "/account?done=ended") // it has ended, as was asked
	first.want(first.post("/account/logins/end-others"), http.StatusSeeOther, "/account?done=others")
	third.want(third.get("/"), http.StatusSeeOther, "/login")
	first.want(first.get("/account?done=<b>x"), http.StatusOK, "Where you are logged in")
	own := s.people.sessions[first.token()].Login
	first.want(first.post("/account/logins/end", "id", own), http.StatusOK, "You are logged out")
}

func TestACodeThatAnotherSiteBringsIsOnlyFilledIn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	issued := s.waiting("192.0.2.9")
	r := b.request(http.MethodGet, "/device?code="+issued.UserCode, "")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	a := b.want(b.do(r), http.StatusOK, "Did somebody send you a code?")
	if !strings.Contains(a.body, `value="`+issued.UserCode+`"`) || strings.Contains(a.body, "192.0.2.9") {
		t.Error(a.body)
	}
	for range 20 { // and wrong ones do not use up the tries
		r := b.request(http.MethodGet, "/device?code=BBBB-BBBB", "")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		b.do(r)
	}
	b.want(b.get("/device?code="+issued.UserCode), http.StatusOK, "192.0.2.9")
}
