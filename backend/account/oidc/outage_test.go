package oidc_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account/oidc"
	"bulkhead/wire"
)

func TestNobodyIsSentToAnotherSiteAfterwards(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	s.add("company", p)
	for _, to := range []string{
		"https://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/%09/evil.example\n", "javascript:alert(1)",
		"evil.example", "http:/evil.example", "/a//evil.example", "/./../evil", "/..//evil.example", "/%5cevil.example", "/%2f%2fevil.example", "/ok\r\nSet-Cookie: x=y", "/" + strings.Repeat("a", 1000),
		"?x", "#x", "/\u202eelpmaxe", "https:evil.example", "/%00",
	} {
		_, err := s.party.Begin(t.Context(), browser, oidc.Ask{Slug: "company", ReturnTo: to})
		if err == nil {
			t.Errorf("%q is taken", to)
			continue
		}
		s.refused(err, wire.Unauthenticated, "none of this server's")
	}
	for _, to := range []string{"", "/", "/account/", "/device?user_code=AB-CD&x=https://evil.example", "/projects/a%20b"} {
		if got, ok := oidc.LocalPath(to); !ok || to != "" && got != to {
			t.Errorf("%q becomes %q, %v", to, got, ok)
		}
	}
}

// answers has the provider do something else at one path.
func (p *provider) answers(path string, answer http.HandlerFunc) {
	p.set(func(p *provider) {
		p.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == path {
				answer(w, r)
			}
			return r.URL.Path == path
		}
	})
}

const discovery = "/.well-known/openid-configuration"

func TestAProviderThatIsNotWellIsSaidToBeSo(t *testing.T) {
	t.Parallel()
	stageOf := forks(t)
	long := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"issuer":"` + strings.Repeat("x", 600<<10) + `"}`))
	}
	elsewhere := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://evil.example/x", http.StatusFound)
	}
	for name, test := range map[string]struct {
		reason string
		change func(p *provider)
	}{
		"down":                    {"cannot be reached", func(p *provider) { p.server.Close() }},
		"another issuer":          {"answers as another issuer, https://evil.example", func(p *provider) { p.discovery["issuer"] = "https://evil.example" }},
		"the issuer with a slash": {"answers as another issuer", func(p *provider) { p.discovery["issuer"] = p.issuer + "/" }},
		"an error page":           {"no discovery document", func(p *provider) { p.answers(discovery, http.NotFound) }},
		"no JSON": {"no discovery document", func(p *provider) {
			p.answers(discovery, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("canary <html>")) })
		}},
		"too much":                 {"more than 512 KiB", func(p *provider) { p.answers(discovery, long) }},
		"a redirect away":          {"redirects to another host", func(p *provider) { p.answers(discovery, elsewhere) }},
		"keys over HTTP":           {"no https URL as jwks_uri", func(p *provider) { p.discovery["jwks_uri"] = "http://127.0.0.1/keys" }},
		"keys in a file":           {"no https URL as jwks_uri", func(p *provider) { p.discovery["jwks_uri"] = "file:///etc/passwd" }},
		"a script to log in":       {"no https URL as authorization_endpoint", func(p *provider) { p.discovery["authorization_endpoint"] = "javascript:alert(1)" }},
		"a login with a password":  {"no https URL as authorization_endpoint", func(p *provider) { p.discovery["authorization_endpoint"] = "https://u:p@evil.example/" }},
		"no token endpoint":        {"no https URL as token_endpoint", func(p *provider) { delete(p.discovery, "token_endpoint") }},
		"members of wrong types":   {"no discovery document", func(p *provider) { p.discovery["token_endpoint"] = 5 }},
		"secrets in signed tokens": {"takes a client secret neither", func(p *provider) { p.discovery["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt"} }},
		"another authority":        {"certificate", func(p *provider) { p.ca = strangersCA }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := stageOf(t), newProvider(t)
			test.change(p)
			s.add(s.slug, p)
			_, err := s.party.Begin(t.Context(), browser, oidc.Ask{Slug: s.slug})
			s.refused(err, wire.Unavailable, test.reason)
		})
	}
}

func TestAProviderThatFailsAtTheEndIsSaidToBeSo(t *testing.T) {
	t.Parallel()
	stageOf := forks(t)
	for name, test := range map[string]struct {
		kind   wire.Kind
		reason string
		change func(p *provider)
	}{
		"an error": {wire.Unavailable, "token endpoint answers Internal Server Error", func(p *provider) {
			p.answers("/token", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "canary", 500) })
		}},
		"no JSON": {wire.Unauthenticated, "answer to the code is none", func(p *provider) {
			p.answers("/token", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("canary")) })
		}},
		"a redirect of the code": {wire.Unavailable, "redirects a request that is no GET", func(p *provider) {
			p.answers("/token", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
			})
		}},
		"no keys": {wire.Unavailable, "keys cannot be read", func(p *provider) { p.answers("/keys", http.NotFound) }},
		"keys that are none": {wire.Unavailable, "keys cannot be read", func(p *provider) {
			p.answers("/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) })
		}},
		"keys at a metadata service":   {wire.Unavailable, "keys cannot be read", func(p *provider) { p.discovery["jwks_uri"] = "https://169.254.169.254/keys" }},
		"tokens at an address of ours": {wire.Unavailable, "is at 169.254.169.254:443, to which", func(p *provider) { p.discovery["token_endpoint"] = "https://169.254.169.254/token" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := stageOf(t), newProvider(t)
			test.change(p)
			s.add(s.slug, p)
			_, err := s.finish(s.begin(s.slug, p))
			s.refused(err, test.kind, test.reason)
		})
	}
}

func TestTheServersOwnNetworkIsNotAskedForAProject(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tenant := s.project("plant-a")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	came := make(chan struct{})
	go func() {
		defer close(came)
		if c, err := listener.Accept(); err == nil {
			t.Error("the server connected")
			_ = c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for name, host := range map[string]string{"an-address": "127.0.0.1", "a-name": "localhost", "mapped": "[::ffff:127.0.0.1]"} {
		p := &provider{issuer: "https://" + host + ":" + port}
		for _, project := range []wire.Key{0, tenant} {
			made := s.add(name, p, func(row *oidc.Provider) {
				row.PrivateNetwork, row.Project = false, project
				if project != 0 {
					row.Issuer += "/of-a-project"
				}
			})
			_, err := s.party.Begin(t.Context(), browser, oidc.Ask{Slug: made.Slug()})
			s.refused(err, wire.Unavailable, "to which this server does not connect")
			if told := string(must(json.Marshal(s.notes.last(t)))); project != 0 && strings.Contains(told, "127.0.0.1:"+port) && !strings.Contains(host, "127.0.0.1") {
				t.Errorf("%s: a project is told of our network: %s", name, told)
			}
		}
	}
	_ = listener.Close()
	<-came
}

func TestAProjectDoesNotLearnWhichNamesThereAre(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tenant := s.project("plant-a")
	reasons := map[string]bool{}
	for name, host := range map[string]string{"inside": "localhost", "nowhere": "no-such-host.invalid"} {
		p := &provider{issuer: "https://" + host + ":1"}
		made := s.add(name, p, func(row *oidc.Provider) { row.PrivateNetwork, row.Project = false, tenant })
		_, err := s.party.Begin(t.Context(), browser, oidc.Ask{Slug: made.Slug()})
		s.refused(err, wire.Unavailable, "cannot be reached, or is at an address")
		reasons[string(s.notes.last(t).After)] = true
	}
	if len(reasons) != 1 {
		t.Errorf("told apart by %v", reasons)
	}
}

func TestASlowProviderKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	s, slow, quick := newStage(t), newProvider(t), newProvider(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	slow.answers(discovery, func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})
	s.add("slow", slow)
	s.add("quick", quick)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 2)
	go func() {
		_, err := s.party.Begin(t.Context(), browser, oidc.Ask{Slug: "slow"})
		waited <- err
	}()
	<-arrived
	go func() { // who joins the wait may leave it
		_, err := s.party.Begin(ctx, browser, oidc.Ask{Slug: "slow"})
		waited <- err
	}()
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
	for range 3 {
		if _, err := s.finish(s.begin("quick", quick)); err != nil {
			t.Error(err)
		}
	}
	close(release)
	s.refused(<-waited, wire.Unavailable, "no discovery document")
}

func TestAProviderThatIsDownIsAskedSeldomAndThenAgain(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	p.answers(discovery, http.NotFound)
	s.add("company", p)
	for range 20 {
		_, err := s.party.Begin(t.Context(), browser, oidc.Ask{Slug: "company"})
		s.refused(err, wire.Unavailable, "no discovery document")
	}
	p.mu.Lock()
	if len(p.asked) != 1 {
		t.Errorf("asked %d times", len(p.asked))
	}
	p.answer = nil
	p.mu.Unlock()
	s.clock.Pass(3 * time.Second)
	if _, err := s.finish(s.begin("company", p)); err != nil {
		t.Errorf("when it is well again: %v", err)
	}
}

func TestNewKeysOfAProviderAreLearnt(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	s.add("company", p)
	if _, err := s.finish(s.begin("company", p)); err != nil {
		t.Fatal(err)
	}
	p.set(func(p *provider) {
		p.keys.Keys = p.keys.Keys[:1]
		p.keys.Keys[0].Key, p.keys.Keys[0].KeyID = strangerKey().Public(), "next"
		p.sign = func(claims map[string]any) string {
			return signed("RS256", strangerKey(), claims, map[string]any{"kid": "next"})
		}
	})
	if _, err := s.finish(s.begin("company", p)); err != nil {
		t.Error(err)
	}
}
