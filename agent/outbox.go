package agent

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"

	"bulkhead/wire"
)

// Bounds of what waits for an acknowledgement while the router is away.
const (
	outboxBytes   = 2 << 20   // of one publication
	outboxAge     = 3_600_000 // milliseconds
	budgetBytes   = 6 << 20   // of all publications together
	entryOverhead = 64        // of a row in memory, beside its text
)

// budget bounds what all outboxes of an agent hold together.
type budget struct{ used atomic.Int64 }

// entry is one row that is not acknowledged yet. Its seq and tsp stay the same however often it is sent: the server stores
// it once.
type entry struct {
	seq uint64
	tsp int64
	row json.RawMessage
}

func (e entry) size() int { return len(e.row) + entryOverhead }

// outbox keeps the rows of one publication, in order, until they are acknowledged. Where there is no room it gives up the
// oldest, and counts.
type outbox struct {
	budget *budget
	added  chan struct{} // has a token when there is something new

	mu      sync.Mutex // guards what follows
	seq     uint64
	entries []entry
	bytes   int
	dropped uint64
	refused uint64
}

func newOutbox(b *budget) *outbox {
	return &outbox{budget: b, added: make(chan struct{}, 1), seq: firstSeq()}
}

// firstSeq draws where a process begins to count: below 2^52, so that it stays below 2^53 for ever, and so far from where
// others began that no number comes twice.
func firstSeq() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return binary.BigEndian.Uint64(b[:]) >> 12
}

// add takes a row of the time tsp, and tells how many it had to give up.
func (o *outbox) add(row wire.Row, tsp int64) (lost uint64, err error) {
	row["tsp"] = tsp
	text, err := json.Marshal(row)
	if err != nil {
		return 0, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seq++
	e := entry{o.seq, tsp, text}
	o.entries = append(o.entries, e)
	o.count(e.size())
	for len(o.entries) > 1 && o.full(tsp) {
		o.count(-o.entries[0].size())
		o.entries = slices.Delete(o.entries, 0, 1)
		lost++
	}
	o.dropped += lost
	select {
	case o.added <- struct{}{}:
	default:
	}
	return lost, nil
}

// full reports whether the oldest entry must go. The caller holds mu.
func (o *outbox) full(now int64) bool {
	return o.bytes > outboxBytes || o.budget.used.Load() > budgetBytes || now-o.entries[0].tsp > outboxAge
}

func (o *outbox) count(bytes int) {
	o.bytes += bytes
	o.budget.used.Add(int64(bytes))
}

// oldest gives up to n rows, oldest first, and keeps them.
func (o *outbox) oldest(n int) []entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.entries[:min(n, len(o.entries))])
}

// remove takes out a row that is acknowledged, or refused for good.
func (o *outbox) remove(seq uint64, refused bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.entries, func(e entry) bool { return e.seq == seq })
	if i < 0 {
		return // given up meanwhile
	}
	o.count(-o.entries[i].size())
	o.entries = slices.Delete(o.entries, i, i+1)
	if refused {
		o.refused++
	}
}

// tally is what became of the rows.
type tally struct {
	buffered         int
	dropped, refused uint64
}

func (o *outbox) tally() tally {
	o.mu.Lock()
	defer o.mu.Unlock()
	return tally{len(o.entries), o.dropped, o.refused}
}

// discard gives the room back.
func (o *outbox) discard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count(-o.bytes)
	o.entries = nil
}
