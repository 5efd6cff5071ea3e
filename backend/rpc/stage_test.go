package rpc_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gammazero/nexus/v3/wamp"
	"go.uber.org/goleak"

	"bulkhead/backend/databackend"
	"bulkhead/backend/rpc"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

const template = `
data:
  tables:
    - tablename: metrics
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: n, dataType: bigint}
        - {id: text, dataType: string}
    - tablename: secrets
      private: true
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: n, dataType: bigint}
`

const project, app = wire.Key(1001), wire.Key(77)

var (
	dataRealm   = realms.OfInstallation(project, app, wire.Prod)
	deviceRealm = realms.OfProject(project)
	one         = device(11)
	two         = device(12)
)

func device(key wire.Key) realms.Device {
	return realms.Device{Serial: wire.NewSerial(), Key: key, Project: project, Secrets: []secret.Value{secret.Random()}}
}

func directory(of ...realms.Realm) *realms.Directory {
	return (&realms.Directory{}).Edit(func(e *realms.Editor) {
		for _, r := range of {
			e.PutRealm(realms.Entry{Realm: r})
		}
		e.PutDevice(one)
		e.PutDevice(two)
	})
}

// stage is all of the data plane: the router, the backend's sessions, the ingest and a real database.
type stage struct {
	*router.Router
	server   *rpc.Server
	ingest   *databackend.Ingest
	backends *databackend.Backends

	mu    sync.Mutex // guards what follows
	peers []wamp.Peer
	asked []wire.Serial
}

// Join is the router's, and remembers the peers, so that a test can break them.
func (s *stage) Join(ctx context.Context, realm string, p realms.Principal) (wamp.Peer, error) {
	peer, err := s.Router.Join(ctx, realm, p)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.peers = append(s.peers, peer)
	}
	return peer, err
}

// Template is what an installation was made with.
func (s *stage) Template(context.Context, realms.Realm) ([]byte, error) { return []byte(template), nil }

// Assignments tells every device the same.
func (s *stage) Assignments(_ context.Context, serial wire.Serial) (wire.AssignmentsReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, serial)
	return wire.AssignmentsReply{Assignments: []wire.Assignment{{Realm: dataRealm.Name(), Project: project, App: app, Stage: wire.Prod}}}, nil
}

func newStage(t *testing.T) *stage {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	provisioner := dbtest.NewProvisioner(t, dbtest.New(t))
	s := &stage{}
	s.backends = &databackend.Backends{Provisioner: provisioner, Templates: s, Tables: db.NewHistory(provisioner), Exports: t.TempDir()}
	if err := s.backends.Provision(t.Context(), dataRealm, []byte(template)); err != nil {
		t.Fatal(err)
	}
	var err error
	s.ingest, err = databackend.NewIngest(databackend.Config{
		Dir: t.TempDir(), Writer: db.NewIngest(provisioner), Log: quiet, OnStored: func(st databackend.Stored) { s.server.Stored(st) },
		Limits: databackend.Limits{BatchDelay: 5 * time.Millisecond, MinFree: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.backends.Ingest = s.ingest
	if s.Router, err = router.New(router.Config{Logger: quiet, Sink: s.ingest}); err != nil {
		t.Fatal(err)
	}
	s.server = rpc.New(rpc.Config{Router: s, Installations: s.backends, Ingest: s.ingest, Reader: db.NewHistory(provisioner), Assignments: s, Log: quiet})
	t.Cleanup(func() {
		s.ingest.Stop()
		s.server.Stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	s.apply(directory(dataRealm, deviceRealm))
	s.awaitServed(t)
	return s
}

func (s *stage) apply(d *realms.Directory) {
	s.Apply(d)
	s.server.Apply(d)
}

func (s *stage) awaitServed(t *testing.T) {
	t.Helper()
	await(t, "all realms to be served", func() bool { return len(s.server.Absent()) == 0 })
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited for %s", what)
		}
	}
}

// session joins a realm.
func (s *stage) session(t *testing.T, r realms.Realm, p realms.Principal) *wampx.Session {
	t.Helper()
	p.Project = project
	peer, err := s.Router.Join(t.Context(), r.Name(), p)
	if err != nil {
		t.Fatal(err)
	}
	session, err := wampx.FromPeer(t.Context(), peer, r.Name(), wampx.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(context.Background()) })
	return session
}

// asDevice joins the data realm as the app on a device does.
func (s *stage) asDevice(t *testing.T, d realms.Device) *wampx.Session {
	return s.session(t, dataRealm, realms.Principal{Role: realms.RoleDevice, AuthID: string(d.Serial), Device: d.Key, Serial: d.Serial})
}

func (s *stage) asService(t *testing.T) *wampx.Session {
	return s.session(t, dataRealm, realms.Principal{Role: realms.RoleService, AuthID: "service:sample"})
}

func (s *stage) asAgent(t *testing.T, d realms.Device) *wampx.Session {
	return s.session(t, deviceRealm, realms.Principal{Role: realms.RoleAgent, AuthID: string(d.Serial), Device: d.Key, Serial: d.Serial})
}

// events subscribes and gives what comes.
func events(t *testing.T, session *wampx.Session, topic string) <-chan wampx.Event {
	t.Helper()
	c := make(chan wampx.Event, 1000)
	_, err := session.SubscribeURI(t.Context(), topic, wampx.Exact, func(_ context.Context, e wampx.Event) { c <- e })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func next(t *testing.T, c <-chan wampx.Event) wampx.Event {
	t.Helper()
	select {
	case e := <-c:
		return e
	case <-time.After(time.Minute):
		t.Fatal("no event")
		return wampx.Event{}
	}
}

func mustAppend(t *testing.T, session *wampx.Session, table string, row wire.Row) wire.AppendReply {
	t.Helper()
	reply, err := wampx.Call(t.Context(), session, wire.AppendProcedure(project, app, table), row)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func history(t *testing.T, session *wampx.Session, table string, request wire.HistoryRequest) []wire.Row {
	t.Helper()
	rows, err := wampx.Call(t.Context(), session, wire.HistoryProcedure(table), request)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// refusal is the URI of an error that came from afar.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	return errs.URIOf(err)
}

func csvOf(t *testing.T, dir, table string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, table+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
