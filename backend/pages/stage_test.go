package pages_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/backend/account"
	"bulkhead/backend/account/devicegrant"
	"bulkhead/backend/pages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	rightPassword = "correct horse"
	rightCode     = "123456"
	recoveryCode  = "aaaa-bbbb"
)

// stage is the pages over TLS. Who proves people is played here, so that each answer of theirs can be had; the real ones are
// behind the pages in the tests with a browser.
type stage struct {
	t       *testing.T
	server  *httptest.Server
	people  *people
	grants  *devicegrant.Grants
	keys    *keys
	outside *outside
	noted   *noted
	shells  *shells
	pages   *pages.Pages
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, people: newPeople(), keys: &keys{}, outside: &outside{}, noted: &noted{}, shells: &shells{}}
	s.grants = devicegrant.New(s.people.Now, record{})
	s.server = httptest.NewUnstartedServer(nil)
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	made, err := pages.New(pages.Config{
		Logins: s.people, Providers: s.outside, Devices: s.grants, Keys: s.keys, Terminals: s.shells, Sites: webSites{}, Noter: s.noted, Public: s.server.URL, Log: slog.New(slog.DiscardHandler), Now: s.people.Now,
		Projects: func(context.Context, account.Principal) ([]pages.Project, bool, error) {
			return []pages.Project{{Name: "plant-a", Title: `<script>alert(1)</script>`, DeviceRealm: "device-1"}}, false, nil
		},
		Version: "1.2.3",
	})
	if err != nil {
		t.Fatal(err)
	}
	pages.SetBodyTimeout(made, 2*time.Second)
	s.pages, s.server.Config.Handler = made, made
	return s
}

// browser is a client that keeps cookies, follows nothing, and names its origin as browsers do.
type browser struct {
	s      *stage
	client *http.Client
}

func (s *stage) browser() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	client := *s.server.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{s, &client}
}

type answer struct {
	status int
	header http.Header
	body   string
	set    []*http.Cookie
}

func (a answer) location() string { return a.header.Get("Location") }

func (b *browser) do(r *http.Request) answer {
	b.s.t.Helper()
	response, err := b.client.Do(r)
	if err != nil {
		b.s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body), response.Cookies()}
}

func (b *browser) request(method, path, body string) *http.Request {
	b.s.t.Helper()
	r, err := http.NewRequestWithContext(b.s.t.Context(), method, b.s.server.URL+path, strings.NewReader(body))
	if err != nil {
		b.s.t.Fatal(err)
	}
	return r
}

func (b *browser) get(path string) answer {
	b.s.t.Helper()
	return b.do(b.request(http.MethodGet, path, ""))
}

func (b *browser) form(path string, fields ...string) *http.Request {
	b.s.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r := b.request(http.MethodPost, path, form.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.s.server.URL)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

func (b *browser) post(path string, fields ...string) answer {
	b.s.t.Helper()
	return b.do(b.form(path, fields...))
}

// token is what the browser's cookie has.
func (b *browser) token() string {
	u, err := url.Parse(b.s.server.URL)
	if err != nil {
		b.s.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == pages.CookieName {
			return c.Value
		}
	}
	return ""
}

// loggedIn is a browser of somebody who has shown both factors just now.
func (s *stage) loggedIn() *browser {
	s.t.Helper()
	b := s.browser()
	b.want(b.post("/login", "name", "olga", "password", rightPassword), http.StatusSeeOther, "/login/second-factor")
	b.want(b.post("/login/second-factor", "code", rightCode), http.StatusSeeOther, "/")
	return b
}

// want checks the status, and where the answer leads or a text that it has.
func (b *browser) want(a answer, status int, says string) answer {
	b.s.t.Helper()
	if a.status != status || (a.location() != says && !strings.Contains(a.body, says)) {
		b.s.t.Fatalf("status %d to %q, want %d and %q:\n%s", a.status, a.location(), status, says, a.body)
	}
	return a
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// again sends the form of a page again, with more fields.
func (b *browser) again(a answer, path string, more ...string) answer {
	b.s.t.Helper()
	for _, found := range hidden.FindAllStringSubmatch(a.body, -1) {
		more = append(more, found[1], found[2])
	}
	return b.post(path, more...)
}
