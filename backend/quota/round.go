package quota

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// Times of Run.
const (
	every  = 20 * time.Second // and up to as much again, so that servers with one database server do not measure together
	apart  = 5 * time.Second  // between rounds that were asked for
	oldest = 15 * time.Minute // age of a measurement of what has not changed
)

// leastChange is by how many bytes a database must have changed to be measured again.
const leastChange = 1 << 20

// Wake has the next round come soon.
func (q *Quotas) Wake() {
	select {
	case q.wake <- struct{}{}:
	default: // has a token already
	}
}

// Run measures until ctx ends, at once and then again and again.
func (q *Quotas) Run(ctx context.Context) {
	for {
		if err := q.Round(ctx); err != nil && ctx.Err() == nil {
			q.Log.WarnContext(ctx, "what projects store cannot be measured: what came since the last time is counted", logkey.Error, err)
		}
		if !q.rest(ctx) {
			return
		}
	}
}

// rest waits for the next round, and reports whether there is one.
func (q *Quotas) rest(ctx context.Context) bool {
	if !pause(ctx, apart, nil) {
		return false
	}
	return pause(ctx, every-apart+rand.N(every), q.wake)
}

// pause waits for a while or to be woken, and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer.C:
	}
	return true
}

// Round reads the quotas, measures what may have changed, puts on record who has passed a level, and closes the tables of
// those that are full to who writes by logins of their own.
func (q *Quotas) Round(ctx context.Context) error {
	if err := q.Load(ctx); err != nil {
		return err
	}
	places, err := q.Tables.Places(ctx)
	exported, errExports := q.Disk.Exported()
	if err := errors.Join(err, errExports); err != nil {
		q.failures.Add(1)
		return errors.Join(err, q.noteAll(ctx))
	}
	left := q.Left()
	if left.Short { // logins are what still writes: they go first, and what they have written is measured later
		return errors.Join(q.closeTables(ctx, places), q.noteAll(ctx))
	}
	var closed error
	if left.Tight { // the same, of those who are known to be beyond their shares
		closed = q.closeTables(ctx, places)
	}
	measured := round{q, places, exported}.measureAll(ctx)
	q.Look(ctx) // what was measured may change the shares
	return errors.Join(closed, measured, q.noteAll(ctx), q.closeTables(ctx, places))
}

func (q *Quotas) noteAll(ctx context.Context) error {
	var failed []error
	for project, a := range q.all() {
		failed = append(failed, q.note(ctx, project, a))
	}
	return errors.Join(failed...)
}

// closeTables closes what logins write into where the project, or the disk for it, is full, and opens it where that is no
// longer so. It may be asked twice with the same places.
func (q *Quotas) closeTables(ctx context.Context, places []Place) error {
	left := q.Left()
	var failed []error
	for i := range places {
		p := &places[i]
		a := q.account(p.Project)
		full := left.Short || a.full() || left.Tight && a.crowds(q.Elsewhere, p.ReadOnly)
		if full == p.ReadOnly && !p.Mixed {
			continue
		}
		err := q.Tables.SetReadOnly(ctx, p.Project, full)
		if err == nil {
			p.ReadOnly, p.Mixed = full, false
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// all is a copy of what is known.
func (q *Quotas) all() map[wire.Key]*account {
	q.mu.RLock()
	defer q.mu.RUnlock()
	all := make(map[wire.Key]*account, len(q.accounts))
	for project, a := range q.accounts {
		all[project] = a
	}
	return all
}

// visit is a database that should be measured.
type visit struct {
	database string
	places   []Place
	share    float64 // of its quota, that the fullest project has used
	due      bool
}

// round measures the databases that are due, those with the fullest projects first.
type round struct {
	*Quotas
	places   []Place
	exported map[wire.Key]int64
}

func (r round) onDisk(project wire.Key) int64 { return r.Disk.Waiting(project) + r.exported[project] }

func (r round) visits() []*visit {
	by := map[string]*visit{}
	for _, p := range r.places {
		v := by[p.Database]
		if v == nil {
			v = &visit{database: p.Database}
			by[p.Database] = v
		}
		due, share := r.account(p.Project).due(p, r.onDisk(p.Project), r.Now())
		v.places, v.share, v.due = append(v.places, p), max(v.share, share), v.due || due
	}
	list := slices.DeleteFunc(slices.Collect(maps.Values(by)), func(v *visit) bool { return !v.due })
	slices.SortFunc(list, func(a, b *visit) int { return cmp.Compare(b.share, a.share) })
	return list
}

// measureAll measures one database after the other. Where one cannot be measured it goes on with the others.
func (r round) measureAll(ctx context.Context) error {
	var failed []error
	for _, v := range r.visits() {
		if err := r.measure(ctx, v); err != nil {
			r.failures.Add(1)
			failed = append(failed, err)
		}
	}
	return errors.Join(append(failed, r.forgetTables(ctx))...)
}

// due says whether the tables of a project should be measured: they never were or long ago, or their database has changed
// by so much that it matters to the quota. It also tells which share of the quota is used.
func (a *account) due(p Place, disk int64, now time.Time) (due bool, share float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit > 0 {
		share = float64(a.used()) / float64(a.limit)
	}
	least := max(leastChange, a.limit/100)
	if share >= 0.75 {
		least = 1
	}
	changed := max(apartBy(p.Size, a.measured.Database), apartBy(disk, a.measured.Disk))
	return changed >= least || a.since >= max(leastChange, least) || now.Sub(a.measured.At) >= oldest, share
}

func apartBy(a, b int64) int64 { return max(a-b, b-a) }

// now is what is known of a project without looking at its tables.
func (r round) now(p Place) Measured {
	return Measured{Disk: r.onDisk(p.Project), Database: p.Size, At: r.Now().UTC().Truncate(time.Microsecond)}
}

// measure measures the projects of one database.
func (r round) measure(ctx context.Context, v *visit) error {
	counted := make([]int64, len(v.places))
	measured := make(map[wire.Key]Measured, len(v.places))
	for i, p := range v.places {
		counted[i] = r.account(p.Project).begin()
		measured[p.Project] = r.now(p) // what moves from the disk into tables after this counts twice
	}
	sizes, err := r.Tables.Sizes(ctx, v.database)
	if err != nil {
		return errs.Wrap("quota: measure", err)
	}
	for i, p := range v.places {
		m := measured[p.Project]
		m.Tables = sizes[p.Project]
		measured[p.Project] = m
		r.account(p.Project).finish(m, counted[i])
	}
	return r.Store.KeepMeasured(ctx, measured)
}

// forgetTables makes projects empty that have no tables any more.
func (r round) forgetTables(ctx context.Context) error {
	has := make(map[wire.Key]bool, len(r.places))
	for _, p := range r.places {
		has[p.Project] = true
	}
	gone := map[wire.Key]Measured{}
	for project, a := range r.all() {
		counted, m := a.begin(), r.now(Place{Project: project})
		if !has[project] && a.differs(m) {
			a.finish(m, counted)
			gone[project] = m
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return r.Store.KeepMeasured(ctx, gone)
}

// differs says that something else is known.
func (a *account) differs(m Measured) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.measured.Tables+a.since > m.Tables || a.measured.Disk != m.Disk
}
