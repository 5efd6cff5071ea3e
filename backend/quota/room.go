package quota

import (
	"context"
	"log/slog"
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
	free    atomic.Int64
	short   atomic.Bool
	unknown bool // it could not be told the last time; of Watch alone
}

// errShort is what a publisher reads while the disk has less left than it should.
var errShort = errs.E(wire.Unavailable, "the server is short of disk space: rows are taken again when there is more")

// Watch looks at the disk until ctx ends, at once and then again and again.
func (q *Quotas) Watch(ctx context.Context) {
	if q.Free == nil || q.MinFree <= 0 {
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

// Look looks at the disk once. Short of MinFree no project adds rows; they go on when it has a quarter more than that. Where it
// cannot be told what is left, what was known holds.
func (q *Quotas) Look(ctx context.Context) {
	free, err := q.Free()
	if err != nil {
		if !q.room.unknown {
			q.Log.WarnContext(ctx, "what the disk has left cannot be told", logkey.Error, err)
		}
		q.room.unknown = true
		return
	}
	q.room.unknown = false
	q.room.free.Store(free)
	before, enough := q.room.short.Load(), q.MinFree
	if before {
		enough += enough / 4
	}
	short := free < enough
	if short == before {
		return
	}
	q.room.short.Store(short)
	severity, text := slog.LevelError, "the disk has less left than storage.min_free: rows of all projects are refused until it has more"
	if !short {
		severity, text = slog.LevelInfo, "the disk has room again: rows are taken"
	}
	q.Log.Log(ctx, severity, text, logkey.Bytes, free)
	q.Wake() // for those who write by logins of their own
}

// Room tells what the disk had left when it was last looked at, and whether that is too little.
func (q *Quotas) Room() (free int64, short bool) { return q.room.free.Load(), q.room.short.Load() }
