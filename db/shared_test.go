package db_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/db/dbtest"
	"bulkhead/realms"
	"bulkhead/wire"
)

// A neighbour is another project in the same database.
func (p *place) neighbour(t *testing.T) databackend.Placement {
	t.Helper()
	placed, err := p.Provision(t.Context(), realms.OfInstallation(3, 4, wire.Prod), p.template)
	if err != nil {
		t.Fatal(err)
	}
	if placed.Database != p.placement.Database {
		t.Fatal("the projects have databases of their own")
	}
	return placed
}

// slowReader takes nothing until it is let.
type slowReader struct{ let <-chan struct{} }

func (r slowReader) Write(b []byte) (int, error) {
	<-r.let
	return len(b), nil
}

func TestAProjectsSlowReadersKeepNoOtherProjectFromReading(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverSchema)
	other := p.neighbour(t)
	table := p.table("machines")
	if err := p.ingest.Write(t.Context(), p.placement, table, machines(1)); err != nil {
		t.Fatal(err)
	}
	let := make(chan struct{})
	var readers sync.WaitGroup
	defer readers.Wait()
	defer close(let)
	for range 8 {
		readers.Go(func() {
			if err := p.history.Export(t.Context(), p.placement, table, slowReader{let}); err != nil {
				t.Error(err)
			}
		})
	}
	p.until(t, "SELECT count(*) >= 2 FROM pg_stat_activity WHERE query LIKE 'COPY (%'")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 5 {
		q := databackend.Query{Selection: databackend.Selection{Table: table}, Limit: 1}
		if err := p.history.Rows(ctx, other, q, func(wire.Row) error { return nil }); err != nil {
			t.Fatalf("another project waits for them: %v", err)
		}
	}
}

func TestAProjectThatLocksItsOwnRowsKeepsNoOtherProjectFromWriting(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverSchema)
	other := p.neighbour(t)
	table := p.table("machines")
	held := p.login(t)
	if _, err := held.Exec(t.Context(), "BEGIN; INSERT INTO "+pgx.Identifier{p.placement.Schema, "machines"}.Sanitize()+
		" (tsp, device_key, seq) SELECT '2026-01-01', 1, n FROM generate_series(0, 99) n"); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	defer writers.Wait()
	defer func() {
		if _, err := held.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
	}()
	for i := range int64(40) { // each holds its connection until the database waits no longer
		writers.Go(func() {
			if err := p.ingest.Write(t.Context(), p.placement, table, machines(i)); err != nil {
				t.Log(err)
			}
		})
	}
	p.until(t, "SELECT count(*) >= 2 FROM pg_stat_activity WHERE query LIKE 'copy %' AND wait_event_type = 'Lock'")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range int64(5) {
		if err := p.ingest.Write(ctx, other, table, machines(i)); err != nil {
			t.Fatalf("another project waits for it: %v", err)
		}
	}
}

// machines is a record that is told from others by its number.
func machines(seq int64) []databackend.Record {
	return []databackend.Record{{Device: 1, Seq: seq, Values: []any{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "m", "on"}}}
}

// login connects as the installation's own login.
func (p *place) login(t *testing.T) *pgx.Conn {
	t.Helper()
	c, err := p.Credentials(t.Context(), realms.OfInstallation(1, 2, wire.Prod))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(dbtest.Get(t).URL(c.Database))
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(c.RW.Role, string(c.RW.Password.Reveal()))
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// until asks the installation's database until it says yes.
func (p *place) until(t *testing.T, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dbtest.Get(t).URL(p.placement.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for done := false; !done; {
		if err := conn.QueryRow(t.Context(), sql+" AND datname = current_database()").Scan(&done); err != nil {
			t.Fatal(err)
		}
	}
}
