package httpapi_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/httpapi"
	"bulkhead/db/dbtest"
	"bulkhead/wire"
)

// panicking is an Authorizer with a bug.
type panicking struct{ nobody }

func (panicking) May(context.Context, account.Principal, wire.Flag, httpapi.Target) bool {
	panic("canary-of-the-bug")
}

func TestABugInOneRequestEndsThatRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *httpapi.Config) { c.Authorizer = panicking{} })
	p := s.refused(500, "internal", "GET", "/whoami", nil)
	if strings.Contains(p.Detail, "canary") || !strings.Contains(s.log.String(), "canary-of-the-bug") || !strings.Contains(s.log.String(), p.RequestID) {
		t.Errorf("told %q; the log has it: %t", p.Detail, strings.Contains(s.log.String(), p.RequestID))
	}
	s.refused(500, "internal", "POST", "/projects", httpapi.ProjectCreate{Name: "x"}, header("Idempotency-Key", "k"))
	s.refused(500, "internal", "POST", "/projects", httpapi.ProjectCreate{Name: "x"}, header("Idempotency-Key", "k")) // and not "is being done"
}

func TestAnExportArrivesWhole(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	path := httpapi.Prefix + "/realms/" + in.Realm + "/tables/metrics/export"
	s.data.rows = 100_000
	a := s.do("GET", path+"?format=csv", nil)
	if a.status != 200 || strings.Count(string(a.body), "\n") != 100_000 || a.header.Get("Content-Type") != "text/csv; charset=utf-8" ||
		a.header.Get("Content-Disposition") != `attachment; filename="metrics.csv"` {
		t.Errorf("%d, %d rows, %v", a.status, strings.Count(string(a.body), "\n"), a.header)
	}
	s.data.rows = 0
	if a := s.do("GET", path, nil); a.status != 200 || len(a.body) != 0 {
		t.Errorf("an empty table: %d %s", a.status, a.body)
	}
}

func TestAnExportThatBreaksIsNotTakenForAWholeOne(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	path := "/realms/" + in.Realm + "/tables/metrics/export"
	s.data.rows, s.data.broken = 10, 1
	s.refused(503, "unavailable", "GET", path, nil)
	s.data.rows, s.data.broken = 100_000, 90_000
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.server.URL+httpapi.Prefix+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	response, err := s.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Errorf("%d bytes came and the end was a good one", n)
	}
}

func TestTooManyExportsAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	path := "/realms/" + in.Realm + "/tables/metrics/export"
	s.data.hold, s.data.reach, s.data.rows = make(chan struct{}), make(chan struct{}), 1
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if a := s.do("GET", httpapi.Prefix+path, nil); a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
		<-s.data.reach
	}
	s.refused(429, "exhausted", "GET", path, nil)
	if a := s.do("GET", httpapi.Prefix+path, nil); a.header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	close(s.data.hold)
	all.Wait()
}

func TestADatabaseThatIsGoneIsToldAsSuch(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	must[httpapi.Whoami](s, 200, "GET", "/whoami", nil)
	if _, err := dbtest.Get(t).Admin().Exec(t.Context(), "DROP DATABASE "+s.database.Name+" WITH (FORCE)"); err != nil {
		t.Fatal(err)
	}
	s.refused(503, "unavailable", "GET", "/projects", nil)
	s.clock.Pass(time.Second)
	s.refused(503, "unavailable", "GET", "/whoami", nil) // a key is no more than a second old
}

// A client that speaks HTTP/1.1 by hand, to send what net/http's would not.
func dial(t *testing.T, s *stage) (*tls.Conn, *bufio.Reader) {
	t.Helper()
	config := s.server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos, config.ServerName = []string{"http/1.1"}, "example.com"
	conn, err := tls.Dial("tcp", s.server.Listener.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, bufio.NewReader(conn)
}

func TestABodyThatDoesNotComeIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	conn, reader := dial(t, s)
	fmt.Fprintf(conn, "POST %s/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", httpapi.Prefix, s.key)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestTimeout || !response.Close {
		t.Errorf("%d, closes: %t", response.StatusCode, response.Close)
	}
}

func TestAnInstallationMayTakeLongerThanItsBodyMayTakeToArrive(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.project("plant-a")
	must[httpapi.App](s, 201, "POST", "/apps", httpapi.AppCreate{Name: "host-metrics"})
	s.data.hold, s.data.reach = make(chan struct{}), make(chan struct{})
	go func() {
		<-s.data.reach
		<-time.After(bodyTimeout + time.Second) // a deadline that was forgotten would end the request here, and nothing signals one that was not
		close(s.data.hold)
	}()
	conn, reader := dial(t, s)
	body := `{"app":"host-metrics","stage":"prod","template":"template"}`
	fmt.Fprintf(conn, "POST %s/projects/plant-a/installations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", httpapi.Prefix, s.key, len(body), body)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("%d", response.StatusCode)
	}
}

func TestRequestsAreCountedByRouteAndNotByWhatIsAsked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, path := range []string{"/projects/a", "/projects/b", "/nowhere", "/whoami"} {
		s.do("GET", httpapi.Prefix+path, nil)
	}
	families, err := s.metrics.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%v, %v", families, err)
	}
	counted := map[string]uint64{}
	for _, m := range families[0].GetMetric() {
		label := ""
		for _, l := range m.GetLabel() {
			label += l.GetValue() + " "
		}
		counted[strings.TrimSpace(label)] = m.GetHistogram().GetSampleCount()
	}
	for label, want := range map[string]uint64{"GET /api/v1/projects/{project} 404": 2, "none 404": 1, "GET /api/v1/whoami 200": 1} {
		if counted[label] != want {
			t.Errorf("%s: %d, want %d, of %v", label, counted[label], want, counted)
		}
	}
}
