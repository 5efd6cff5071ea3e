package isolation

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/internal/server/servertest"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// site is a whole server whose data people read.
type site struct {
	*servertest.Server
	t     testing.TB
	roots *x509.CertPool
	http  *http.Client
	key   string
}

func newSite(t testing.TB) *site {
	s := servertest.Start(t)
	return &site{s, t, s.TLS.RootCAs, s.HTTP, s.Key}
}

func ask[T any](s *site, key, method, path string, body any) T {
	s.t.Helper()
	return servertest.Ask[T](s.Server, key, method, path, body)
}

const (
	readers  = 5
	consoles = 1000
	joiners  = 8 // at a time
	table    = "data:\n  tables:\n    - tablename: metrics\n      columns:\n        - {id: tsp, dataType: timestamp}\n        - {id: value, dataType: numeric}\n"
)

// reader is somebody who may read the data of one installation.
type reader struct {
	realm, key string
	grant      httpapi.GrantCreate
}

// install makes a project with an installation.
func (s *site) install() (realm string) {
	s.t.Helper()
	ask[httpapi.Project](s, s.key, "POST", "/projects", httpapi.ProjectCreate{Name: "plant-a"})
	ask[httpapi.App](s, s.key, "POST", "/apps", httpapi.AppCreate{Name: "metrics"})
	return ask[httpapi.Installation](s, s.key, "POST", "/projects/plant-a/installations", httpapi.InstallationCreate{App: "metrics", Stage: wire.Prod, Template: table}).Realm
}

func (s *site) reader(name, realm string) reader {
	s.t.Helper()
	ask[httpapi.ServiceAccount](s, s.key, "POST", "/service-accounts", httpapi.ServiceAccountCreate{Name: name})
	made := ask[httpapi.APIKeySecret](s, s.key, "POST", "/apikeys", httpapi.APIKeyCreate{Name: name, ServiceAccount: name, Scopes: []wire.Flag{"*"}})
	ask[httpapi.Member](s, s.key, "POST", "/projects/plant-a/members", httpapi.MemberCreate{Principal: name})
	return reader{realm, made.Key, httpapi.GrantCreate{Principal: name, Asset: "data_backend:" + realm, Flags: []wire.Flag{wire.DataBackendRead}}}
}

// open opens sessions of a reader, each of which listens.
func (s *site) open(r reader, n int) []*wampx.Session {
	s.t.Helper()
	sessions := make([]*wampx.Session, n)
	var wait sync.WaitGroup
	for j := range joiners {
		wait.Go(func() {
			for i := j; i < n; i += joiners {
				var err error
				if sessions[i], err = s.listen(r); err != nil {
					s.t.Errorf("session %d: %v", i, err)
					return
				}
			}
		})
	}
	wait.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
	return sessions
}

func (s *site) listen(r reader) (*wampx.Session, error) {
	session, err := s.Join(r.key, r.realm)
	if err != nil {
		return nil, err
	}
	_, err = wampx.Subscribe(s.t.Context(), session, wire.TransformedTopic("metrics"), func(context.Context, wire.Row, wampx.Event) {})
	return session, err
}

// revoke takes the reader's grant away, and tells how long after the request each session ended, in no order.
func (s *site) revoke(grant wire.Key, sessions []*wampx.Session) []time.Duration {
	s.t.Helper()
	took := make([]time.Duration, len(sessions))
	var wait sync.WaitGroup
	start := time.Now()
	for i, session := range sessions {
		wait.Go(func() {
			select {
			case <-session.Done():
				took[i] = time.Since(start)
			case <-time.After(time.Minute): // nothing else ends it before
				s.t.Error("a session is open a minute after the revoke")
			}
		})
	}
	ask[struct{}](s, s.key, "DELETE", "/grants/"+grant.String(), nil)
	wait.Wait()
	return took
}

func TestARevokeEndsTheSessionsThatItOpened(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.reader("reader", s.install())
	grant := ask[httpapi.Grant](s, s.key, "POST", "/grants", r.grant)
	sessions := s.open(r, 20)
	others := s.open(reader{realm: r.realm, key: s.key}, 2)
	s.revoke(grant.Key, sessions) // how soon is measured below
	for _, other := range others {
		select {
		case <-other.Done():
			t.Errorf("a session of another ended too: %v", other.Err())
		default:
		}
	}
}

// BenchmarkRevoke measures from the requests that revoke the grants of five readers, at the same time, to the end of each of
// the thousand sessions that these had opened, with a whole server and over TLS.
func BenchmarkRevoke(b *testing.B) {
	s := newSite(b)
	realm := s.install()
	var people [readers]reader
	for i := range people {
		people[i] = s.reader("reader-"+strconv.Itoa(i), realm)
	}
	var all []time.Duration
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		var grants [readers]httpapi.Grant
		var sessions [readers][]*wampx.Session
		for i, r := range people {
			grants[i] = ask[httpapi.Grant](s, s.key, "POST", "/grants", r.grant)
			sessions[i] = s.open(r, consoles/readers)
		}
		b.StartTimer()
		var took [readers][]time.Duration
		var wait sync.WaitGroup
		for i := range people {
			wait.Go(func() { took[i] = s.revoke(grants[i].Key, sessions[i]) })
		}
		wait.Wait()
		all = append(all, slices.Concat(took[:]...)...)
	}
	slices.Sort(all)
	at := func(share float64) time.Duration { return all[int(share*float64(len(all)-1))] }
	for name, d := range map[string]time.Duration{"p50": at(0.5), "p99": at(0.99), "max": at(1)} {
		b.ReportMetric(float64(d.Microseconds())/1000, name+"-ms")
	}
	if p99 := at(0.99); p99 > time.Second {
		b.Errorf("p99 is %s", p99)
	}
}

// What is taken away of one's privileges ends, and the rest stays as it is.
func TestARevokeOfOneFlagLeavesTheOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.reader("writer", s.install())
	ask[httpapi.Grant](s, s.key, "POST", "/grants", r.grant)
	r.grant.Flags = []wire.Flag{wire.DataBackendWrite}
	write := ask[httpapi.Grant](s, s.key, "POST", "/grants", r.grant)
	session := s.open(r, 1)[0]
	publish := func() error {
		return session.PublishURI(t.Context(), "news", nil, nil, wampx.PublishOptions{})
	}
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	ask[struct{}](s, s.key, "DELETE", "/grants/"+write.Key.String(), nil)
	var err error
	for start := time.Now(); err == nil && time.Since(start) < time.Minute; {
		err = publish()
	}
	if errs.KindOf(err) != wire.Denied {
		t.Errorf("after the revoke a publication gives %v", err)
	}
	if _, err := wampx.Subscribe(t.Context(), session, wire.TransformedBulkTopic("metrics"), func(context.Context, []wire.Row, wampx.Event) {}); err != nil {
		t.Errorf("to read is refused too: %v", err)
	}
}
