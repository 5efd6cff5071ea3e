package provision_test

import (
	"testing"
	"time"
)

// sizes measures the installation of a bench, as the quota does.
func (b *bench) sizes() int64 {
	b.t.Helper()
	places, err := b.p.Places(b.t.Context())
	if err != nil || len(places) != 1 || places[0].Project != 11 || places[0].Database != b.placed.Database || places[0].Size < 1<<20 {
		b.t.Fatalf("places %+v, %v", places, err)
	}
	sizes, err := b.p.Sizes(b.t.Context(), b.placed.Database)
	if err != nil || len(sizes) != 1 {
		b.t.Fatalf("sizes %v, %v", sizes, err)
	}
	return sizes[11]
}

// every gives n times from a time on, a second apart.
func every(from time.Time, n int) (times []time.Time) {
	for i := range n {
		times = append(times, from.Add(time.Duration(i)*time.Second))
	}
	return times
}

func TestASizeHasAllThatBelongsToATableAndShrinksWithIt(t *testing.T) {
	template := metrics()
	template.Tables[0].ChunkInterval, template.Tables[0].DropAfter = day, 30*day
	template.Tables[0].Columnstore, template.Tables[0].ColumnstoreAfter = true, 2*day
	keepers(t, template, func(t *testing.T, b *bench) {
		empty := b.sizes()
		b.insert(every(noon, 5000)...)
		full := b.sizes()
		// Each row has a head, 24 bytes of what every row has, and an entry in each of two indexes.
		if got := full - empty; got < 5000*80 || got > 5000*400 {
			t.Errorf("5000 rows take %d bytes", got)
		}
		b.clock.Set(noon.Add(10 * day))
		b.maintain() // rows became columns, where there are any; those are in a schema of TimescaleDB
		var all int64
		if err := b.conn.QueryRow(t.Context(), `SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind = 'r' AND (n.nspname = $1 OR n.nspname = '_timescaledb_internal' AND c.relname ~ 'compress')`, b.placed.Schema).Scan(&all); err != nil {
			t.Fatal(err)
		}
		if got := b.sizes(); got != all {
			t.Errorf("%d bytes of %d", got, all)
		}
		b.clock.Set(noon.Add(60 * day))
		b.maintain()
		if got := b.sizes(); got > empty+200<<10 {
			t.Errorf("%d bytes are left of %d when all rows are too old, and %d were there before them", got, full, empty)
		}
	})
}
