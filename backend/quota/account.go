package quota

import (
	"sync"
	"sync/atomic"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

type counter = atomic.Uint64

// account is what is known of one project. Between two measurements it counts what is taken: a row that is being written
// while the tables are measured counts twice until the next time, and none is forgotten. What is not counted is what comes
// by logins of the project's own, and what a crash cuts off.
type account struct {
	mu       sync.Mutex // guards what follows
	name     string
	limit    int64 // bytes; 0: none
	own      bool  // the limit is the project's, not the default
	level    Level // as it is on record
	measured Measured
	recorded int64 // bytes of recordings, which have quotas of their own
	share    int64 // bytes that it may have whatever the others store
	since    int64 // estimate of what was kept since
	pending  int64 // estimate of what was taken and is not kept yet
	refused  bool  // something was, since the level was looked at
	refusals uint64
}

// read takes over what is kept. A measurement of this process is newer than the kept one.
func (a *account) read(r Record, standard int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.name, a.limit, a.own, a.level, a.recorded = r.Name, standard, r.Quota != nil, r.Level, r.Recorded
	if a.own {
		a.limit = *r.Quota
	}
	if a.measured.At.Before(r.Measured.At) {
		a.measured = r.Measured
	}
}

// used is an estimate of what is stored. The caller holds mu.
func (a *account) used() int64 { return a.measured.Tables + a.measured.Disk + a.since + a.pending }

// idle says that the project was kept once, and that nothing is on its way now.
func (a *account) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.name != "" && a.pending == 0
}

// errFull is what a publisher reads. Numbers are for those who may see the project's storage.
var errFull = &errs.Error{
	Kind: wire.Exhausted, URI: wire.ErrStorageFull,
	User: "the project's storage quota is used up: rows are taken again when older ones are deleted or the quota is raised",
}

// Take counts bytes that are about to be kept for a project, or refuses them.
func (q *Quotas) Take(project wire.Key, bytes int64) error {
	if q.room.short.Load() {
		return errShort
	}
	a := q.account(project)
	a.mu.Lock()
	defer a.mu.Unlock()
	if q.room.tight.Load() && a.beyond(q.Elsewhere, bytes) {
		return errShort
	}
	if a.limit > 0 && a.used()+bytes > a.limit {
		a.refusals++
		if !a.refused && a.level != Full {
			q.Wake() // so that it is soon on record
		}
		a.refused = true
		return errFull
	}
	a.pending += bytes
	return nil
}

// Settle tells what became of bytes that were taken.
func (q *Quotas) Settle(project wire.Key, bytes int64, kept bool) {
	a := q.account(project)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending -= bytes
	if kept {
		a.since += bytes
	}
}

// begin is called before a measurement begins, and gives what the measurement will have counted.
func (a *account) begin() (counted int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.since
}

// finish takes over a measurement.
func (a *account) finish(m Measured, counted int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.measured, a.since = m, a.since-counted
}
