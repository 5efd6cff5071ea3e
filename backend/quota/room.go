package quota

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// lookEvery is how often it is looked at what the disk has left.
const lookEvery = 2 * time.Second

// room is what the disk that all projects share has left.
type room struct {
	mu      sync.Mutex // held while it is looked at the disk; guards unknown
	unknown bool       // it could not be told the last time

	free, granted, capacity atomic.Int64
	tight                   atomic.Bool // those beyond their shares add nothing
	short                   atomic.Bool // nobody does
	over                    atomic.Bool // the quotas together are more than the disk can hold
}

// errShort is what a publisher reads while the disk has less left than it should. It says nothing of whose fault that is,
// and those within their shares read it only where nobody is taken anything of.
var errShort = errs.E(wire.Unavailable, "the server is short of disk space: rows are taken again when there is more")

// Watch looks at the disk until ctx ends, at once and then again and again.
func (q *Quotas) Watch(ctx context.Context) {
	if !q.guarded() {
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		q.Look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (q *Quotas) guarded() bool { return q.Free != nil && q.MinFree > 0 }

// unseen is for what projects add between two looks.
func (q *Quotas) unseen() int64 { return q.MinFree / 4 }

// Look looks at the disk once, and divides it. Where little more than MinFree and the unused shares is left, projects beyond
// their shares add nothing; short of MinFree nobody does. Both end when there is a quarter of MinFree more. Where it cannot be
// told what is left, what was known holds.
func (q *Quotas) Look(ctx context.Context) {
	if !q.guarded() {
		return
	}
	q.room.mu.Lock()
	defer q.room.mu.Unlock()
	free, err := q.Free()
	if err != nil {
		if !q.room.unknown {
			q.Log.WarnContext(ctx, "what the disk has left cannot be told", logkey.Error, err)
		}
		q.room.unknown = true
		return
	}
	granted, capacity, reserved := q.share(free)
	q.room.unknown = false
	q.room.free.Store(free)
	q.room.granted.Store(granted)
	q.room.capacity.Store(capacity)
	if q.passes(&q.room.short, free, q.MinFree) {
		q.tell(ctx, &q.room.short, free, slog.LevelError, "the disk has less left than storage.min_free: rows of all projects are refused until it has more", "the disk has room again: rows are taken")
	}
	if q.passes(&q.room.tight, free, q.MinFree+q.unseen()+reserved) {
		q.tell(ctx, &q.room.tight, free, slog.LevelWarn, "the disk has little more left than the shares that projects have not used: rows of projects beyond their shares are refused until it has more",
			"the disk has room again for projects beyond their shares")
	}
	if over := granted > capacity; over != q.room.over.Load() {
		q.room.over.Store(over)
		if over {
			q.Log.WarnContext(ctx, "the storage quotas of all projects together are more than the disk can hold: half of it is shared out among them", logkey.Bytes, granted-capacity)
		}
	}
}

// passes flips what holds below a mark, and from a quarter of MinFree above it no longer; it reports whether it did.
func (q *Quotas) passes(below *atomic.Bool, free, mark int64) bool {
	before := below.Load()
	if before {
		mark += q.MinFree / 4
	}
	now := free < mark
	below.Store(now)
	return now != before
}

// tell logs what has come or gone, and has the round see to those who write by logins of their own.
func (q *Quotas) tell(ctx context.Context, is *atomic.Bool, free int64, severity slog.Level, came, went string) {
	if !is.Load() {
		severity, came = slog.LevelInfo, went
	}
	q.Log.Log(ctx, severity, came, logkey.Bytes, free)
	q.Wake()
}

// Left is what the disk had when it was last looked at.
type Left struct {
	Free     int64 // bytes
	Capacity int64 // bytes that all projects can have together, with what they have
	Granted  int64 // bytes that their quotas grant together; a project without a quota has Capacity
	Tight    bool  // projects beyond their shares add nothing
	Short    bool  // nobody does
}

// Over is by how many bytes the quotas are more than the disk can hold.
func (l Left) Over() int64 { return max(0, l.Granted-l.Capacity) }

// Left tells what the disk has left.
func (q *Quotas) Left() Left {
	r := &q.room
	return Left{Free: r.free.Load(), Capacity: r.capacity.Load(), Granted: r.granted.Load(), Tight: r.tight.Load(), Short: r.short.Load()}
}

// Spare reports as an error that a project may not add anything to the disk now, whatever its quota.
func (q *Quotas) Spare(project wire.Key) error {
	if q.room.short.Load() {
		return errShort
	}
	if !q.room.tight.Load() {
		return nil
	}
	a := q.account(project)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.beyond(q.Elsewhere, 1) {
		return errShort
	}
	return nil
}
