package databackend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// lane is one installation's way into the database. Its intake takes batches from the queue and stores them or, while the
// spill has something older, adds them to the spill; its replay stores what the spill has. So rows keep their order.
type lane struct {
	config Config
	log    *slog.Logger
	queue  *queue
	spill  *spill
	meter  *meter
	group  *lifecycle.Group
	intake chan struct{} // closed when the intake has ended
	counts counts
	served atomic.Pointer[served]

	mu       sync.Mutex // guards what follows
	barriers []func(Durable, error)
	condition
}

// served is an installation as the lane serves it now.
type served struct {
	Installation
	tables map[string]*laneTable
}

type laneTable struct {
	rules   *Rules
	refused *refusals
}

func newLane(c Config, inst Installation, s *spill) *lane {
	l := &lane{
		config: c, log: c.Log.With(logkey.Realm, inst.Realm), queue: newQueue(c.Limits), spill: s,
		meter: newMeter(c.Limits.All, c.Limits.Each), group: lifecycle.NewGroup(context.Background()), intake: make(chan struct{}),
	}
	l.served.Store(&served{})
	l.serve(inst)
	l.group.Go(func(context.Context) { l.take() })
	l.group.Go(l.replay)
	return l
}

// serve changes the installation; refusals stay with their tables.
func (l *lane) serve(inst Installation) {
	next := &served{Installation: inst, tables: map[string]*laneTable{}}
	for _, t := range inst.Template.Tables {
		lt := &laneTable{NewRules(t), &refusals{}}
		if before := l.served.Load().tables[t.Name]; before != nil {
			lt.refused = before.refused
		}
		next.tables[t.Name] = lt
	}
	l.served.Store(next)
}

func (l *lane) table(name string) *laneTable { return l.served.Load().tables[name] }

// stop takes nothing more, stores what was taken and ends both goroutines.
func (l *lane) stop() {
	l.queue.close()
	<-l.intake
	l.group.Stop()
	l.releaseBarriers(errs.E(wire.Unavailable, "the server is stopping"))
	l.spill.close()
}

// submit checks a submission and queues it. done is called once.
func (l *lane) submit(s wire.Submission, seqs *sequence, done func(Durable, error)) {
	now := time.Now()
	t := l.table(s.Table)
	if t == nil {
		l.counts.refused.Add(1)
		done("", noSuchTable())
		return
	}
	rows := rowsOf(s)
	refuse := func(err error) {
		l.counts.refused.Add(uint64(rows))
		t.refused.add(s, now, rows, err)
		done("", err)
	}
	if wait, ok := l.meter.take(s.AuthID, rows, now); !ok {
		refuse(rateLimited("too many rows", wait))
		return
	}
	records, err := t.rules.Records(s, now, seqs.take)
	if err != nil {
		refuse(err)
		return
	}
	settle, err := l.reserve(records)
	if err != nil {
		refuse(err)
		return
	}
	e := entry{table: s.Table, columns: t.rules.table.Columns, bulk: s.Bulk, records: records}
	kept := func(how Durable, err error) {
		settle(err == nil)
		done(how, err)
	}
	switch l.queue.put(item{entry: e, at: now, size: e.size(), done: kept}) {
	case putFull:
		settle(false)
		refuse(rateLimited("the server is behind", time.Second))
	case putClosed:
		settle(false)
		refuse(errs.E(wire.Unavailable, "the server is stopping"))
	case putDone:
		l.counts.accepted.Add(uint64(len(records)))
	}
}

// reserve takes room for records in what the project may store, and gives what tells whether they were kept.
func (l *lane) reserve(records []Record) (settle func(kept bool), err error) {
	project, bytes, storage := l.served.Load().Project, footprint(records), l.config.Storage
	if err := storage.Take(project, bytes); err != nil {
		return nil, err
	}
	return func(kept bool) { storage.Settle(project, bytes, kept) }, nil
}

func rowsOf(s wire.Submission) int {
	if list, ok := at(s.Args, 0).([]any); ok && s.Bulk {
		return max(1, len(list))
	}
	return 1
}

func rateLimited(why string, wait time.Duration) error {
	text := fmt.Sprintf("%s: try again in %d ms", why, int64(math.Ceil(wait.Seconds()*1000)))
	return &errs.Error{Kind: wire.Exhausted, User: text, URI: wire.ErrRateLimited}
}

func storageFull(err error) error {
	const text = "the database is behind and the space for waiting rows is used up: try again in 30 s"
	return &errs.Error{Kind: wire.Exhausted, User: text, URI: wire.ErrStorageFull, Err: err}
}

// take is the intake.
func (l *lane) take() {
	defer close(l.intake)
	for batch := l.queue.take(); batch != nil; batch = l.queue.take() {
		rows, barriers := split(batch)
		l.keep(rows)
		l.await(barriers)
	}
}

func split(batch []item) (rows, barriers []item) {
	for _, it := range batch {
		if it.barrier {
			barriers = append(barriers, it)
		} else {
			rows = append(rows, it)
		}
	}
	return rows, barriers
}

// keep makes items durable, one way or the other, and answers for each.
func (l *lane) keep(items []item) {
	if l.spill.empty() {
		items = l.storeNow(items)
	}
	if len(items) == 0 {
		return
	}
	entries := make([]entry, len(items))
	for i, it := range items {
		entries[i] = it.entry
	}
	if err := l.spill.append(entries); err != nil {
		l.refuseAll(items, err)
		return
	}
	for _, it := range items {
		l.counts.spilled.Add(uint64(len(it.records)))
		it.done(Spilled, nil)
	}
}

// refuseAll answers that there is no room, or that the disk fails.
func (l *lane) refuseAll(items []item, err error) {
	answer := storageFull(err)
	if !errors.Is(err, errSpillFull) {
		l.log.Error("rows cannot be kept on disk", logkey.Error, err)
		answer = errs.As(wire.Unavailable, err, "the rows cannot be kept now: try again in 30 s")
	}
	for _, it := range items {
		l.refuse(it, answer)
		it.done("", answer)
	}
}

// storeNow stores items while their publishers wait, and gives those that the database did not decide on in time.
func (l *lane) storeNow(items []item) []item {
	ctx, cancel := context.WithTimeout(context.Background(), l.config.Limits.WriteTimeout)
	defer cancel()
	watch := lifecycle.NewGroup(ctx)
	defer watch.Stop()
	watch.Go(func(ctx context.Context) { l.giveUpUnderPressure(ctx, cancel) })
	left, err := l.store(ctx, items, func(it item, err error) {
		if err != nil {
			it.done("", err)
			return
		}
		it.done(Committed, nil)
	})
	if err != nil {
		l.worsen(err)
	}
	return left
}

// giveUpUnderPressure ends a write that has held up a queue for a while that is now almost full: the disk is faster.
func (l *lane) giveUpUnderPressure(ctx context.Context, cancel func()) {
	select {
	case <-ctx.Done():
		return
	case <-l.queue.high:
	}
	select {
	case <-ctx.Done():
	case <-time.After(l.config.Limits.WriteTimeout / 10):
		cancel()
	}
}

// await has barriers wait for the spill, or lets them through.
func (l *lane) await(barriers []item) {
	l.mu.Lock()
	for _, b := range barriers {
		l.barriers = append(l.barriers, b.done)
	}
	l.mu.Unlock()
	if l.spill.empty() {
		l.releaseBarriers(nil)
	}
}

func (l *lane) releaseBarriers(err error) {
	l.mu.Lock()
	waiting := l.barriers
	l.barriers = nil
	l.mu.Unlock()
	for _, done := range waiting {
		done("", err)
	}
}
