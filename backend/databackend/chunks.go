package databackend

import (
	"fmt"
	"slices"
	"time"
)

// MaxChunks is how many chunks of its table a submission, and a transaction that stores some, may reach. A transaction
// locks each chunk that it makes or writes in a table of locks that all tenants of the database server share.
const MaxChunks = 200

// DefaultChunkInterval is the time that a chunk covers where the template does not say: 52 a year keep plans short.
const DefaultChunkInterval = 7 * 24 * time.Hour

// chunkOrigins are where databases count chunks from, in microseconds since 1970: TimescaleDB from 1970, our partitions
// and calendars of newer TimescaleDB from a Monday, 2001-01-01.
var chunkOrigins = [...]int64{0, time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()}

// reach is the chunks of a table that some rows fall into. Make one with newReach.
type reach struct {
	tsp    int   // index of the column
	length int64 // of a chunk in microseconds
	last   [len(chunkOrigins)]int64
	seen   [len(chunkOrigins)]map[int64]struct{}
}

func newReach(t Table) *reach {
	r := &reach{tsp: t.index(ColumnTime), length: chunkInterval(t).Microseconds()}
	for i := range r.seen {
		r.seen[i] = map[int64]struct{}{}
	}
	return r
}

func chunkInterval(t Table) time.Duration {
	if t.ChunkInterval <= 0 {
		return DefaultChunkInterval
	}
	return t.ChunkInterval
}

func (r *reach) add(records []Record) {
	for _, record := range records {
		at, ok := record.Values[r.tsp].(time.Time)
		if !ok {
			continue // the database refuses it
		}
		for i, origin := range chunkOrigins {
			n := floorDiv(at.UnixMicro()-origin, r.length)
			if n != r.last[i] || len(r.seen[i]) == 0 { // rows of one chunk come together mostly
				r.last[i] = n
				r.seen[i][n] = struct{}{}
			}
		}
	}
}

func floorDiv(a, b int64) int64 {
	n := a / b
	if a < 0 && a%b != 0 {
		n--
	}
	return n
}

// chunks is how many there are, wherever the database counts from.
func (r *reach) chunks() int {
	most := 0
	for _, seen := range r.seen {
		most = max(most, len(seen))
	}
	return most
}

// checkReach refuses rows of one submission that fall into more chunks than a transaction may reach.
func checkReach(t Table, records []Record) error {
	if len(records) <= MaxChunks {
		return nil
	}
	r := newReach(t)
	for part := range slices.Chunk(records, MaxChunks) {
		if r.add(part); r.chunks() > MaxChunks {
			return invalidRow(fmt.Sprintf("tsp: the rows fall into more than %d chunks of %s each: order them by time and send them in parts",
				MaxChunks, chunkInterval(t)))
		}
	}
	return nil
}

// withinReach cuts items of a table, each within reach, into parts that are as well, in order. No item is cut.
func withinReach(t Table, items []item) (parts [][]item) {
	from, r := 0, newReach(t)
	for i, it := range items {
		if r.add(it.records); r.chunks() <= MaxChunks {
			continue
		}
		if i > from {
			parts = append(parts, items[from:i:i])
		}
		from, r = i, newReach(t)
		r.add(it.records)
	}
	return append(parts, items[from:])
}
