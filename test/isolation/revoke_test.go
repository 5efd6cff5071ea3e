package isolation

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/db/dbtest"
	"bulkhead/internal/config"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/internal/server"
	"bulkhead/internal/wampx"
	"bulkhead/wire"
)

// site is a whole server, with its database, and its owner's key.
type site struct {
	*server.Server
	t     testing.TB
	roots *x509.CertPool
	http  *http.Client
	key   string
}

func newSite(t testing.TB) *site {
	t.Helper()
	c := config.Default()
	c.Listen, c.OpsListen, c.StateDir, c.Database.Driver = "127.0.0.1:0", "127.0.0.1:0", t.TempDir(), config.DriverSchema
	s, err := server.Start(t.Context(), server.Options{Config: c, DatabaseURL: secret.FromString(dbtest.NewEmpty(t)), Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	ca, errCA := os.ReadFile(s.CAFile())
	key, errKey := os.ReadFile(s.OwnerKeyFile())
	if errCA != nil || errKey != nil {
		t.Fatal(errCA, errKey)
	}
	out := &site{Server: s, t: t, roots: x509.NewCertPool(), key: strings.TrimSpace(string(key))}
	out.roots.AppendCertsFromPEM(ca)
	out.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: out.roots}, MaxIdleConnsPerHost: joiners}}
	t.Cleanup(out.http.CloseIdleConnections)
	return out
}

func ask[T any](s *site, key, method, path string, body any) (out T) {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.API()+httpapi.Prefix+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	answer, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err = io.ReadAll(answer.Body); err != nil || answer.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s %v", method, path, answer.StatusCode, text, err)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
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
	ticket := ask[httpapi.Ticket](s, r.key, "POST", "/realms/"+r.realm+"/ticket", nil)
	session, err := wampx.Dial(s.t.Context(), wampx.Config{
		URL: s.Router(), Realm: ticket.Realm, AuthID: ticket.AuthID, Ticket: secret.FromString(ticket.Ticket), TLS: &tls.Config{RootCAs: s.roots},
	})
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { _ = session.Close(context.Background()) })
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
