package databackend

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
)

const (
	minBackoff   = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
	rightBackoff = time.Minute // for what an operator must mend
	replayBytes  = 16 << 20
)

// replay stores what the spill has, in order, until ctx ends.
func (l *lane) replay(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.spill.wake:
		}
		for l.replayBatch(ctx) {
		}
		if l.spill.empty() {
			l.releaseBarriers(nil)
		}
	}
}

// replayBatch stores the next entries of the spill, however long that takes, and reports whether there may be more.
func (l *lane) replayBatch(ctx context.Context) bool {
	entries, behind, err := l.spill.read(l.config.Limits.BatchRows, replayBytes)
	if err != nil {
		l.log.Error("spill cannot be read", logkey.Error, err)
		return l.pause(ctx, maxBackoff)
	}
	if len(entries) == 0 {
		if !l.spill.empty() {
			l.spill.commit(behind) // the end was damaged and is passed
		}
		return false
	}
	items := make([]item, len(entries))
	for i, e := range entries {
		items[i] = item{entry: e}
	}
	for attempt := 0; len(items) > 0; {
		// A batch that the database cannot take in time is tried in smaller parts, which grow again as they succeed.
		part := items[:max(1, len(items)>>min(attempt, 20))]
		left, err := l.replayOnce(ctx, part)
		items = append(slices.Clip(left), items[len(part):]...)
		if err == nil {
			attempt = max(0, attempt-1)
			continue
		}
		if !l.pause(ctx, backoff(attempt, err)) {
			return false
		}
		attempt++
	}
	l.spill.commit(behind)
	return true
}

func (l *lane) replayOnce(ctx context.Context, items []item) ([]item, error) {
	write, cancel := context.WithTimeout(ctx, 10*l.config.Limits.WriteTimeout)
	defer cancel()
	left, err := l.store(write, items, func(it item, err error) {
		if err != nil {
			l.quarantine(it, err)
		}
	})
	if err != nil && ctx.Err() == nil {
		l.worsen(err)
	}
	return left, err
}

// quarantine keeps a row that was answered for and does not fit. Its publisher was told that it is safe, so it is not
// thrown away; databackend.errors lists why.
func (l *lane) quarantine(it item, cause error) {
	if err := l.spill.setAside(it.entry); err != nil {
		l.log.Error("a refused row cannot be kept", logkey.Table, it.table, logkey.Error, err)
		return
	}
	l.log.Warn("a row that waited on disk does not fit and was set aside", logkey.Table, it.table, logkey.Reason, errs.UserText(cause))
}

// backoff is how long to wait before another attempt, with full jitter so that lanes do not try all at once.
func backoff(attempt int, err error) time.Duration {
	var fault *WriteFault
	if errors.As(err, &fault) && fault.Kind == RightFault {
		return rightBackoff
	}
	most := min(maxBackoff, minBackoff<<min(attempt, 10))
	return minBackoff/2 + rand.N(most)
}

// pause waits and reports whether ctx still goes on.
func (l *lane) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// State is how an installation's way into the database is.
type State string

// The states of a lane.
const (
	Flowing State = "flowing" // rows reach the database
	Behind  State = "behind"  // the database does not take them now; they wait on disk
	Stopped State = "stopped" // the database refuses our role; an operator must look
)

// condition is the state as it was last seen, so that changes are logged once.
type condition struct {
	state State
	cause error
}

// worsen notes that a write failed.
func (l *lane) worsen(err error) {
	next := Behind
	var fault *WriteFault
	if errors.As(err, &fault) && fault.Kind == RightFault {
		next = Stopped
	}
	l.mu.Lock()
	changed := l.state != next
	l.state, l.cause = next, err
	l.mu.Unlock()
	if !changed {
		return
	}
	level, text := slog.LevelWarn, "database does not take rows: they wait on disk"
	if next == Stopped {
		level, text = slog.LevelError, "database refuses our role: rows wait on disk until somebody mends it"
	}
	l.log.Log(context.Background(), level, text, logkey.Error, err)
}

// improve notes that a write succeeded.
func (l *lane) improve() {
	l.mu.Lock()
	changed := l.state != Flowing && l.state != ""
	l.state, l.cause = Flowing, nil
	l.mu.Unlock()
	if changed {
		l.log.Info("database takes rows again")
	}
}

// counts are rows since the start.
type counts struct{ accepted, stored, spilled, refused atomic.Uint64 }

// Stats is what became of an installation's rows since the server started.
type Stats struct {
	Realm                              string
	State                              State
	Accepted, Stored, Spilled, Refused uint64 // rows
	SpillBytes                         int64
	QueuedRows                         int
}

// Stats tells about every installation, in no order.
func (in *Ingest) Stats() []Stats {
	in.mu.RLock()
	defer in.mu.RUnlock()
	all := make([]Stats, 0, len(in.lanes))
	for realm, l := range in.lanes {
		all = append(all, l.stats(realm))
	}
	return all
}

func (l *lane) stats(realm string) Stats {
	s := Stats{
		Realm: realm, State: Flowing, SpillBytes: l.spill.size(),
		Accepted: l.counts.accepted.Load(), Stored: l.counts.stored.Load(),
		Spilled: l.counts.spilled.Load(), Refused: l.counts.refused.Load(),
	}
	l.queue.mu.Lock()
	s.QueuedRows = l.queue.rows
	l.queue.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != "" {
		s.State = l.state
	}
	return s
}
