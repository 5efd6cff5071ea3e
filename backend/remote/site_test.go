package remote_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/backend/remote"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

var web = wire.Target{Protocol: wire.ProtocolHTTP, Host: "127.0.0.1", Port: 8080}

// served gives an open tunnel to a web application, the name of its site and the way in.
func (s *stage) served(by remote.Requester) (t remote.Tunnel, name, word string) {
	s.t.Helper()
	s.SiteURL = func(name string) string { return "https://" + name + ".tunnel.example" }
	t, err := s.Request(s.t.Context(), by, s.device, remote.Ask{Target: web})
	if err != nil {
		s.t.Fatal(err)
	}
	opening, err := s.OpenTunnel(s.t.Context(), by, t.ID, remote.UserEnd{})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Opened(s.t.Context(), t.ID); err != nil {
		s.t.Fatal(err)
	}
	if !opening.Ticket.IsZero() || opening.Gateway != "" {
		s.t.Error("there is a way in past the server")
	}
	name, word = split(s.t, opening.Entry)
	return opening.Tunnel, name, word
}

func split(t *testing.T, entry secret.Value) (name, word string) {
	t.Helper()
	host, word, ok := strings.Cut(string(entry.Reveal()), wire.TunnelPathEnter+"?entry=")
	name, okHost := strings.CutSuffix(strings.TrimPrefix(host, "https://"), ".tunnel.example")
	if !ok || !okHost || len(name) != 26 || len(word) != 52 {
		t.Fatalf("the way in is %s", entry.Reveal())
	}
	return name, word
}

func (s *stage) enter(name, word string) string {
	s.t.Helper()
	cookie, err := s.Enter(s.t.Context(), name, word, "192.0.2.7")
	if err != nil {
		s.t.Fatal(err)
	}
	return string(cookie.Reveal())
}

func ended(v remote.Visit) bool {
	select {
	case <-v.Ended:
		return true
	default:
		return false
	}
}

func TestAWayInIsUsedOnceAndIsOnRecord(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tunnel, name, word := s.served(person("7"))
	if _, err := s.Visit(name, word); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("the way in opens as a cookie: %v", err)
	}
	cookie := s.enter(name, word)
	v, err := s.Visit(name, cookie)
	if err != nil || v.Tunnel != tunnel.ID || v.Target != web || v.Streams < 1 || ended(v) {
		t.Errorf("%+v, %v", v, err)
	}
	for what, again := range map[string]string{"again": word, "the cookie": cookie, "none": "", "another": strings.Repeat("A", 52)} {
		if _, err := s.Enter(t.Context(), name, again, ""); errs.KindOf(err) != wire.Unauthenticated {
			t.Errorf("%s: %v", what, err)
		}
	}
	entries, err := s.store.Entries(t.Context(), audit.Query{Project: 11, Limit: 1})
	if err != nil || entries[0].Action != audit.TunnelEnter || entries[0].Actor.ID != "7" || entries[0].Actor.Address != "192.0.2.7" {
		t.Errorf("%+v, %v", entries, err)
	}
	if g, err := s.far.grants[0].Verify(s.public); err != nil || g.EndToEnd() || !s.far.passes[tunnel.ID].Inside {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestASiteIsForWhoAskedForItAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, name, _ := s.served(person("7"))
	_, other, word := s.served(person("8"))
	if _, err := s.Enter(t.Context(), name, word, ""); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("by the way into another site: %v", err)
	}
	if _, err := s.Invite(t.Context(), person("8"), name); errs.KindOf(err) != wire.NotFound {
		t.Errorf("another: %v", err)
	}
	entries, err := s.store.Entries(t.Context(), audit.Query{Project: 11, Limit: 1})
	if err != nil || entries[0].Action != audit.TunnelRefuse || entries[0].Actor.ID != "8" {
		t.Errorf("on record: %+v, %v", entries, err)
	}
	if _, err := s.Invite(t.Context(), person("7"), "nowhere"); errs.KindOf(err) != wire.NotFound {
		t.Errorf("nowhere: %v", err)
	}
	stale := person("7")
	stale.Fresh = false
	if _, err := s.Invite(t.Context(), stale, name); errs.KindOf(err) != wire.Denied {
		t.Errorf("with a stale factor: %v", err)
	}
	entry, err := s.Invite(t.Context(), person("7"), name)
	if err != nil {
		t.Fatal(err)
	}
	_, own := split(t, entry)
	cookie := s.enter(name, own)
	if _, err := s.Visit(other, cookie); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("its cookie opens another site: %v", err)
	}
}

func TestAVisitEndsWithItsLoginAndWithItsTunnel(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tunnel, name, word := s.served(person("7"))
	byTunnel := s.enter(name, word)
	browser := person("7")
	browser.Login = "login-of-the-browser"
	entry, err := s.Invite(t.Context(), browser, name)
	if err != nil {
		t.Fatal(err)
	}
	_, word = split(t, entry)
	byBrowser := s.enter(name, word)
	entry, _ = s.Invite(t.Context(), browser, name)
	first, _ := s.Visit(name, byTunnel)
	second, _ := s.Visit(name, byBrowser)
	s.EndLogin("login-of-the-browser")
	if _, err := s.Visit(name, byBrowser); errs.KindOf(err) != wire.Unauthenticated || !ended(second) {
		t.Errorf("the browser's login ended: %v", err)
	}
	if _, word := split(t, entry); word != "" {
		if _, err := s.Enter(t.Context(), name, word, ""); errs.KindOf(err) != wire.Unauthenticated {
			t.Errorf("the way in of a login that ended: %v", err)
		}
	}
	if _, err := s.Visit(name, byTunnel); err != nil || ended(first) || s.far.reason(tunnel.ID) != "" {
		t.Errorf("the other visit ended too: %v", err)
	}
	if s.SiteOf(tunnel.ID) != "https://"+name+".tunnel.example" {
		t.Errorf("the site is at %s", s.SiteOf(tunnel.ID))
	}
	s.Closed(t.Context(), tunnel.ID, remote.Closing{Reason: "closed"})
	if _, err := s.Visit(name, byTunnel); errs.KindOf(err) != wire.NotFound || !ended(first) || s.SiteOf(tunnel.ID) != "" {
		t.Errorf("after its end: %v", err)
	}
}

func TestAWayInIsForMinutesAndBrowsersAreCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	now := time.Now()
	s.Now = func() time.Time { return now }
	_, name, word := s.served(person("7"))
	now = now.Add(2 * time.Minute)
	if _, err := s.Enter(t.Context(), name, word, ""); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("after two minutes: %v", err)
	}
	var cookies []string
	for range 17 {
		now = now.Add(time.Second)
		entry, err := s.Invite(t.Context(), person("7"), name)
		if err != nil {
			t.Fatal(err)
		}
		_, word := split(t, entry)
		cookies = append(cookies, s.enter(name, word))
	}
	if _, err := s.Visit(name, cookies[0]); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("the first of seventeen: %v", err)
	}
	if _, err := s.Visit(name, cookies[1]); err != nil {
		t.Error(err)
	}
}

func TestWhoMayNotHaveTheTunnelAnyMoreDoesNotEnter(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	may := true
	by := person("7")
	by.Still = func(context.Context) bool { return may }
	_, name, word := s.served(by)
	may = false
	if _, err := s.Enter(t.Context(), name, word, ""); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("got %v", err)
	}
}

func TestAServerWithoutADomainShowsNoWebApplications(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if _, err := s.Request(t.Context(), person("7"), s.device, remote.Ask{Target: web}); errs.KindOf(err) != wire.Unavailable || !strings.Contains(err.Error(), "gateway.http_domain") {
		t.Errorf("got %v", err)
	}
	s.far.refuse = errors.New("no")
	s.SiteURL = func(name string) string { return "https://" + name + ".tunnel.example" }
	tunnel, err := s.Request(t.Context(), person("7"), s.device, remote.Ask{Target: web})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenTunnel(t.Context(), person("7"), tunnel.ID, remote.UserEnd{}); err == nil {
		t.Error("a device that refuses is shown")
	}
}
