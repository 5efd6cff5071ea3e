package db_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

func TestMigratingTwiceIsFine(t *testing.T) {
	t.Parallel()
	if err := dbtest.New(t).Migrate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestProcessesThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.NewEmpty(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			d, err := db.Open(t.Context(), url)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close()
			if err := d.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestADatabaseOfANewerVersionIsRefusedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	if _, err := d.Pool().Exec(t.Context(), "INSERT INTO bulkhead.schema_version (version_id, is_applied) VALUES (9999, true)"); err != nil {
		t.Fatal(err)
	}
	err := d.Migrate(t.Context())
	if errs.KindOf(err) != wire.Unavailable || !strings.Contains(errs.UserText(err), "schema version 9999") {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotBeOpenedSaysSoWithoutThePassword(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		url  string
		kind wire.Kind
	}{
		"nobody listens":    {"postgres://u:hunter2@127.0.0.1:1/x", wire.Unavailable},
		"no such socket":    {"postgres://u:hunter2@/x?host=/nonexistent", wire.Unavailable},
		"not a url":         {"postgres://u:hunter2@[/x", wire.Invalid},
		"no such database":  {dbtest.Get(t).URL("nonexistent"), wire.Unavailable},
		"unknown parameter": {dbtest.Get(t).URL("postgres") + "&nonsense=1", wire.Internal},
	} {
		d, err := db.Open(t.Context(), test.url)
		if err == nil {
			d.Close()
		}
		if errs.KindOf(err) != test.kind || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATransactionThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	if _, err := d.Pool().Exec(t.Context(), "CREATE TABLE kept (n int)"); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	insert := func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "INSERT INTO kept VALUES (1)")
		return err
	}
	err := d.InTx(t.Context(), func(tx pgx.Tx) error { return errors.Join(insert(tx), boom) })
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = d.InTx(t.Context(), func(tx pgx.Tx) error { _ = insert(tx); panic(boom) })
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err = d.InTx(ctx, func(tx pgx.Tx) error { defer cancel(); return insert(tx) })
	if errs.KindOf(err) != wire.Canceled {
		t.Errorf("canceled: %v", err)
	}
	var n int
	if err := d.Pool().QueryRow(t.Context(), "SELECT count(*) FROM kept").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
	if err := d.InTx(t.Context(), insert); err != nil {
		t.Error(err)
	}
}

func TestErrorsOfPostgreSQLHaveAKind(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	if _, err := d.Pool().Exec(t.Context(), `CREATE TABLE t (n int CONSTRAINT t_n_key UNIQUE, m int CONSTRAINT t_m_check CHECK (m > 0), o int NOT NULL,
		r int CONSTRAINT t_r_fkey REFERENCES t (n)); INSERT INTO t (n, m, o) VALUES (1, 1, 1)`); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]wire.Kind{
		"INSERT INTO t (n, m, o) VALUES (1, 1, 1)":        wire.Conflict,
		"INSERT INTO t (n, m, o) VALUES (2, 0, 1)":        wire.Invalid,
		"INSERT INTO t (n, m) VALUES (3, 1)":              wire.Invalid,
		"INSERT INTO t (n, m, o, r) VALUES (4, 1, 1, 99)": wire.Conflict,
		"SELECT 'x'::int":                                 wire.Invalid,
		"SELECT * FROM nowhere":                           wire.Internal,
		"SELECT pg_terminate_backend(pg_backend_pid())":   wire.Unavailable,
	} {
		_, err := d.Pool().Exec(t.Context(), sql, pgx.QueryExecModeDescribeExec)
		if err = db.Error("test", err); errs.KindOf(err) != want {
			t.Errorf("%s: %v, is %s, want %s", sql, err, errs.KindOf(err), want)
		}
		if text := errs.UserText(err); strings.ContainsAny(text, `"'`) || strings.Contains(text, "t_") {
			t.Errorf("%s: tells the caller %q", sql, text)
		}
	}
	err := d.Pool().QueryRow(t.Context(), "SELECT 1 WHERE false").Scan(new(int))
	if errs.KindOf(db.Error("test", err)) != wire.NotFound {
		t.Errorf("no row: %v", err)
	}
	if db.Error("test", nil) != nil {
		t.Error("nil is an error")
	}
	if kind := errs.KindOf(db.Error("outer", errs.E(wire.Denied, "no"))); kind != wire.Denied {
		t.Errorf("a known kind became %s", kind)
	}
}

func TestEveryConstraintOfUniquenessAndReferenceTellsACallerWhatItMeans(t *testing.T) {
	t.Parallel()
	rows, err := dbtest.New(t).Pool().Query(t.Context(), `
		SELECT conrelid::regclass || ' ' || conname FROM pg_constraint
		WHERE connamespace = 'bulkhead'::regnamespace AND contype IN ('u', 'f', 'x') AND conrelid <> 'bulkhead.schema_version'::regclass`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, constraint, _ := strings.Cut(name, " "); db.Meaning(constraint) == "" {
			t.Errorf("%s has no text in constraints.go", name)
		}
	}
}
