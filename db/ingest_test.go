package db_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

const dataTemplate = `
data:
  tables:
    - tablename: everything
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: Temp, dataType: numeric}
        - {id: n, dataType: bigint}
        - {id: at, dataType: timestamp}
        - {id: label, dataType: string}
        - {id: "on", dataType: boolean}
        - {id: detail, dataType: json}
    - tablename: machines
      maintainLatestFlagFor: [machine]
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: machine, dataType: string}
        - {id: state, dataType: string}
    - tablename: secrets
      private: true
      columns:
        - {id: tsp, dataType: timestamp}
        - {id: n, dataType: bigint}
`

// place is an installation with its tables, and what writes and reads them.
type place struct {
	*provision.Provisioner
	template  databackend.Template
	placement databackend.Placement
	ingest    *db.Ingest
	history   *db.History
}

func newPlace(t testing.TB, driver databackend.Driver) *place {
	t.Helper()
	template, err := databackend.ParseTemplate("test.yaml", []byte(dataTemplate))
	if err != nil {
		t.Fatal(err)
	}
	p := &place{template: template}
	p.Provisioner = dbtest.NewProvisioner(t, dbtest.New(t), func(c *provision.Config) { c.Driver = driver })
	p.placement, err = p.Provision(t.Context(), realms.OfInstallation(1, 2, wire.Prod), template)
	if err != nil {
		t.Fatal(err)
	}
	p.ingest, p.history = db.NewIngest(p.Provisioner), db.NewHistory(p.Provisioner)
	return p
}

func (p *place) table(name string) databackend.Table {
	t, ok := p.template.Table(name)
	if !ok {
		panic(name)
	}
	return t
}

func (p *place) write(t testing.TB, table string, records ...databackend.Record) error {
	t.Helper()
	return p.ingest.Write(t.Context(), p.placement, p.table(table), records)
}

// ask runs a query as a caller of history.transformed would.
func (p *place) ask(t testing.TB, table string, request map[string]any) []wire.Row {
	t.Helper()
	q, err := databackend.ParseQuery(p.table(table), request)
	if err != nil {
		t.Fatal(err)
	}
	var rows []wire.Row
	err = p.history.Rows(t.Context(), p.placement, q, func(r wire.Row) error { rows = append(rows, r); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func (p *place) count(t testing.TB, table string) int {
	return len(p.ask(t, table, map[string]any{"limit": 10000, "columns": []any{"tsp"}}))
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func everything(seq int64, values ...any) databackend.Record {
	return databackend.Record{Device: 5, AuthID: "dev", Seq: seq, Values: append([]any{noon.Add(time.Duration(seq) * time.Second)}, values...)}
}

func TestRowsOfEveryTypeComeBackAsTheyWereStored(t *testing.T) {
	t.Parallel()
	for _, driver := range []databackend.Driver{databackend.DriverDatabase, databackend.DriverSchema} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, driver)
			full := everything(1, 21.25, int64(-1<<63), noon.Add(time.Microsecond), `it's "ü" \ $1 %`, true, json.RawMessage(`{"a":[1,2.5,"x",null],"big":9007199254740993}`))
			null := everything(2, nil, nil, nil, nil, nil, nil)
			if err := p.write(t, "everything", full, null); err != nil {
				t.Fatal(err)
			}
			want := []wire.Row{
				p.table("everything").Row(null),
				p.table("everything").Row(full),
			}
			if diff := cmp.Diff(want, p.ask(t, "everything", nil)); diff != "" {
				t.Errorf("history differs from what subscribers are told (-told +read):\n%s", diff)
			}
			if got := want[1]["tsp"]; got != uint64(noon.Add(time.Second).UnixMilli()) {
				t.Errorf("tsp is %v", got)
			}
			if diff := cmp.Diff(map[string]any{"a": []any{uint64(1), 2.5, "x", nil}, "big": uint64(9007199254740993)}, want[1]["detail"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARepeatedBatchIsStoredOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	record := func(i int64) databackend.Record {
		return everything(i, float64(i), i, noon, "x", i%2 == 0, json.RawMessage(`{"i":1}`))
	}
	var first, again []databackend.Record
	for i := range int64(100) {
		first = append(first, record(i))
		again = append(again, record(i+50), record(i+50)) // half known, each twice in the batch too
	}
	for _, batch := range [][]databackend.Record{first, first, again} {
		if err := p.write(t, "everything", batch...); err != nil {
			t.Fatal(err)
		}
	}
	rows := p.ask(t, "everything", map[string]any{"limit": 10000})
	if len(rows) != 150 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows {
		if diff := cmp.Diff(p.table("everything").Row(record(int64(149-i))), row); diff != "" {
			t.Fatalf("row %d: %s", i, diff)
		}
	}
}

func TestWhatTheDatabaseRefusesIsToldApart(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	kind := func(err error) databackend.FaultKind {
		var fault *databackend.WriteFault
		if !errors.As(err, &fault) {
			return 0
		}
		return fault.Kind
	}
	bad := everything(1, nil, nil, nil, "nul \x00 here", nil, nil)
	err := p.write(t, "everything", everything(0, nil, nil, nil, "fine", nil, nil), bad)
	if kind(err) != databackend.RowFault || strings.Contains(err.(*databackend.WriteFault).Reason, "nul") {
		t.Errorf("a row that does not fit: %v", err)
	}
	if n := p.count(t, "everything"); n != 0 {
		t.Errorf("%d rows of a refused batch are stored", n)
	}
	gone := p.placement
	gone.RW = "p_nobody_rw"
	if err := p.ingest.Write(t.Context(), gone, p.table("everything"), []databackend.Record{bad}); kind(err) != databackend.RightFault {
		t.Errorf("a role that is gone: %v", err)
	}
	reader := p.placement
	reader.RW = p.placement.RO
	if err := p.ingest.Write(t.Context(), reader, p.table("everything"), []databackend.Record{bad}); kind(err) != databackend.RightFault {
		t.Errorf("a role that may not write: %v", err)
	}
	elsewhere := p.placement
	elsewhere.Database = "no_such_database"
	if err := p.ingest.Write(t.Context(), elsewhere, p.table("everything"), []databackend.Record{bad}); kind(err) != databackend.RightFault {
		t.Errorf("a database that is gone: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.ingest.Write(ended, p.placement, p.table("everything"), []databackend.Record{bad}); err == nil || kind(err) != 0 {
		t.Errorf("an ended context: %v", err)
	}
}

func TestHistoryCannotWriteAndIngestCannotReachBeyondItsInstallation(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverSchema)
	other, err := p.Provision(t.Context(), realms.OfInstallation(9, 2, wire.Prod), p.template)
	if err != nil {
		t.Fatal(err)
	}
	mixed := p.placement
	mixed.Schema = other.Schema
	if err := p.ingest.Write(t.Context(), mixed, p.table("everything"), []databackend.Record{everything(1, nil, nil, nil, nil, nil, nil)}); err == nil {
		t.Error("one installation's role writes into another's schema")
	}
	q, _ := databackend.ParseQuery(p.table("everything"), nil)
	if err := p.history.Rows(t.Context(), mixed, q, func(wire.Row) error { return nil }); err == nil {
		t.Error("one installation's role reads another's schema")
	}
}

func TestAnExportHasEveryRowInTheOrderOfTime(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	if err := p.write(t, "everything", everything(2, 1.5, nil, nil, `a "b", c`, true, json.RawMessage(`{"x": 1}`)), everything(1, nil, nil, nil, nil, nil, nil)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.history.Export(t.Context(), p.placement, p.table("everything"), &b); err != nil {
		t.Fatal(err)
	}
	want := "tsp,device_key,authid,Temp,n,at,label,on,detail\n" +
		"2026-03-01 12:00:01+00,5,dev,,,,,,\n" +
		"2026-03-01 12:00:02+00,5,dev,1.5,,,\"a \"\"b\"\", c\",t,\"{\"\"x\"\": 1}\"\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestReadersNeverKeepWritersOut(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	if err := p.write(t, "everything", everything(1, nil, nil, nil, nil, nil, nil)); err != nil {
		t.Fatal(err)
	}
	q, _ := databackend.ParseQuery(p.table("everything"), nil)
	ctx, cancel := context.WithCancel(t.Context())
	hold := make(chan struct{})
	reading, ended := make(chan struct{}, 20), make(chan error, 20)
	for range 20 {
		go func() {
			ended <- p.history.Rows(ctx, p.placement, q, func(wire.Row) error {
				reading <- struct{}{}
				<-hold
				return nil
			})
		}()
	}
	<-reading
	<-reading // as many as may read at once
	if err := p.write(t, "everything", everything(2, nil, nil, nil, nil, nil, nil)); err != nil {
		t.Errorf("a write beside 20 slow readers: %v", err)
	}
	cancel()
	close(hold)
	for range 20 {
		<-ended
	}
	if len(reading) != 0 {
		t.Errorf("%d more readers at once", len(reading))
	}
}

func TestAQueryThatTakesTooLongIsEnded(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	db.SetHistoryTimeout(p.history, 100*time.Millisecond)
	// A lock stands in for a query that takes long: the statement waits until its time is up.
	admin, err := pgx.Connect(t.Context(), dbtest.Get(t).URL(p.placement.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	table := pgx.Identifier{p.placement.Schema, "everything"}.Sanitize()
	if _, err := admin.Exec(t.Context(), "BEGIN; LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	q, err := databackend.ParseQuery(p.table("everything"), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = p.history.Rows(t.Context(), p.placement, q, func(wire.Row) error { return nil })
	if errs.KindOf(err) != wire.Unavailable || !strings.Contains(errs.UserText(err), "ask for less time") {
		t.Errorf("got %v", err)
	}
}

func TestLateRowsReachCompressedChunksOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, databackend.DriverDatabase)
	if !p.placement.Timescale {
		t.Skip("the server has no TimescaleDB")
	}
	admin, err := pgx.Connect(t.Context(), dbtest.Get(t).URL(p.placement.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	var records, first []databackend.Record
	for i := range int64(5000) {
		r := everything(i, float64(i), i, nil, "x", nil, nil)
		if records = append(records, r); i%2 == 0 {
			first = append(first, r)
		}
	}
	if err := p.write(t, "everything", first...); err != nil {
		t.Fatal(err)
	}
	table := pgx.Identifier{p.placement.Schema, "everything"}.Sanitize()
	for _, sql := range []string{
		"ALTER TABLE " + table + " SET (timescaledb.compress, timescaledb.compress_segmentby = 'device_key')",
		"SELECT public.compress_chunk(c) FROM public.show_chunks('" + table + "') c",
		"ALTER DATABASE " + p.placement.Database + " SET timescaledb.max_tuples_decompressed_per_dml_transaction = 10",
	} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	pool, err := p.Pool(t.Context(), p.placement.Database)
	if err != nil {
		t.Fatal(err)
	}
	pool.Reset() // connections that know the new limit
	if err := p.write(t, "everything", records...); err != nil {
		t.Fatal(err)
	}
	if n := p.count(t, "everything"); n != 5000 {
		t.Errorf("%d rows", n)
	}
}
