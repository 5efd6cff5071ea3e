package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"bulkhead/backend/account/oidc"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func TestSomebodyLogsInWithAProvider(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	row := s.add("company", p, func(row *oidc.Provider) {
		row.AMR = map[string]string{"pwd": "password"}
	})
	p.says(map[string]any{"amr": []string{"pwd", "odd"}, "auth_time": time.Now().Unix(), "sid": "s1"})
	trip := s.begin("company", p, func(a *oidc.Ask) { a.ReturnTo = "/device?code=AB#top"; a.Hint = "alice" })
	for name, want := range map[string]string{
		"response_type": "code", "client_id": clientID, "redirect_uri": publicURL + "/login/oidc/company/callback", "scope": "openid profile email",
		"code_challenge_method": "S256", "login_hint": "alice",
	} {
		if trip.at.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, trip.at.Get(name), want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} { // 256 bits, and not the same twice
		if len(trip.at.Get(name)) != 43 || trip.at.Get(name) == s.begin("company", p).at.Get(name) {
			t.Errorf("%s is %q", name, trip.at.Get(name))
		}
	}
	if len(trip.transaction) > 4000 || strings.Contains(trip.transaction, trip.at.Get("nonce")) {
		t.Errorf("the transaction is %s", trip.transaction)
	}
	proof, err := s.finish(trip)
	if err != nil {
		t.Fatal(err)
	}
	got := proof.Identity
	if got.Provider != row.Key || got.Project != 0 || got.Issuer != p.issuer || got.Subject != "alice" || got.Name != "Alice" || got.Email != "alice@plant.example" ||
		!got.EmailVerified || !got.JustInTime || got.SID != "s1" || len(got.AMR) != 1 || got.AMR[0] != "password" || got.AuthTime.IsZero() || got.IDToken.IsZero() {
		t.Errorf("got %+v", got)
	}
	if proof.ReturnTo != "/device?code=AB#top" {
		t.Errorf("returns to %q", proof.ReturnTo)
	}
}

func TestAProviderOfAnotherLibraryIsBelieved(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	other := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: ecKey().Public(), KeyID: "k", Algorithm: "ES256"}}, Algorithms: []string{"ES256"}}
	other.SetIssuer(p.issuer)
	p.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			return false
		}
		other.ServeHTTP(w, r)
		return true
	}
	p.sign = func(claims map[string]any) string {
		return oidctest.SignIDToken(ecKey(), "k", "ES256", string(must(jsonOf(claims))))
	}
	s.add("company", p)
	proof, err := s.finish(s.begin("company", p))
	if err != nil || proof.Identity.Subject != "alice" {
		t.Errorf("got %+v, %v", proof, err)
	}
}

func TestAnotherProvidersMailAddressIsAnotherUser(t *testing.T) {
	t.Parallel()
	s, honest, evil := newStage(t), newProvider(t), newProvider(t)
	s.add("honest", honest)
	s.add("evil", evil)
	evil.says(map[string]any{"sub": "mallory"}) // with alice's name and mail address
	one, err := s.finish(s.begin("honest", honest))
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.finish(s.begin("evil", evil))
	if err != nil {
		t.Fatal(err)
	}
	if one.Identity.Email != two.Identity.Email || one.Identity.Issuer == two.Identity.Issuer || one.Identity.Subject == two.Identity.Subject {
		t.Errorf("got %+v and %+v", one.Identity, two.Identity)
	}
	evil.says(map[string]any{"iss": honest.issuer}) // and under alice's issuer it is refused
	_, err = s.finish(s.begin("evil", evil))
	s.refused(err, wire.Unauthenticated, "issued by a different provider")
}

func TestTheUserinfoEndpointDescribesTheUserWhomTheTokenNames(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	p.discovery["userinfo_endpoint"] = p.issuer + "/userinfo"
	p.userinfo = map[string]any{"sub": "alice", "name": "Alice of userinfo", "email": "a@b.example"}
	s.add("company", p)
	p.says(map[string]any{"name": nil, "email": nil})
	proof, err := s.finish(s.begin("company", p))
	if err != nil || proof.Identity.Name != "Alice of userinfo" || proof.Identity.EmailVerified {
		t.Errorf("got %+v, %v", proof.Identity, err)
	}
	p.set(func(p *provider) { p.userinfo = map[string]any{"sub": "bob", "name": "Bob"} })
	_, err = s.finish(s.begin("company", p))
	s.refused(err, wire.Unauthenticated, "describes another user")
	p.set(func(p *provider) { p.discovery["userinfo_endpoint"], p.userinfo = "", nil })
	p.set(func(p *provider) {
		p.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/userinfo" {
				http.Error(w, "canary", http.StatusInternalServerError)
			}
			return r.URL.Path == "/userinfo"
		}
	})
	if proof, err := s.finish(s.begin("company", p)); err != nil || proof.Identity.Subject != "alice" {
		t.Errorf("without a description: %+v, %v", proof, err)
	}
}

func TestATransactionCountsOnceAlsoFiftyTimesAtOnce(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	s.add("company", p)
	trip := s.begin("company", p)
	p.mu.Lock()
	asked := p.codes[trip.back.Get("code")]
	p.mu.Unlock()
	var all sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 50 {
		all.Go(func() {
			again := *trip
			again.back = p.approve(asked) // a fresh code each: the code is not what makes it once
			_, err := s.finish(&again)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if errs.KindOf(err) != wire.Unauthenticated {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Errorf("%d of 50 got in", won)
	}
	s.refused(func() error { _, err := s.finish(trip); return err }(), wire.Unauthenticated, "used before")
}

func TestForgedReplayedExpiredAndForeignAnswersAreRefused(t *testing.T) {
	t.Parallel()
	stageOf := forks(t)
	for name, test := range map[string]struct {
		reason string
		change func(s *stage, p *provider, trip *trip)
	}{
		"no transaction":       {"brought no transaction", func(_ *stage, _ *provider, trip *trip) { trip.transaction = "" }},
		"made-up transaction":  {"not one of ours", func(_ *stage, _ *provider, trip *trip) { trip.transaction = "!!" }},
		"altered transaction":  {"not one of this server's", func(_ *stage, _ *provider, trip *trip) { trip.transaction = flip(trip.transaction) }},
		"another server's":     {"not one of this server's", func(s *stage, p *provider, trip *trip) { trip.transaction = other(s, p) }},
		"late":                 {"older than 10m0s", func(s *stage, _ *provider, _ *trip) { s.clock.Pass(oidc.TransactionLife) }},
		"no state":             {"state is not", func(_ *stage, _ *provider, trip *trip) { trip.back.Del("state") }},
		"empty state":          {"state is not", func(_ *stage, _ *provider, trip *trip) { trip.back.Set("state", "") }},
		"another state":        {"state is not", func(_ *stage, _ *provider, trip *trip) { trip.back.Set("state", flip(trip.back.Get("state"))) }},
		"two states":           {"state is not", func(_ *stage, _ *provider, trip *trip) { trip.back.Add("state", "x") }},
		"somebody else's trip": {"state is not", func(s *stage, p *provider, trip *trip) { trip.back = s.begin(s.slug, p).back }},
		"no code":              {"has no code", func(_ *stage, _ *provider, trip *trip) { trip.back.Del("code") }},
		"two codes":            {"has no code", func(_ *stage, _ *provider, trip *trip) { trip.back.Add("code", "x") }},
		"long code":            {"has no code", func(_ *stage, _ *provider, trip *trip) { trip.back.Set("code", strings.Repeat("x", 5000)) }},
		"made-up code":         {"does not take the code: invalid_grant", func(_ *stage, _ *provider, trip *trip) { trip.back.Set("code", "canary-made-up") }},
		"somebody else's code": {"does not take the code: invalid_grant", func(s *stage, p *provider, trip *trip) {
			trip.back.Set("code", s.begin(s.slug, p).back.Get("code")) // PKCE binds it to the other transaction
		}},
		"the provider says no":   {"the provider refused: access_denied", func(_ *stage, _ *provider, trip *trip) { trip.back.Set("error", "access_denied\x1b[31m") }},
		"a foreign issuer":       {"names another issuer", func(_ *stage, _ *provider, trip *trip) { trip.back.Set("iss", "https://evil.example") }},
		"two issuers":            {"names another issuer", func(_ *stage, p *provider, trip *trip) { trip.back["iss"] = []string{p.issuer, p.issuer} }},
		"a suspended provider":   {"is suspended", func(s *stage, _ *provider, _ *trip) { s.suspend(s.slug) }},
		"no such provider":       {"there is no provider nobody", func(_ *stage, _ *provider, trip *trip) { trip.slug = "nobody" }},
		"a name that is none":    {"no provider has such a name", func(_ *stage, _ *provider, trip *trip) { trip.slug = "../company" }},
		"the platform's as 0":    {"no provider has such a name", func(_ *stage, _ *provider, trip *trip) { trip.slug = "0-company" }},
		"another project's slug": {"there is no provider 7-", func(_ *stage, _ *provider, trip *trip) { trip.slug = "7-company" }},
		"another provider's callback": {"begun with another provider", func(s *stage, _ *provider, trip *trip) {
			s.add("other-"+s.slug, newProvider(s.t))
			trip.slug = "other-" + s.slug
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := stageOf(t), newProvider(t)
			s.add(s.slug, p)
			trip := s.begin(s.slug, p)
			test.change(s, p, trip)
			_, err := s.finish(trip)
			s.refused(err, wire.Unauthenticated, test.reason)
		})
	}
}

// flip changes the first character.
func flip(text string) string {
	if text[0] == 'A' {
		return "B" + text[1:]
	}
	return "A" + text[1:]
}

func other(s *stage, p *provider) string {
	here := s.party
	defer func() { s.party = here }()
	s.party = oidc.New(s.config)
	return s.begin(s.slug, p).transaction
}

func (s *stage) suspend(name string) {
	s.t.Helper()
	row, err := s.providers.Find(s.t.Context(), 0, name)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.providers.Update(s.t.Context(), administrator, row.Key, row.Revision, func(p *oidc.Provider) { p.Suspended = true }, nil); err != nil {
		s.t.Fatal(err)
	}
}

func TestTheIssuerOfTheAnswerIsDemandedWhereTheProviderAdvertisesIt(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	p.discovery["authorization_response_iss_parameter_supported"] = true
	s.add("company", p)
	_, err := s.finish(s.begin("company", p))
	s.refused(err, wire.Unauthenticated, "names another issuer, or none")
	trip := s.begin("company", p)
	trip.back.Set("iss", p.issuer)
	if _, err := s.finish(trip); err != nil {
		t.Error(err)
	}
}

func TestALogoutGoesOnAtTheProviderThatWantsIt(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	p.discovery["end_session_endpoint"] = p.issuer + "/logout?x=1"
	row := s.add("company", p, func(row *oidc.Provider) { row.Logout = true })
	for token, hint := range map[string]string{"a.b.c": "a.b.c", "": "", strings.Repeat("x", 5000): ""} {
		got, err := s.party.LogoutURL(t.Context(), row.Key, secret.FromString(token))
		u := must(url.Parse(got))
		if err != nil || u.Host != must(url.Parse(p.issuer)).Host || u.Query().Get("x") != "1" || u.Query().Get("client_id") != clientID ||
			u.Query().Get("post_logout_redirect_uri") != publicURL+"/login" || u.Query().Get("id_token_hint") != hint {
			t.Errorf("got %s, %v", got, err)
		}
	}
	for name, script := range map[string]string{"none": "", "a-script": "javascript:alert(1)", "plain": "http://evil.example/"} {
		q := newProvider(t)
		q.discovery["end_session_endpoint"] = script
		row := s.add(name, q, func(row *oidc.Provider) { row.Logout = true })
		if got, err := s.party.LogoutURL(t.Context(), row.Key, secret.Value{}); got != "" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	quiet := s.add("quiet", newProvider(t))
	if got, err := s.party.LogoutURL(t.Context(), quiet.Key, secret.Value{}); got != "" || err != nil {
		t.Errorf("a provider that does not want it: %q, %v", got, err)
	}
}

func TestAPathThatNoCookieHoldsIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	s.add("company", p)
	_, err := s.party.Begin(t.Context(), browser, oidc.Ask{Slug: "company", ReturnTo: "/?" + strings.Repeat("&", 990)})
	s.refused(err, wire.Unauthenticated, "too long")
	if trip := s.begin("company", p, func(a *oidc.Ask) { a.ReturnTo = "/" + strings.Repeat("ä", 490) }); len(trip.transaction) > 4000 {
		t.Errorf("%d characters", len(trip.transaction))
	}
}

func TestAStateThatIsWrongLeavesTheTransactionToItsOwner(t *testing.T) {
	t.Parallel()
	s, p := newStage(t), newProvider(t)
	s.add("company", p)
	trip := s.begin("company", p)
	lured := *trip
	lured.back = url.Values{"state": {"x"}, "code": {"x"}}
	_, err := s.finish(&lured)
	s.refused(err, wire.Unauthenticated, "state is not")
	if _, err := s.finish(trip); err != nil {
		t.Errorf("the owner: %v", err)
	}
}
