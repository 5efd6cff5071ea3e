package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

// crowd has requests under way that do not end before the test lets them.
type crowd struct {
	*stage
	came chan struct{} // one for each that is as far as it gets
	let  chan struct{}
	all  sync.WaitGroup
}

func newCrowd(s *stage) *crowd {
	c := &crowd{stage: s, came: make(chan struct{}), let: make(chan struct{})}
	s.t.Cleanup(func() {
		close(c.let)
		c.all.Wait()
	})
	return c
}

// hold tells that somebody has come, and keeps them until the test lets them go.
func (c *crowd) hold() {
	select {
	case c.came <- struct{}{}:
		<-c.let
	case <-c.let:
	}
}

// come has n send something, and waits until all of them are held or answered.
func (c *crowd) come(n int, request func() *http.Request) (answered int) {
	answers := answers{crowd: c, done: make(chan struct{}, n)}
	for range n {
		c.all.Go(func() { answers.serve(request()) })
	}
	for range n {
		select {
		case <-c.came:
		case <-answers.done:
			answered++
		}
	}
	return answered
}

type answers struct {
	crowd *crowd
	done  chan struct{}
}

func (a answers) serve(r *http.Request) {
	a.crowd.api.ServeHTTP(&slowReader{crowd: a.crowd, ResponseRecorder: httptest.NewRecorder()}, r)
	a.done <- struct{}{}
}

// slowReader takes no large answer and no download.
type slowReader struct {
	*httptest.ResponseRecorder
	crowd *crowd
}

func (w *slowReader) Write(b []byte) (int, error) {
	if len(b) > 4096 || w.Header().Get("Content-Disposition") != "" {
		w.crowd.hold()
	}
	return w.ResponseRecorder.Write(b)
}

// slowSender sends a beginning only.
type slowSender struct {
	crowd *crowd
	once  sync.Once
}

func (b *slowSender) Read([]byte) (int, error) {
	b.once.Do(b.crowd.hold)
	return 0, io.ErrUnexpectedEOF
}

func (c *crowd) request(method, path, key string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), method, "https://example.com"+httpapi.Prefix+path, nil)
	if method == http.MethodPost {
		r.Body = io.NopCloser(&slowSender{crowd: c})
		r.ContentLength = 100
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return r
}

// more is more than there are places of any kind.
const more = 600

func TestStrangersWhoReadOrSendSlowlyKeepNobodyOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c := newCrowd(s)
	c.come(more, func() *http.Request { return c.request("GET", "/openapi.json", "") })
	c.come(more, func() *http.Request { return c.request("POST", "/login", "") })
	must[httpapi.Whoami](s, 200, "GET", "/whoami", nil)
	s.refused(401, "unauthenticated", "POST", "/login", `{"name":"olga","password":"a wrong password"}`, func(r *http.Request) { r.Header.Del("Authorization") })
}

func TestATenantWhoSendsSlowlyKeepsNobodyElseOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	c := newCrowd(s)
	for _, name := range []string{"tenant", "colleague"} { // a key may be used so many times at once
		_, as := s.somebody(name, "*")
		if answered := c.come(more/2, func() *http.Request {
			r := c.request("POST", "/projects", "")
			as(r)
			return r
		}); answered == 0 {
			t.Errorf("as many of %s as they like are read at once", name)
		}
	}
	must[httpapi.Whoami](s, 200, "GET", "/whoami", nil)
}

// Who downloads decides how long that takes.
func TestAProjectsSlowDownloadsKeepNoOtherProjectFromDownloading(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	must[httpapi.Project](s, 201, "POST", "/projects", httpapi.ProjectCreate{Name: "plant-b"})
	other := must[httpapi.Installation](s, 201, "POST", "/projects/plant-b/installations", httpapi.InstallationCreate{App: "host-metrics", Stage: wire.Prod, Template: template})
	s.data.rows = 10_000
	c := newCrowd(s)
	if answered := c.come(20, func() *http.Request { return c.request("GET", "/realms/"+in.Realm+"/tables/metrics/export", s.key) }); answered != 16 {
		t.Errorf("%d of 20 downloads were refused", answered)
	}
	if a := s.do("GET", httpapi.Prefix+"/realms/"+other.Realm+"/tables/metrics/export", nil); a.status != 200 {
		t.Errorf("another project's: %d %s", a.status, a.body)
	}
}

// Entries stay for good: who asks for what they do not get must not fill the log with it, and the disk.
func TestATicketThatIsRefusedMakesNoEntry(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	path := "/realms/" + in.Realm + "/ticket"
	var first httpapi.Ticket
	for i := range account.MaxTickets {
		if ticket := must[httpapi.Ticket](s, 200, "POST", path, nil); i == 0 {
			first = ticket
		}
	}
	before := newestEntry(t, s)
	for range 5 {
		s.refused(429, "exhausted", "POST", path, nil)
	}
	for _, e := range entriesAfter(t, s, before) {
		if e.Action == audit.TicketIssue {
			t.Errorf("an entry tells of a ticket that was refused: %+v", e)
		}
	}
	if _, err := s.tickets.Redeem(first.Realm, first.AuthID, first.Ticket); err != nil {
		t.Fatal(err)
	}
	if _, err := s.database.Pool().Exec(t.Context(), "ALTER TABLE audit_entry ADD CONSTRAINT full_disk CHECK (false) NOT VALID"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what could not be put on record does not wait to be used
		s.refused(503, "unavailable", "POST", path, nil)
	}
}
