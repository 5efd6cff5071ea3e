package pages_test

import (
	"context"
	"html"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/pages"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// shells plays the terminals of a server.
type shells struct {
	mu    sync.Mutex // guards what follows
	offer pages.TerminalOffer
	state pages.TerminalState
	asked []pages.TerminalRequest
	ended []string
	fault error
}

var press = pages.TerminalDevice{Project: "plant-a", Name: "press-1", Here: true}

func (s *shells) Devices(context.Context, account.Principal) ([]pages.TerminalDevice, bool, error) {
	return []pages.TerminalDevice{press}, false, nil
}

func (s *shells) Offer(_ context.Context, _ account.Principal, project, device string) (pages.TerminalOffer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if project != "plant-a" || device != "press-1" {
		return pages.TerminalOffer{}, errs.E(wire.NotFound, "no such device")
	}
	o := s.offer
	o.Device = press
	return o, nil
}

func (s *shells) Request(_ context.Context, _ account.Principal, _ account.Client, d pages.TerminalDevice, q pages.TerminalRequest) (pages.Terminal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, q)
	return pages.Terminal{ID: "MINE", Device: d, State: s.state}, s.fault
}

func (s *shells) Find(_ context.Context, _ account.Principal, id string) (pages.Terminal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != "MINE" {
		return pages.Terminal{}, errs.E(wire.NotFound, "there is no such terminal of yours")
	}
	return pages.Terminal{ID: id, Device: press, State: s.state, Asked: time.Now(), Ended: "the approval was denied"}, nil
}

func (s *shells) End(_ context.Context, _ account.Principal, _ account.Client, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, id)
	return nil
}

func (s *shells) become(state pages.TerminalState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

const asking = "/terminal/plant-a/press-1"

func TestATerminalSaysWhatItIsBeforeItIsOpened(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	b.want(b.get("/terminal"), http.StatusOK, `href="/terminal/plant-a/press-1"`)
	s.shells.offer = pages.TerminalOffer{User: "operator", Recorded: true, Approval: true}
	a := b.want(b.get(asking), http.StatusOK, "<code>operator</code>")
	for _, says := range []string{"<code>operator</code>, as the device&#39;s policy says", "This server can read what is typed and shown here", "Yes: the project or the device demands it", "By somebody else", "<strong>plant-a/press-1</strong>"} {
		if !strings.Contains(strings.ReplaceAll(a.body, "'", "&#39;"), says) {
			t.Errorf("it does not say %q", says)
		}
	}
	b.want(b.get("/terminal/plant-a/other"), http.StatusNotFound, "No such device.")
	s.shells.offer = pages.TerminalOffer{Refusal: "only with encryption <from> end to end"}
	if a := b.want(b.get(asking), http.StatusOK, "Only with encryption &lt;from&gt; end to end."); strings.Contains(a.body, "<form method=\"post\" action=\""+asking) {
		t.Error("what the device refuses can be asked for")
	}
}

func TestATerminalIsOpenedOnlyByWhoKnowsThatItCanBeRead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.shells.state = pages.TerminalReady
	b := s.loggedIn()
	b.want(b.post(asking, "minutes", "60"), http.StatusUnprocessableEntity, "Say that you know that this server can read")
	b.want(b.post(asking, "minutes", "481", "readable", "yes"), http.StatusUnprocessableEntity, "one minute to eight hours")
	foreign := b.form(asking, "minutes", "60", "readable", "yes")
	foreign.Header.Set("Origin", "https://elsewhere.example")
	b.want(b.do(foreign), http.StatusForbidden, "Refused")
	if len(s.shells.asked) != 0 {
		t.Errorf("asked: %v", s.shells.asked)
	}
	s.people.Pass(6 * time.Minute)
	confirm := b.want(b.post(asking, "minutes", "15", "readable", "yes", "reason", " a look ", "record", "yes"), http.StatusOK, "Confirm that it is you")
	b.want(b.again(confirm, asking, "confirm_code", rightCode), http.StatusSeeOther, "/terminal/MINE")
	if want := (pages.TerminalRequest{TTL: 15 * time.Minute, Reason: "a look", Record: true}); len(s.shells.asked) != 1 || s.shells.asked[0] != want {
		t.Errorf("asked: %+v", s.shells.asked)
	}
}

var shownTicket = regexp.MustCompile(`data-ticket="([^"]+)"`)

func TestTheTicketOfAPageWorksOnceAndForItsLoginOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.shells.state = pages.TerminalReady
	b := s.loggedIn()
	ticket := func() string {
		found := shownTicket.FindStringSubmatch(b.want(b.get("/terminal/MINE"), http.StatusOK, "data-ticket").body)
		return html.UnescapeString(found[1])
	}
	by, err := s.people.Authenticate(t.Context(), account.Client{}, b.token())
	if err != nil {
		t.Fatal(err)
	}
	first := ticket()
	if id, err := s.pages.Redeem(by, first); id != "MINE" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	other := by
	other.Login = "another"
	stolen, old := ticket(), ticket()
	for _, try := range []struct {
		name   string
		by     account.Principal
		ticket string
	}{{"again", by, first}, {"of another login", other, stolen}, {"a stolen one after that", by, stolen}, {"none", by, ""}, {"of nobody", account.Principal{}, old}} {
		if id, err := s.pages.Redeem(try.by, try.ticket); id != "" || errs.KindOf(err) != wire.Unauthenticated {
			t.Errorf("%s: %q, %v", try.name, id, err)
		}
	}
	late := ticket()
	s.people.Pass(time.Minute)
	if id, err := s.pages.Redeem(by, late); id != "" || err == nil {
		t.Errorf("a minute later: %q, %v", id, err)
	}
}

func TestTheTerminalAloneMayRunScriptsAndOnlyOurs(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.shells.state = pages.TerminalReady
	b := s.loggedIn()
	b.want(b.get("/terminal/MINE"), http.StatusOK, "Without them, type in a terminal of your own: <code>bulkhead ssh plant-a/press-1</code>")
	policy := func(path string) string { return b.get(path).header.Get("Content-Security-Policy") }
	first, second := policy("/terminal/MINE"), policy("/terminal/MINE")
	if !strings.Contains(first, "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-") || strings.Contains(first, "unsafe") || first == second {
		t.Errorf("%s\n%s", first, second)
	}
	for _, path := range []string{"/terminal", asking, "/terminal/OTHER", "/account"} {
		if strings.Contains(policy(path), "script-src") {
			t.Errorf("%s: %s", path, policy(path))
		}
	}
}

func TestThePageOfATerminalFollowsWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	s.shells.become(pages.TerminalWaiting)
	if a := b.want(b.get("/terminal/MINE"), http.StatusOK, "bulkhead tunnel approve MINE"); a.header.Get("Refresh") == "" {
		t.Error("it does not look again")
	}
	s.people.Pass(6 * time.Minute)
	s.shells.become(pages.TerminalReady)
	b.want(b.get("/terminal/MINE"), http.StatusSeeOther, "/login/second-factor?to=%2Fterminal%2FMINE")
	s.shells.become(pages.TerminalOpen)
	b.want(b.get("/terminal/MINE"), http.StatusOK, "open in another page")
	s.shells.become(pages.TerminalEnded)
	b.want(b.get("/terminal/MINE"), http.StatusOK, "The approval was denied.")
	b.want(b.get("/terminal/OTHER"), http.StatusNotFound, "There is no such terminal of yours.")
	b.want(b.post("/terminal/MINE"), http.StatusSeeOther, "/terminal?done=terminal")
	if len(s.shells.ended) != 1 {
		t.Errorf("ended: %v", s.shells.ended)
	}
}

func TestOnlyWhoHasShownBothFactorsIsAVisitor(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.browser()
	visit := func() error {
		r := b.request(http.MethodGet, wire.TerminalPath, "")
		if token := b.token(); token != "" {
			r.AddCookie(&http.Cookie{Name: pages.CookieName, Value: token})
		}
		_, _, err := s.pages.Visitor(r)
		return err
	}
	if err := visit(); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("nobody: %v", err)
	}
	b.post("/login", "name", "olga", "password", rightPassword)
	if err := visit(); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("one factor: %v", err)
	}
	b.post("/login/second-factor", "code", rightCode)
	if err := visit(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsPackedIsSentToWhoTakesIt(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	sheet := regexp.MustCompile(`/static/bulkhead-[0-9a-f]+\.css`).FindString(b.get("/login").body)
	for accepts, packed := range map[string]bool{"gzip, br": true, "br": false, "identity": false} {
		r := b.request(http.MethodGet, sheet, "")
		r.Header.Set("Accept-Encoding", accepts) // so that the client leaves it as it is
		a := b.do(r)
		if (a.header.Get("Content-Encoding") == "gzip") != packed || a.header.Get("Vary") != "Accept-Encoding" || strings.Contains(a.body, "--ground") == packed {
			t.Errorf("%s: %v", accepts, a.header)
		}
	}
}
