package pages_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func unavailable(text string) error { return errs.E(wire.Unavailable, "%s", text) }

func TestAFormOfAnotherSiteIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	drop := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
	for name, change := range map[string]func(*http.Request){
		"another origin":           set("Origin", "https://evil.example"),
		"a sibling domain":         set("Origin", "https://evil."+strings.TrimPrefix(s.server.URL, "https://")),
		"the same host in clear":   set("Origin", strings.Replace(s.server.URL, "https", "http", 1)),
		"another port":             set("Origin", s.server.URL+"1"),
		"no origin":                drop("Origin"),
		"an origin of null":        set("Origin", "null"),
		"two origins":              func(r *http.Request) { r.Header.Add("Origin", "https://evil.example") },
		"cross-site":               set("Sec-Fetch-Site", "cross-site"),
		"same-site":                set("Sec-Fetch-Site", "same-site"),
		"the origin in upper case": set("Origin", strings.ToUpper(s.server.URL)),
		"nothing, and no metadata": func(r *http.Request) { r.Header.Del("Origin"); r.Header.Del("Sec-Fetch-Site") },
	} {
		for _, path := range []string{"/logout", "/login", "/account/logins/end-others", "/account/keys", "/device", "/login/enrolment"} {
			r := b.form(path, "name", "olga", "password", rightPassword)
			change(r)
			if a := b.do(r); a.status != http.StatusForbidden || len(a.set) > 0 {
				t.Errorf("%s to %s: status %d, cookies %v", name, path, a.status, a.set)
			}
		}
	}
	if len(s.people.ended) > 0 || s.people.made != 2 {
		t.Error("something was done")
	}
}

func TestOnlyGetHeadAndPostAreMethodsOfPages(t *testing.T) {
	t.Parallel()
	b := newStage(t).loggedIn()
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, "TRACE", "PROPFIND"} {
		if a := b.do(b.request(method, "/account", "")); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") == "" {
			t.Errorf("%s: status %d", method, a.status)
		}
	}
	for _, path := range []string{"/account/logins/end", "/account/logins/end-others", "/account/keys/revoke", "/login/enrolment/confirm"} {
		if a := b.get(path + "?id=mine&code=" + rightCode); a.status != http.StatusNotFound {
			t.Errorf("GET %s: status %d", path, a.status)
		}
	}
	b.want(b.post("/"), http.StatusMethodNotAllowed, "This page cannot do that.")
}

func TestFieldsInTheAddressAreNoFieldsOfAForm(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	b.want(b.post("/login?name=olga&password="+url.QueryEscape(rightPassword)), http.StatusUnprocessableEntity, "Enter your password.")
	if b.token() != "" {
		t.Error("logged in by an address")
	}
}

func TestWhatIsTooLargeOrNoFormIsRefused(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	r := b.form("/login", "name", "olga", "password", strings.Repeat("x", 17<<10))
	if a := b.do(r); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", a.status)
	}
	for _, kind := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", ""} {
		r := b.form("/login", "name", "olga", "password", rightPassword)
		r.Header.Set("Content-Type", kind)
		if a := b.do(r); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %d", kind, a.status)
		}
	}
	bad := b.request(http.MethodPost, "/login", "name=%zz;")
	bad.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	bad.Header.Set("Origin", b.s.server.URL)
	if a := b.do(bad); a.status != http.StatusBadRequest {
		t.Errorf("broken form: %d", a.status)
	}
}

func TestNobodyIsSentToAnotherSite(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, to := range []string{
		"https://evil.example", "//evil.example", `/\evil.example`, `\/evil.example`, "/\t/evil.example", "/%09/evil.example", "///evil.example", "/a//evil.example/..",
		"javascript:alert(1)", "data:text/html,x", "https:evil.example", "/..//evil.example", "/./", "/account/../../x", "evil.example", "?x", "#x", "/#//evil",
		"/login", "/login?to=%2F%2Fevil.example", "/logout", "/account\r\nSet-Cookie: a=b", "/é", "/" + strings.Repeat("a", 600), "http://" + s.server.URL[8:], s.server.URL,
		"/%5cevil.example", "/%2f/evil.example", "@evil.example", "/x@evil.example//",
	} {
		b := s.browser()
		for _, a := range []answer{
			b.get("/login?to=" + url.QueryEscape(to)),
			b.post("/login", "name", "olga", "password", rightPassword, "to", to),
			b.get("/login/second-factor?to=" + url.QueryEscape(to)),
			b.post("/login/second-factor", "code", rightCode, "to", to),
			b.get("/login?to=" + url.QueryEscape(to)),
		} {
			if l := a.location(); l != "" && l != "/" && l != "/login/second-factor" {
				t.Errorf("%q leads to %q", to, l)
			}
			if strings.Contains(a.body, `name="to"`) {
				t.Errorf("%q is carried", to)
			}
		}
	}
	s.outside.back = "//evil.example"
	b := s.browser()
	b.get("/login/oidc/sample")
	b.want(b.get("/login/oidc/sample/callback?code=c&state=x"), http.StatusSeeOther, "/login/second-factor")
}

func TestEveryAnswerHasTheHeadersThatKeepItSafe(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	for _, a := range []answer{
		b.get("/"), b.get("/account"), b.get("/account/keys"), b.get("/device"), b.get("/login"), b.get("/login/none"), b.get("/account/none"), b.get("/static/none.css"),
		b.post("/login", "name", "x"), b.do(b.request(http.MethodPut, "/", "")), b.do(b.request(http.MethodPost, "/logout", "")), s.browser().get("/login"),
	} {
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"Cache-Control":           "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
			"Strict-Transport-Security": "max-age=31536000", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("status %d: %s is %q", a.status, name, got)
			}
		}
		for _, bad := range []string{"<script", "<style", "style=", "onclick", "javascript:"} {
			if strings.Contains(a.body, bad) {
				t.Errorf("status %d: the page has %q", a.status, bad)
			}
		}
	}
}

func TestAssetsAreKeptAndLoadedFromHereAlone(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	page := b.get("/login").body
	_, rest, _ := strings.Cut(page, `<link rel="stylesheet" href="`)
	path, _, _ := strings.Cut(rest, `"`)
	a := b.want(b.get(path), http.StatusOK, "prefers-color-scheme")
	if a.header.Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(a.header.Get("Cache-Control"), "immutable") {
		t.Error(a.header)
	}
}

func TestWhatPeopleAndProgramsCallThemselvesIsText(t *testing.T) {
	t.Parallel()
	b := newStage(t).loggedIn()
	b.want(b.get("/"), http.StatusOK, "&lt;script&gt;alert(1)&lt;/script&gt;")
	b.want(b.get("/account"), http.StatusOK, "Olga &lt;Owner&gt;")
}

func TestWhatIsNotThereIsAPageToo(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	for _, path := range []string{"/nonsense", "/favicon.ico", "/login/nonsense", "/%2e%2e/login", "/.git/config"} {
		b.want(b.get(path), http.StatusNotFound, "There is no such page.")
	}
}

func TestAFormOfAnotherSiteIsPutOnRecord(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, b := range []*browser{s.loggedIn(), s.browser()} {
		r := b.form("/logout")
		r.Header.Set("Origin", "https://evil.example")
		b.want(b.do(r), http.StatusForbidden, "not sent by this server")
	}
	if len(s.noted.entries) != 2 {
		t.Fatalf("%d entries", len(s.noted.entries))
	}
	known, unknown := s.noted.entries[0], s.noted.entries[1]
	if known.Action != audit.AccessRefuse || known.Actor.ID != "7" || unknown.Action != audit.LoginRefuse || unknown.Actor.Kind != audit.Anonymous {
		t.Errorf("%+v\n%+v", known, unknown)
	}
	for _, e := range s.noted.entries {
		if err := e.Check(); err != nil || e.Outcome != audit.Failed || !strings.Contains(string(e.After), `"/logout"`) {
			t.Errorf("%v: %s", err, e.After)
		}
	}
}

func TestAFormThatDoesNotArriveIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newStage(t).browser()
	body, w := io.Pipe()
	defer w.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.s.server.URL+"/login", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.s.server.URL)
	go func() { _, _ = io.WriteString(w, "name=ol") }() // and no more
	b.want(b.do(r), http.StatusRequestTimeout, "The form could not be read")
}

func TestAPanicStaysInItsRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.loggedIn()
	s.people.mu.Lock()
	s.people.broken = true
	s.people.mu.Unlock()
	a := b.want(b.get("/account"), http.StatusInternalServerError, "Something went wrong here")
	if strings.Contains(a.body, "canary") {
		t.Error(a.body)
	}
	b.want(b.get("/"), http.StatusOK, "Overview")
}
