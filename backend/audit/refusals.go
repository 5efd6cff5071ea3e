package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// Noter takes entries of what was refused. It never fails a caller: what cannot be written is counted and told later.
type Noter interface {
	Note(ctx context.Context, e Entry)
}

// Recorder writes an entry that accompanies no change.
type Recorder interface {
	Record(ctx context.Context, e Entry) error
}

// Limits of refusals that are written one by one in a window; what is beyond is counted.
const (
	refusalWindow  = 10 * time.Second
	refusalsEach   = 5   // of one action from one address in one project
	refusalsAll    = 100 // of all
	refusalSources = 1024
	recordWithin   = 2 * time.Second
)

// source is what refusals are counted by. Whom they concern is in the entries that are written, not in the count.
type source struct {
	action  Action
	project wire.Key
	address string // empty for all that came when too many addresses were known
}

// tally counts the refusals of a source in a window.
type tally struct {
	written, counted int64
	since            time.Time
	asset            string
}

// Counted is what a counting entry tells: how many refusals of one action were not written one by one, and from where they
// came.
type Counted struct {
	Action  Action `json:"action"`
	Address string `json:"address,omitempty"` // absent: many
	// Addresses are those from which most came of many, with their counts; of the rest there is the sum in Count alone.
	Addresses map[string]int64 `json:"addresses,omitempty"`
	Count     int64            `json:"count"`
	Since     time.Time        `json:"since"`
	Until     time.Time        `json:"until"`
}

// Refusals writes refused requests and failed logins at a bounded rate. It promises that each one is either an entry of
// its own or part of the count in the entry that closes its window: a flood neither fills the log nor hides in silence.
// What the log cannot take is counted and offered again.
type Refusals struct {
	to  Recorder
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex // guards what follows
	sources map[source]*tally
	written int64 // in this window
}

var _ Noter = (*Refusals)(nil)

// NewRefusals makes Refusals; Serve must run beside it.
func NewRefusals(to Recorder, log *slog.Logger, now func() time.Time) *Refusals {
	return &Refusals{to: to, log: log, now: now, sources: map[source]*tally{}}
}

// Note writes or counts an entry. It returns when the entry is written, so that who is refused cannot outrun the log; the
// caller's end does not keep it from being written.
func (r *Refusals) Note(ctx context.Context, e Entry) {
	from := source{e.Action, e.Project, e.Actor.Address}
	if !r.take(&from, e.Asset.Kind) {
		return
	}
	if err := r.record(ctx, e); err != nil {
		r.count(from, 1)
		r.log.WarnContext(ctx, "a refusal could not be written to the audit log and is counted", logkey.Error, err)
	}
}

func (r *Refusals) record(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
	defer cancel()
	return r.to.Record(ctx, e)
}

// take decides whether the entry is written, and counts it where it is not.
func (r *Refusals) take(from *source, asset string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tally(from, asset)
	if t.written < refusalsEach && r.written < refusalsAll {
		t.written++
		r.written++
		return true
	}
	t.counted++
	return false
}

// tally gives what is counted of a source; that of all others where there are too many. With mu held.
func (r *Refusals) tally(from *source, asset string) *tally {
	if r.sources[*from] == nil && len(r.sources) >= refusalSources {
		from.address = ""
	}
	t := r.sources[*from]
	if t == nil {
		t = &tally{since: r.now(), asset: asset}
		r.sources[*from] = t
	}
	return t
}

// Count counts an entry and never writes it: the entry that closes the window has it. It is for what a flood is refused with, and
// does not wait for the log.
func (r *Refusals) Count(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally(&source{e.Action, e.Project, e.Actor.Address}, e.Asset.Kind).counted++
}

func (r *Refusals) count(from source, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.sources[from]
	if t == nil { // its window was closed meanwhile
		t = &tally{since: r.now(), asset: "server"}
		r.sources[from] = t
	}
	t.counted += n
}

// Serve closes windows until ctx ends, and then the last one.
func (r *Refusals) Serve(ctx context.Context) {
	ticks := time.NewTicker(refusalWindow)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			r.Close(ctx)
		case <-ctx.Done():
			r.Close(ctx)
			return
		}
	}
}

// Close ends the window: it writes the counting entries and keeps the counts of those that could not be written.
func (r *Refusals) Close(ctx context.Context) {
	r.mu.Lock()
	closed := r.sources
	r.sources, r.written = map[source]*tally{}, 0
	r.mu.Unlock()
	until := r.now()
	for _, c := range counts(closed) {
		if err := r.record(ctx, c.entry(until)); err != nil {
			r.restore(c)
			r.log.WarnContext(ctx, "the count of refusals could not be written to the audit log and is kept", logkey.Count, c.count(), logkey.Error, err)
		}
	}
}

// restore adds counts that could not be written to the window that is open now.
func (r *Refusals) restore(c counting) {
	for from, t := range c {
		r.count(from, t.counted)
		r.mu.Lock()
		r.sources[from].since, r.sources[from].asset = t.since, t.asset
		r.mu.Unlock()
	}
}
