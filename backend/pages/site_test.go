package pages_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/pages"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// siteName is the one site that is there.
const siteName = "abcdefghijklmnopqrstuvwx27"

type webSites struct{}

func (webSites) Origin(name string) string { return "https://" + name + ".tunnel.example" }

func (webSites) Describe(_ context.Context, _ account.Client, _ account.Principal, name string) (pages.Site, error) {
	if name != siteName {
		return pages.Site{}, errs.E(wire.NotFound, "there is no tunnel of yours here, or it has ended")
	}
	return pages.Site{Device: "<press-1>", Target: "http://127.0.0.1:8080", Until: time.Now().Add(time.Hour)}, nil
}

func (s webSites) Invite(ctx context.Context, c account.Client, by account.Principal, name string) (secret.Value, error) {
	_, err := s.Describe(ctx, c, by, name)
	return secret.FromString(s.Origin(name) + wire.TunnelPathEnter + "?entry=word"), err
}

func TestAWebApplicationIsEnteredWithAFreshSecondFactor(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const page, way = "/tunnel/enter?site=" + siteName + "&to=%2Fa%3Fb", "https://" + siteName + ".tunnel.example/.bulkhead/enter?entry=word&to=%2Fa%3Fb"
	stranger := s.browser()
	if a := stranger.get(page); a.status != http.StatusSeeOther || !strings.HasPrefix(a.location(), "/login?to=%2Ftunnel%2Fenter%3Fsite%3D"+siteName) {
		t.Errorf("a stranger: %d to %q", a.status, a.location())
	}
	b := s.loggedIn()
	shown := b.want(b.get(page), http.StatusOK, "This server can read what is shown and typed")
	if !strings.Contains(shown.body, "&lt;press-1&gt;") || !strings.Contains(shown.header.Get("Content-Security-Policy"), "form-action 'self' https://"+siteName+".tunnel.example;") {
		t.Errorf("%v\n%s", shown.header, shown.body)
	}
	b.want(b.again(shown, "/tunnel/enter"), http.StatusSeeOther, way)
	b.want(b.get("/tunnel/enter?site=other"), http.StatusNotFound, "no tunnel of yours")
	b.want(b.post("/tunnel/enter", "site", "other"), http.StatusNotFound, "no tunnel of yours")
	foreign := b.form("/tunnel/enter", "site", siteName)
	foreign.Header.Set("Origin", "https://"+siteName+".tunnel.example")
	b.want(b.do(foreign), http.StatusForbidden, "Refused")
	s.people.Pass(6 * time.Minute)
	confirm := b.want(b.again(shown, "/tunnel/enter"), http.StatusOK, "Confirm that it is you")
	if policy := confirm.header.Get("Content-Security-Policy"); !strings.Contains(policy, siteName) {
		t.Errorf("the form may not lead to the site: %s", policy)
	}
	b.want(b.again(confirm, "/tunnel/enter", "confirm_code", rightCode), http.StatusSeeOther, way)
	if policy := b.get("/tunnel/enter?site=x;script-src").header.Get("Content-Security-Policy"); strings.Contains(policy, "script-src") {
		t.Errorf("a name became policy: %s", policy)
	}
}
