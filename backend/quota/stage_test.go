package quota_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/backend/databackend"
	"bulkhead/backend/quota"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
	"bulkhead/internal/clocktest"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

const template = `
data:
  tables:
    - tablename: notes
      chunkTimeInterval: 1 day
      dropAfter: 30 days
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: text, dataType: string}
`

// site is an ingest whose projects have quotas, over a real database, with the clock of a test.
type site struct {
	*clocktest.Clock
	t        *testing.T
	database *dbtest.Database
	prov     *provision.Provisioner
	writer   *writer
	tables   *tables
	quotas   *quota.Quotas
	ingest   *databackend.Ingest
	backends *databackend.Backends
	dir      string
	template databackend.Template

	mu   sync.Mutex // guards what follows
	left int64      // on the disk; less than none: nobody knows
	size int64      // of the disk, from which what the projects have is taken; 0: left is left
}

func (s *site) free() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size > 0 {
		return s.size - s.quotas.Use(plantA).Used() - s.quotas.Use(plantB).Used(), nil
	}
	if s.left < 0 {
		return 0, errBeyondReach
	}
	return s.left, nil
}

// of gives the disk a size, which is noticed.
func (s *site) of(bytes int64) {
	s.mu.Lock()
	s.size = bytes
	s.mu.Unlock()
	s.quotas.Look(s.t.Context())
}

// leave has the disk have so much left, which is noticed.
func (s *site) leave(bytes int64) {
	s.mu.Lock()
	s.left = bytes
	s.mu.Unlock()
	s.quotas.Look(s.t.Context())
}

// writer is one whose database can be down.
type writer struct {
	databackend.Writer
	mu   sync.Mutex // guards down
	down bool
}

func (w *writer) Write(ctx context.Context, p databackend.Placement, t databackend.Table, records []databackend.Record) error {
	w.mu.Lock()
	down := w.down
	w.mu.Unlock()
	if down {
		return errBeyondReach
	}
	return w.Writer.Write(ctx, p, t, records)
}

func (w *writer) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

// tables are those of a provisioner, which can be beyond reach.
type tables struct {
	*provision.Provisioner
	mu   sync.Mutex // guards what follows
	gone error
	seen []string // databases that were measured
}

func (m *tables) Sizes(ctx context.Context, database string) (map[wire.Key]int64, error) {
	m.mu.Lock()
	gone := m.gone
	m.seen = append(m.seen, database)
	m.mu.Unlock()
	if gone != nil {
		return nil, gone
	}
	return m.Provisioner.Sizes(ctx, database)
}

func (m *tables) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = err
}

func (m *tables) measured() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.seen)
	m.seen = nil
	return n
}

const (
	plantA, plantB = wire.Key(11), wire.Key(12)
	app            = wire.Key(22)
	megabyte       = int64(1) << 20
)

func newSite(t *testing.T, driver databackend.Driver) *site {
	t.Helper()
	s := &site{t: t, database: dbtest.New(t), dir: t.TempDir(), Clock: clocktest.Start(), left: 1 << 40}
	s.prov = dbtest.NewProvisioner(t, s.database, func(c *provision.Config) { c.Driver, c.Now = driver, s.Now })
	s.tables, s.writer = &tables{Provisioner: s.prov}, &writer{Writer: db.NewIngest(s.prov)}
	var err error
	if s.template, err = databackend.ParseTemplate("t.yaml", []byte(template)); err != nil {
		t.Fatal(err)
	}
	for key, name := range map[wire.Key]string{plantA: "plant-a", plantB: "plant-b"} {
		s.exec(s.database.Name, "INSERT INTO bulkhead.project (key, name, title, created_at) VALUES ($1, $2, '', now())", key, name)
		s.install(key)
	}
	s.start()
	t.Cleanup(func() { s.ingest.Stop() })
	return s
}

func (s *site) install(project wire.Key) databackend.Placement {
	s.t.Helper()
	placed, err := s.prov.Provision(s.t.Context(), realm(project), s.template)
	if err != nil {
		s.t.Fatal(err)
	}
	return placed
}

func realm(project wire.Key) realms.Realm { return realms.OfInstallation(project, app, wire.Prod) }

// start is what a server does at its start.
func (s *site) start() {
	s.t.Helper()
	var err error
	s.quotas, err = quota.New(quota.Config{
		Store: db.NewQuotas(s.database.DB), Tables: s.tables, Disk: disk{s}, Default: 100 * megabyte, Log: slog.New(slog.DiscardHandler), Now: s.Now,
		Free: s.free, MinFree: 100 * megabyte,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.quotas.Load(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.ingest, err = databackend.NewIngest(databackend.Config{
		Dir: s.dir, Writer: s.writer, Storage: s.quotas, Log: slog.New(slog.DiscardHandler),
		Limits: databackend.Limits{BatchDelay: time.Millisecond, MinFree: 1, All: databackend.Unlimited, Each: databackend.Unlimited},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.backends = &databackend.Backends{Ingest: s.ingest, Exports: s.dir + "/exports"}
	for _, project := range []wire.Key{plantA, plantB} {
		placed, err := s.prov.Placement(s.t.Context(), realm(project))
		if err != nil {
			s.t.Fatal(err)
		}
		if err := s.ingest.Put(databackend.Installation{Realm: placed.Realm, Project: project, Template: s.template, Placement: placed}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// restart is a server that stops and another that starts.
func (s *site) restart() {
	s.t.Helper()
	s.ingest.Stop()
	s.start()
}

// disk asks the backends that are there at the time.
type disk struct{ site *site }

func (d disk) Waiting(project wire.Key) int64        { return d.site.backends.Waiting(project) }
func (d disk) Exported() (map[wire.Key]int64, error) { return d.site.backends.Exported() }

// exec runs a statement as a superuser in a database.
func (s *site) exec(database, sql string, args ...any) {
	s.t.Helper()
	if err := s.tryExec(database, sql, args...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) tryExec(database, sql string, args ...any) error {
	conn, err := pgx.Connect(s.t.Context(), dbtest.Get(s.t).URL(database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(s.t.Context())) //nolint:errcheck // nothing is left to do
	_, err = conn.Exec(s.t.Context(), sql, args...)
	return err
}

var long = strings.Repeat("0123456789abcdef", 64) // 1 KiB that compression does not see as one value of a small row

// bulk appends n rows of about a kilobyte at a time.
func (s *site) bulk(project wire.Key, n int) error {
	s.t.Helper()
	rows := make([]any, n)
	for i := range rows {
		rows[i] = map[string]any{"text": long}
	}
	return s.append(project, true, rows)
}

// small appends n rows that are little more than their heads.
func (s *site) small(project wire.Key, n int) error {
	s.t.Helper()
	rows := make([]any, n)
	for i := range rows {
		rows[i] = map[string]any{"text": "x"}
	}
	return s.append(project, true, rows)
}

func (s *site) one(project wire.Key) error {
	s.t.Helper()
	return s.append(project, false, map[string]any{"text": long})
}

func (s *site) append(project wire.Key, bulk bool, arg any) error {
	s.t.Helper()
	_, err := s.ingest.Append(s.t.Context(), wire.Submission{
		Realm: realm(project).Name(), Table: "notes", Device: 5, AuthID: "dev-5", Bulk: bulk, Args: []any{arg}, Kwargs: map[string]any{},
	})
	return err
}

// fill appends bulks until one is refused, and gives the rows that were taken.
func (s *site) fill(project wire.Key, n int) (taken int) {
	s.t.Helper()
	for range 1000 {
		err := s.bulk(project, n)
		if err == nil {
			taken += n
			continue
		}
		s.full(err)
		return taken
	}
	s.t.Fatal("nothing is refused")
	return taken
}

// full checks that an error says what one who publishes needs.
func (s *site) full(err error) {
	s.t.Helper()
	if errs.URIOf(err) != wire.ErrStorageFull || errs.KindOf(err) != wire.Exhausted || !strings.Contains(errs.UserText(err), "quota") {
		s.t.Fatalf("got %v (%s)", err, errs.URIOf(err))
	}
}

func (s *site) round() {
	s.t.Helper()
	if err := s.quotas.Round(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) set(project wire.Key, bytes int64) {
	s.t.Helper()
	if _, err := s.quotas.Set(s.t.Context(), audit.Server, project, &bytes); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) count(project wire.Key) (n int) {
	s.t.Helper()
	placed, err := s.prov.Placement(s.t.Context(), realm(project))
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := pgx.Connect(s.t.Context(), dbtest.Get(s.t).URL(placed.Database))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(s.t.Context())) //nolint:errcheck // nothing is left to do
	if err := conn.QueryRow(s.t.Context(), "SELECT count(*) FROM "+pgx.Identifier{placed.Schema, "notes"}.Sanitize()).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// levels are those that the record has of a project, in order.
func (s *site) levels(project wire.Key) (list []string) {
	s.t.Helper()
	entries, err := db.NewAudit(s.database.DB).Entries(s.t.Context(), audit.Query{Project: project, Oldest: true, Limit: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Action == audit.ProjectStorage {
			list = append(list, string(e.After))
		}
	}
	return list
}

var errBeyondReach = errors.New("the database is beyond reach")

// asLogin runs a statement with a login that was handed out.
func (s *site) asLogin(c provision.Credentials, sql string, args ...any) error {
	s.t.Helper()
	config, err := pgx.ParseConfig(dbtest.Get(s.t).URL(c.Database))
	if err != nil {
		return err
	}
	config.User, config.Password = c.RW.Role, string(c.RW.Password.Reveal())
	config.RuntimeParams["search_path"] = c.Schema
	conn, err := pgx.ConnectConfig(s.t.Context(), config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(s.t.Context())) //nolint:errcheck // nothing is left to do
	_, err = conn.Exec(s.t.Context(), sql, args...)
	return err
}
