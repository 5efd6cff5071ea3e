package db_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/backend/audit/ledger"
	"bulkhead/backend/audit/sequencer"
	"bulkhead/db"
	"bulkhead/db/cluster"
	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// logStage is a database with a sequencer whose rounds the test runs.
type logStage struct {
	t         testing.TB
	d         *dbtest.Database
	log       *db.Audit
	dir       string
	key       sequencer.Key
	sequencer *sequencer.Sequencer
}

func newLogStage(t testing.TB) *logStage {
	t.Helper()
	d := dbtest.New(t)
	s := &logStage{t: t, d: d, log: db.NewAudit(d.DB), dir: t.TempDir()}
	s.restart("one", s.dir)
	return s
}

// restart makes a sequencer as a new process would.
func (s *logStage) restart(holder, dir string) *sequencer.Sequencer {
	s.t.Helper()
	store, err := db.NewAuditSequencer(s.t.Context(), s.d.DB)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(store.Close)
	if s.key, err = sequencer.EnsureKey(filepath.Join(dir, "audit.key")); err != nil {
		s.t.Fatal(err)
	}
	journal, err := sequencer.OpenJournal(filepath.Join(dir, "audit.journal"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = journal.Close() })
	s.sequencer = sequencer.New(sequencer.Config{Store: store, Key: s.key, Journal: journal, Holder: holder, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	return s.sequencer
}

func (s *logStage) write(project wire.Key, n int) {
	s.t.Helper()
	for range n {
		if err := s.log.Record(s.t.Context(), audit.New(tester, audit.TicketIssue, project, audit.Asset{Kind: "realm", Name: "r"})); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *logStage) round() {
	s.t.Helper()
	if err := s.sequencer.Round(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *logStage) verify(l ledger.Log) (ledger.Checkpoint, error) {
	return ledger.Verification{Key: s.key.Verifier, Log: l}.Verify(s.t.Context(), s.log)
}

func (s *logStage) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.d.Pool().Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatal(err)
	}
}

func TestEveryEntryIsPartOfItsProjectsSignedLogAfterARound(t *testing.T) {
	t.Parallel()
	s := newLogStage(t)
	s.write(7, 300)
	s.write(8, 3)
	s.write(0, 2)
	s.round()
	s.write(7, 300)
	s.round()
	for l, want := range map[ledger.Log]int64{7: 600, 8: 3, ledger.Platform: 2, ledger.Logs: 4} {
		if c, err := s.verify(l); err != nil || c.Size != want {
			t.Errorf("log %s has %d entries, want %d: %v", l, c.Size, want, err)
		}
	}
	entries, err := s.log.Entries(t.Context(), audit.Query{Project: 8, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	placed, err := s.log.Placed(t.Context(), entries[0].Sequence)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := ledger.Prove(t.Context(), placed, s.key.Public, s.key.Verifier, s.log)
	if err != nil {
		t.Fatal(err)
	}
	if entry, _, err := proof.Check(s.key.Verifier); err != nil || entry.Actor != tester {
		t.Errorf("%+v %v", entry, err)
	}
	if strings.Contains(proof.Leaf, tester.Name) || strings.Contains(proof.Leaf, tester.Address) {
		t.Errorf("the leaf tells of a person: %s", proof.Leaf)
	}
	for check, list := range map[string]func(context.Context) ([]string, error){"guards": s.log.Guards, "strays": s.log.Strays} {
		if found, err := list(t.Context()); err != nil || len(found) > 0 {
			t.Errorf("%s: %v %v", check, found, err)
		}
	}
	if alarms := s.sequencer.Alarms(); len(alarms) > 0 {
		t.Error(alarms)
	}
}

func TestErasingAPersonLeavesTheLogVerifiable(t *testing.T) {
	t.Parallel()
	s := newLogStage(t)
	s.write(7, 3)
	s.round()
	s.exec("DELETE FROM audit_personal")
	if _, err := s.verify(7); err != nil {
		t.Error(err)
	}
	entries, err := s.log.Entries(t.Context(), audit.Query{Limit: 1})
	if err != nil || entries[0].Actor.Name != "" || entries[0].Actor.ID != tester.ID {
		t.Errorf("%+v %v", entries, err)
	}
}

func TestASequencerGoesOnAfterACrashAtAnyPoint(t *testing.T) {
	t.Parallel()
	s := newLogStage(t)
	s.write(7, 10)
	s.round()
	journal, err := os.ReadFile(filepath.Join(s.dir, "audit.journal"))
	if err != nil {
		t.Fatal(err)
	}
	s.write(7, 10)
	s.round()
	// As if the crash had been after the places were given, before the states were remembered; its last line is cut off.
	if err := os.WriteFile(filepath.Join(s.dir, "audit.journal"), append(journal, `{"version":1,"log":"7","si`...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.restart("one", s.dir)
	s.write(7, 10)
	s.round()
	if c, err := s.verify(7); err != nil || c.Size != 30 || len(s.sequencer.Alarms()) > 0 {
		t.Errorf("%d %v %v", c.Size, err, s.sequencer.Alarms())
	}
}

func TestTwoSequencersDoNotFork(t *testing.T) {
	t.Parallel()
	s := newLogStage(t)
	one := s.sequencer
	s.write(7, 5)
	s.round()
	two := s.restart("two", s.dir)
	if err := two.Round(t.Context()); errs.KindOf(err) != wire.Conflict {
		t.Errorf("both have the lease: %v", err)
	}
	var both sync.WaitGroup
	for _, each := range []*sequencer.Sequencer{one, two} {
		both.Go(func() {
			for range 20 {
				s.exec("UPDATE audit_lease SET until = '-infinity'") // it expires at the worst times
				if err := each.Round(t.Context()); err != nil && errs.KindOf(err) != wire.Conflict {
					t.Error(err)
				}
			}
		})
	}
	s.write(7, 200)
	both.Wait()
	s.exec("UPDATE audit_lease SET until = '-infinity'")
	s.round()
	for _, l := range []ledger.Log{7, ledger.Logs} {
		if _, err := s.verify(l); err != nil {
			t.Error(err)
		}
	}
	if alarms := append(one.Alarms(), two.Alarms()...); len(alarms) > 0 {
		t.Error(alarms)
	}
}

func TestASequencerThatStopsKeepsTheNextOneFromWaiting(t *testing.T) {
	t.Parallel()
	s := newLogStage(t)
	s.write(0, 1)
	s.round()
	first := s.sequencer
	next := s.restart("two", s.dir)
	if err := next.Round(t.Context()); errs.KindOf(err) != wire.Conflict {
		t.Fatalf("while the first has the lease: %v", err)
	}
	if err := first.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.write(0, 1)
	s.round()
	if err := first.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	if err := first.Round(t.Context()); errs.KindOf(err) != wire.Conflict {
		t.Errorf("who has no lease any more gave it back, and that ended the other's: %v", err)
	}
}

func TestTheServersRoleMayExecuteAndReadAndNothingElse(t *testing.T) {
	t.Parallel()
	s := dbtest.Get(t)
	role := "bulkhead_test_plain_" + strings.ToLower(t.Name()[len(t.Name())-4:])
	admin := s.Admin()
	if _, err := admin.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN CREATEROLE PASSWORD 'plain'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = admin.Exec(context.Background(), "DROP ROLE "+role) })
	address, err := url.Parse(dbtest.NewEmpty(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), "ALTER DATABASE "+strings.Trim(address.Path, "/")+" OWNER TO "+role); err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(role, "plain")
	d, err := db.Open(t.Context(), address.String(), db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.NewAudit(d).Record(t.Context(), audit.New(tester, audit.TicketIssue, 7, audit.Asset{Kind: "realm"})); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"INSERT INTO audit_entry SELECT * FROM audit_entry", "UPDATE audit_entry SET leaf = ''", "DELETE FROM audit_entry", "TRUNCATE audit_entry",
		"ALTER TABLE audit_entry DISABLE TRIGGER ALL", "DELETE FROM audit_leaf", "DELETE FROM audit_personal",
		"SET session_replication_role = replica", "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE sql AS ''", "SELECT setval('audit_sequence', 1)",
	} {
		if _, err := d.Pool().Exec(t.Context(), sql); err == nil || !strings.Contains(fmt.Sprint(err), "42501") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if found, err := db.NewAudit(d).Guards(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("%v %v", found, err)
	}
}

func TestEntriesOfAnOlderDatabaseBecomeLeavesOfVersion1(t *testing.T) {
	t.Parallel()
	d, err := db.Open(t.Context(), dbtest.NewEmpty(t), db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.MigrateTo(t.Context(), 12); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := d.Pool().Exec(t.Context(), `SELECT audit_append(1::smallint, 'apikey', 'k', 'Ann "A" Ä', '192.0.2.1', 'r', 'device.create', 'info', 'done', $1, 'device', 5, 'press', NULL, '{"name" : "press"}')`, int64(7*(i%2))); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := db.NewAudit(d)
	entries, err := log.Entries(t.Context(), audit.Query{Limit: 10})
	if err != nil || len(entries) < 3 {
		t.Fatal(len(entries), err)
	}
	old := entries[len(entries)-2]
	if old.Version != 1 || old.Sequence != 2 || old.Actor.Name != `Ann "A" Ä` || old.Actor.Address != "192.0.2.1" || old.Project != 7 || old.Asset.Name != "press" || string(old.After) != `{"name" : "press"}` {
		t.Errorf("%+v", old)
	}
	s := &logStage{t: t, d: &dbtest.Database{DB: d}, log: log, dir: t.TempDir()}
	s.restart("one", s.dir)
	s.write(7, 1)
	s.round()
	if c, err := s.verify(7); err != nil || c.Size != 2 {
		t.Errorf("%d %v", c.Size, err)
	}
	if found, err := log.Strays(t.Context()); err != nil || len(found) > 0 {
		t.Error(found, err)
	}
}

// BenchmarkEntries writes entries with eight writers while a sequencer signs them, and the same rows with plain INSERTs.
// The ratio is of entries to plain rows.
// The database keeps its promises here, as those of other tests need not: a commit waits for the disk.
func BenchmarkEntries(b *testing.B) {
	s := newDurableStage(b)
	ctx, cancel := context.WithCancel(b.Context())
	var signing sync.WaitGroup
	signing.Go(func() { s.sequencer.Run(ctx) })
	defer signing.Wait()
	defer cancel()
	s.exec(`CREATE TABLE plain AS TABLE audit_entry WITH NO DATA; ALTER TABLE plain ADD PRIMARY KEY (sequence); CREATE INDEX ON plain (log_key, sequence);
		CREATE TABLE plain_personal AS TABLE audit_personal WITH NO DATA; ALTER TABLE plain_personal ADD PRIMARY KEY (sequence); CREATE SEQUENCE plain_sequence`)
	entry := audit.New(tester, audit.DeviceUpdate, 7, audit.Asset{Kind: "device", Key: 8, Name: "press"}).Changed(map[string]string{"title": "old"}, map[string]string{"title": "new"})
	filed, err := entry.File()
	if err != nil {
		b.Fatal(err)
	}
	asPlain := func(ctx context.Context) error {
		return s.d.InTx(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `WITH e AS (INSERT INTO plain VALUES (nextval('plain_sequence'), 7, clock_timestamp(), 'device.update', 'info', 'tester', 'device', 8, 'press', $1) RETURNING sequence)
				INSERT INTO plain_personal SELECT sequence, $2, $3 FROM e`, filed.Body, filed.Personal.Salt, filed.Personal.Data)
			return err
		})
	}
	asEntries := func(ctx context.Context) error { return s.log.Record(ctx, entry) }
	var plain, logged, ratios []float64
	for b.Loop() { // in turns, and in turns which is first: what else the machine does falls on both
		p, l := eight(b, asPlain), eight(b, asEntries)
		l2, p2 := eight(b, asEntries), eight(b, asPlain)
		plain, logged, ratios = append(plain, p, p2), append(logged, l, l2), append(ratios, l/p, l2/p2)
	}
	b.ReportMetric(median(logged), "entries/s")
	b.ReportMetric(median(plain), "plain/s")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(slices.Min(ratios), "ratio-least")
	b.ReportMetric(slices.Max(ratios), "ratio-most")
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

func newDurableStage(b *testing.B) *logStage {
	b.Helper()
	quiet := slog.New(slog.DiscardHandler)
	c, err := cluster.Start(b.Context(), cluster.Config{Dir: b.TempDir(), Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Stop(context.Background()) })
	d, err := db.Open(b.Context(), c.URL(), db.WithLogger(quiet))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.Close)
	if err := d.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	s := &logStage{t: b, d: &dbtest.Database{DB: d}, log: db.NewAudit(d), dir: b.TempDir()}
	s.restart("one", s.dir)
	return s
}

// eight is how often eight writers do it in a second.
func eight(b *testing.B, do func(ctx context.Context) error) float64 {
	const each = 500
	begun := time.Now()
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range each {
				if err := do(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	return 8 * each / time.Since(begun).Seconds()
}
