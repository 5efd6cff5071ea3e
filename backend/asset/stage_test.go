package asset_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/clocktest"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

var someone = audit.Actor{Kind: audit.APIKey, ID: "tester"}

const goodTemplate = "template with agent"

// stage is assets over a real database, with data backends that are real schemas in it.
type stage struct {
	*asset.Assets
	t        testing.TB
	store    *db.Assets
	database *dbtest.Database
	backends *schemas
	exports  *exports
	router   *router
	clock    *clocktest.Clock
	keyring  *secret.Keyring
	log      *bytes.Buffer
	watched  *watcher
	// last and serial are what the latest use case is about.
	last   realms.Realm
	serial wire.Serial
	// survived tells whether the process that did it did not die.
	survived bool
}

var names atomic.Int64

// name is one that no other thing has.
func name() string { return fmt.Sprintf("n%d", names.Add(1)) }

func newStage(t testing.TB) *stage {
	t.Helper()
	keyring, err := secret.NewKeyring(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	d := dbtest.New(t)
	s := &stage{
		t: t, store: db.NewAssets(d.DB), database: d, backends: &schemas{d: d}, exports: &exports{}, router: &router{},
		clock: clocktest.Start(), keyring: keyring, log: &bytes.Buffer{}, watched: &watcher{},
	}
	s.Assets = s.process(s.store, s.backends, s.exports)
	return s
}

// process is a server process over the stage's database: its own memory, the same world.
func (s *stage) process(store asset.Store, backends asset.DataBackends, exports asset.Exporter) *asset.Assets {
	s.t.Helper()
	a, err := asset.New(s.config(store, backends, exports))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := a.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *stage) config(store asset.Store, backends asset.DataBackends, exports asset.Exporter) asset.Config {
	return asset.Config{
		Store: store, Sealer: s.keyring, Backends: backends, Sources: sources{}, Exporter: exports, Publisher: s.router, Watcher: s.watched,
		Enrolment: asset.Enrolment{Router: "wss://bulkhead.test/ws-agent", CA: "PEM", GrantKey: make(ed25519.PublicKey, ed25519.PublicKeySize)},
		Log:       slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: s.clock.Now,
	}
}

func (s *stage) project(name string) asset.Project {
	s.t.Helper()
	p, err := s.CreateProject(s.t.Context(), someone, name, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *stage) app(name string) asset.App {
	s.t.Helper()
	app, err := s.CreateApp(s.t.Context(), someone, name, "", 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return app
}

func (s *stage) install(p asset.Project, app asset.App) asset.Installation {
	s.t.Helper()
	in, err := s.Install(s.t.Context(), someone, p.Key, app.Key, wire.Prod, []byte(goodTemplate))
	if err != nil {
		s.t.Fatal(err)
	}
	return in
}

func (s *stage) device(p asset.Project, name string) (asset.Device, wire.Flash) {
	s.t.Helper()
	d, flash, err := s.CreateDevice(s.t.Context(), someone, p.Key, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return d, flash
}

// reloaded is what another process would make of the database: the truth that the memory must agree with.
func (s *stage) reloaded() *realms.Directory {
	s.t.Helper()
	other := &router{}
	c := s.config(s.store, s.backends, s.exports)
	c.Publisher = other
	a, err := asset.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := a.Load(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return other.last()
}

func has(d *realms.Directory, r realms.Realm) bool {
	_, ok := d.Realm(r.Name())
	return ok
}

// router is the far side of Publisher; it keeps what was published.
type router struct {
	mu   sync.Mutex // guards seen
	seen []*realms.Directory
}

func (r *router) Apply(d *realms.Directory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, d)
}

func (r *router) last() *realms.Directory {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[len(r.seen)-1]
}

type watcher struct {
	mu   sync.Mutex // guards told
	told []wire.Key
}

func (w *watcher) AssignmentsChanged(project wire.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, project)
}

// sources has agents publish where the template says so.
type sources struct{}

func (sources) AgentPublications(template []byte) ([]wire.AgentPublication, error) {
	if !strings.Contains(string(template), "with agent") {
		return nil, nil
	}
	return []wire.AgentPublication{{Source: wire.SourceHost, Table: "metrics", IntervalMs: 1000}}, nil
}

// schemas are data backends: one schema with one table for each realm.
type schemas struct{ d *dbtest.Database }

func schemaOf(r realms.Realm) string { return `"t_` + r.Name() + `"` }

func (s *schemas) Check(template []byte) error {
	if !strings.HasPrefix(string(template), "template") {
		return errs.E(wire.Invalid, "template: line 1: data.tables: missing")
	}
	return nil
}

func (s *schemas) Provision(ctx context.Context, r realms.Realm, _ []byte) error {
	if _, err := s.d.Pool().Exec(ctx, "CREATE SCHEMA "+schemaOf(r)); err != nil {
		return db.Error("provision", err)
	}
	_, err := s.d.Pool().Exec(ctx, fmt.Sprintf("CREATE TABLE %s.metrics (tsp timestamptz)", schemaOf(r)))
	return db.Error("provision", err)
}

func (s *schemas) Deprovision(ctx context.Context, r realms.Realm) error {
	_, err := s.d.Pool().Exec(ctx, "DROP SCHEMA IF EXISTS "+schemaOf(r)+" CASCADE")
	return db.Error("deprovision", err)
}

func (s *schemas) exists(t testing.TB, r realms.Realm) bool {
	t.Helper()
	var exists bool
	err := s.d.Pool().QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", schemaOf(r)+".metrics").Scan(&exists)
	if err != nil {
		t.Fatal(err)
	}
	return exists
}

// exports remembers what was exported.
type exports struct {
	mu   sync.Mutex // guards made
	made []realms.Realm
	fail bool
}

var errExport = errors.New("the disk is full")

func (e *exports) Export(_ context.Context, r realms.Realm, _ []byte) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail {
		return "", errs.As(wire.Unavailable, errExport, "the export could not be written")
	}
	e.made = append(e.made, r)
	return "exports/" + r.Name(), nil
}

func (e *exports) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.made)
}
