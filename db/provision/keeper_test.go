package provision_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
	"bulkhead/internal/clocktest"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// bench is an installation with a clock of its own.
type bench struct {
	t      *testing.T
	clock  *clocktest.Clock
	p      *provision.Provisioner
	placed databackend.Placement
	conn   *pgx.Conn // of the superuser
	table  string
}

var (
	noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) // a Wednesday
	day  = 24 * time.Hour
)

// keepers runs a test over native partitions, and over hypertables where the server has TimescaleDB.
func keepers(t *testing.T, template databackend.Template, test func(t *testing.T, b *bench)) {
	t.Parallel()
	t.Run("native", func(t *testing.T) {
		t.Parallel()
		test(t, newBench(t, template, true))
	})
	t.Run("timescale", func(t *testing.T) {
		t.Parallel()
		if !dbtest.Get(t).Timescale() {
			t.Skip("the server has no TimescaleDB")
		}
		test(t, newBench(t, template, false))
	})
}

// newBench has a template provisioned, over native partitions or hypertables.
func newBench(t *testing.T, template databackend.Template, native bool) *bench {
	t.Helper()
	d := dbtest.New(t)
	b := &bench{t: t, clock: clocktest.At(noon)}
	b.p = dbtest.NewProvisioner(t, d, func(c *provision.Config) { c.NoTimescale, c.Now = native, b.clock.Now })
	placed, err := b.p.Provision(t.Context(), installation(11, 22), template)
	if err != nil {
		t.Fatal(err)
	}
	if placed.Timescale == native {
		t.Fatalf("placement %+v", placed)
	}
	b.placed, b.conn, b.table = placed, super(t, d, placed.Database), pgx.Identifier{placed.Schema, "metrics"}.Sanitize()
	return b
}

// insert adds a row of each time, as ingest does.
func (b *bench) insert(times ...time.Time) {
	b.t.Helper()
	pool, err := b.p.Pool(b.t.Context(), b.placed.Database)
	if err != nil {
		b.t.Fatal(err)
	}
	err = pgx.BeginFunc(b.t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(b.t.Context(), "SET LOCAL ROLE "+b.placed.RW); err != nil {
			return err
		}
		var rows [][]any
		for i, at := range times {
			rows = append(rows, []any{at, int64(1), int64(i)})
		}
		_, err := tx.CopyFrom(b.t.Context(), pgx.Identifier{b.placed.Schema, "metrics"}, []string{"tsp", "device_key", "seq"}, pgx.CopyFromRows(rows))
		return err
	})
	if err != nil {
		b.t.Errorf("insert: %v", err)
	}
}

func (b *bench) maintain() {
	b.t.Helper()
	if err := b.p.Maintain(b.t.Context()); err != nil {
		b.t.Error(err)
	}
}

func (b *bench) times() []time.Time {
	b.t.Helper()
	rows, err := b.conn.Query(b.t.Context(), "SELECT tsp FROM "+b.table+" ORDER BY tsp, seq")
	if err != nil {
		b.t.Fatal(err)
	}
	times, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range times {
		times[i] = times[i].UTC()
	}
	return times
}

func (b *bench) count(sql string, args ...any) int {
	b.t.Helper()
	var n int
	if err := b.conn.QueryRow(b.t.Context(), sql, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bench) want(times ...time.Time) {
	b.t.Helper()
	if got := b.times(); !slices.EqualFunc(got, times, time.Time.Equal) {
		b.t.Errorf("rows\n%v, want\n%v", got, times)
	}
}

func TestNoRowIsRefusedForItsTime(t *testing.T) {
	keepers(t, metrics(), func(t *testing.T, b *bench) {
		times := []time.Time{
			time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), noon.Add(-3 * 365 * day), noon.Add(-40 * day), noon.Add(-time.Second), noon,
			noon.Add(30 * day), noon.Add(900 * day), time.Date(2199, 12, 31, 23, 59, 59, 0, time.UTC),
		}
		b.insert(times...)
		b.want(times...)
		b.maintain()
		b.want(times...)
		b.clock.Set(noon.Add(30 * day))
		b.maintain()
		b.want(times...)
	})
}

func TestOldRowsGoWhenTheTemplateSaysSo(t *testing.T) {
	template := metrics()
	template.Tables[0].ChunkInterval, template.Tables[0].DropAfter = day, 3*day
	keepers(t, template, func(t *testing.T, b *bench) {
		young := []time.Time{noon.Add(-2 * day), noon.Add(-day), noon}
		b.insert(append([]time.Time{noon.Add(-50 * day), noon.Add(-5 * day)}, young...)...)
		b.maintain()
		b.want(young...)
		b.clock.Set(noon.Add(2 * day))
		b.maintain()
		b.want(young[1:]...) // a chunk goes when all of it is old enough
		b.clock.Set(noon.Add(30 * day))
		b.maintain()
		b.want()
	})
}

func TestWithoutARuleNothingGoes(t *testing.T) {
	keepers(t, metrics(), func(t *testing.T, b *bench) {
		b.insert(noon)
		b.clock.Set(noon.Add(1000 * day))
		b.maintain()
		b.want(noon)
	})
}

func TestRowsKeepTheirKeyAcrossUpkeep(t *testing.T) {
	keepers(t, metrics(), func(t *testing.T, b *bench) {
		late := noon.Add(-100 * day)
		b.insert(late)
		b.maintain()
		_, err := b.conn.Exec(t.Context(), "INSERT INTO "+b.table+" (tsp, device_key, seq) VALUES ($1, 1, 0)", late)
		if err == nil {
			t.Error("the same row is stored twice")
		}
		tag, err := b.conn.Exec(t.Context(), "INSERT INTO "+b.table+" (tsp, device_key, seq) VALUES ($1, 1, 0) ON CONFLICT DO NOTHING", late)
		if err != nil || tag.RowsAffected() != 0 {
			t.Errorf("a repeated row: %v, %v", tag, err)
		}
	})
}

func TestAnUpgradeAddsAndLosesNothing(t *testing.T) {
	keepers(t, metrics(), func(t *testing.T, b *bench) {
		b.insert(noon.Add(-100*day), noon)
		next := metrics()
		next.Tables[0].Columns = append(next.Tables[0].Columns, databackend.Column{ID: "added", Type: databackend.String})
		next.Tables[0].DropAfter, next.Tables[0].ChunkInterval = 365*day, day
		next.Tables[0].Columnstore = true
		next.Tables = append(next.Tables, databackend.Table{Name: "alarms", Columns: []databackend.Column{{ID: "tsp", Type: databackend.Timestamp}}})
		r := installation(11, 22)
		for range 2 {
			placed, err := b.p.Upgrade(t.Context(), r, next)
			if err != nil || placed.Template != 2 {
				t.Fatalf("%+v %v", placed, err)
			}
		}
		b.maintain()
		b.insert(noon.Add(time.Second))
		b.want(noon.Add(-100*day), noon, noon.Add(time.Second))
		if b.count("SELECT count(added) FROM "+b.table) != 0 || b.count("SELECT count(*) FROM "+b.placed.Schema+".alarms") != 0 {
			t.Error("not empty")
		}
		less := metrics()
		less.Tables[0].Columns = less.Tables[0].Columns[:2]
		less.Tables[0].Columns[1].Type = databackend.JSON
		_, err := b.p.Upgrade(t.Context(), r, less)
		if errs.KindOf(err) != wire.Conflict || errs.UserText(err) == "" {
			t.Errorf("a template that loses columns: %v", err)
		}
		t.Log(errs.UserText(err))
		b.want(noon.Add(-100*day), noon, noon.Add(time.Second))
	})
}

// Hypertables have no default partition.
func TestUpkeepMovesRowsOutOfTheDefaultPartition(t *testing.T) {
	t.Parallel()
	b := newBench(t, metrics(), true)
	in := func(part string) int {
		return b.count("SELECT count(*) FROM " + pgx.Identifier{b.placed.Schema, part}.Sanitize())
	}
	late, future, ancient := noon.Add(-40*day), noon.Add(40*day), noon.Add(-2000*day)
	b.insert(ancient, late, noon, future)
	if n := in("_metrics_default"); n != 3 {
		t.Errorf("%d rows in the default partition", n)
	}
	b.maintain()
	if n := in("_metrics_default"); n != 2 {
		t.Errorf("%d rows in the default partition after upkeep", n)
	}
	b.clock.Set(noon.Add(35 * day))
	b.maintain()
	if n := in("_metrics_default"); n != 1 {
		t.Errorf("%d rows in the default partition when the future is near", n)
	}
	b.want(ancient, late, noon, future)
	for _, owner := range []string{"_metrics_default", "_metrics_20260302t000000"} {
		if b.count("SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = $2 AND tableowner = $3", b.placed.Schema, owner, b.placed.Owner) != 1 {
			t.Errorf("%s does not belong to %s", owner, b.placed.Owner)
		}
	}
}

func TestIngestGoesOnDuringUpkeep(t *testing.T) {
	template := metrics()
	template.Tables[0].ChunkInterval = time.Hour
	keepers(t, template, func(t *testing.T, b *bench) {
		begin := noon.Add(-19 * time.Hour)
		var all sync.WaitGroup
		stop := make(chan struct{})
		written := 0
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				b.insert(begin.Add(time.Duration(i) * time.Minute))
				written++
			}
		})
		for range 5 {
			b.maintain()
		}
		close(stop)
		all.Wait()
		if n := b.count("SELECT count(*) FROM " + b.table); n != written || n == 0 {
			t.Errorf("%d rows of %d", n, written)
		}
	})
}

func TestOldChunksBecomeColumnsAndReadTheSame(t *testing.T) {
	template := metrics()
	template.Tables[0].ChunkInterval, template.Tables[0].Columnstore, template.Tables[0].ColumnstoreAfter = day, true, 2*day
	keepers(t, template, func(t *testing.T, b *bench) {
		times := []time.Time{noon.Add(-10 * day), noon.Add(-10*day + time.Hour), noon}
		b.insert(times...)
		b.maintain()
		b.want(times...)
		if b.placed.Timescale {
			if n := b.count("SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_schema = $1 AND is_compressed", b.placed.Schema); n != 1 {
				t.Errorf("%d chunks are columns", n)
			}
		}
		b.insert(noon.Add(-10*day + 2*time.Hour))
		b.maintain()
		b.want(times[0], times[1], noon.Add(-10*day+2*time.Hour), times[2])
	})
}
