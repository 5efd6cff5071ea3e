package databackend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Writer stores records in the database.
type Writer interface {
	// Write stores records of one table, all or none. A record whose device, time and number are there already counts as
	// stored. An error is a *WriteFault where trying again is no use; any other error is the database's weather.
	Write(ctx context.Context, p Placement, t Table, records []Record) error
}

// FaultKind is why the database will not take records however often it is asked.
type FaultKind int

// The kinds of fault. The zero FaultKind is none.
const (
	_          FaultKind = iota
	RowFault             // one of the records does not fit
	RightFault           // the role may not write there, or nobody may log in: an operator must look
)

// WriteFault is an error of a Writer that trying again does not mend.
type WriteFault struct {
	Kind   FaultKind
	Reason string // for the tenant, without values of the row
	URI    string // WAMP error URI; "" is wire.ErrInvalidRow
	Err    error  // for the operator
}

func (f *WriteFault) Error() string { return fmt.Sprintf("%s: %v", f.Reason, f.Err) }

func (f *WriteFault) Unwrap() error { return f.Err }

// Limits bound what one installation may use. The zero value of each takes the default that stands beside it.
type Limits struct {
	BatchRows    int           // 10,000
	BatchDelay   time.Duration // 50 ms
	QueueRows    int           // 65,536
	QueueBytes   int           // 32 MiB
	SpillBytes   int64         // 1 GiB, for all installations of a project together
	MinFree      int64         // 256 MiB: what the spill leaves free on its disk
	WriteTimeout time.Duration // 5 s: for a batch that somebody waits for; replays have ten times that
	All          Rate          // rows of the installation: 50,000 a second, 250,000 at once
	Each         Rate          // rows of each publisher: 10,000 a second, 60,000 at once
}

// Unlimited is a Rate that limits nothing.
var Unlimited = Rate{PerSecond: -1}

func (l Limits) orDefaults() Limits {
	l.BatchRows = cmp.Or(l.BatchRows, 10_000)
	l.BatchDelay = cmp.Or(l.BatchDelay, 50*time.Millisecond)
	l.QueueRows = cmp.Or(l.QueueRows, 1<<16)
	l.QueueBytes = cmp.Or(l.QueueBytes, 32<<20)
	l.SpillBytes = cmp.Or(l.SpillBytes, 1<<30)
	l.MinFree = cmp.Or(l.MinFree, 256<<20)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 5*time.Second)
	l.All = cmp.Or(l.All, Rate{PerSecond: 50_000, Burst: 250_000})
	l.Each = cmp.Or(l.Each, Rate{PerSecond: 10_000, Burst: 60_000})
	return l
}

// Stored tells that the rows of one submission are in the database. A row may be told twice after a crash.
type Stored struct {
	Realm   string
	Table   Table
	Bulk    bool
	Records []Record
}

// Storage bounds what the installations of each project keep together, in the database and on disk. It must not block.
type Storage interface {
	// Take counts bytes that are about to be kept, or refuses them.
	Take(project wire.Key, bytes int64) error
	// Settle tells what became of bytes that were taken.
	Settle(project wire.Key, bytes int64, kept bool)
}

// unbounded is the Storage where there are no quotas.
type unbounded struct{}

func (unbounded) Take(wire.Key, int64) error   { return nil }
func (unbounded) Settle(wire.Key, int64, bool) {}

// Config is what an Ingest needs.
type Config struct {
	Dir     string // for what the database does not have yet; one process at a time
	Writer  Writer
	Limits  Limits
	Storage Storage // nil: unbounded
	// OnStored is told of every stored submission, in the order of storing per table. It must not block. Nil is fine.
	OnStored func(Stored)
	Log      *slog.Logger
}

// Installation is what the ingest must know of an installation.
type Installation struct {
	Realm     string
	Project   wire.Key
	Template  Template
	Placement Placement
}

// Ingest takes submissions of all installations and stores them, each installation apart from the others.
type Ingest struct {
	config Config
	lock   *os.File
	seqs   *sequence
	disk   disk

	mu     sync.RWMutex // guards what follows
	lanes  map[string]*lane
	quotas map[wire.Key]*quota
	closed bool
}

// NewIngest takes up what an earlier run left in the directory, which no other process may use. Nothing is stored before
// Put names the installations.
func NewIngest(c Config) (*Ingest, error) {
	c.Limits = c.Limits.orDefaults()
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Storage == nil {
		c.Storage = unbounded{}
	}
	if c.OnStored == nil {
		c.OnStored = func(Stored) {}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, errs.As(wire.Unavailable, err, "the spill directory cannot be used: %s", c.Dir)
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	seqs, err := openSequence(c.Dir, time.Now())
	if err != nil {
		return nil, errors.Join(errs.As(wire.Unavailable, err, "the spill directory cannot be used: %s", c.Dir), lock.Close())
	}
	return &Ingest{config: c, lock: lock, seqs: seqs, disk: osDisk{}, lanes: map[string]*lane{}, quotas: map[wire.Key]*quota{}}, nil
}

// lockDir keeps a second process out; the lock ends with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errs.As(wire.Unavailable, err, "the spill directory cannot be used: %s", dir)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(errs.As(wire.Unavailable, err, "another server uses the spill directory %s", dir), f.Close())
	}
	return f, nil
}

// Put has the ingest serve an installation, or serve it with another template. What an earlier run left for it is stored.
// While it is being closed, Put is refused.
func (in *Ingest) Put(inst Installation) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return errs.E(wire.Unavailable, "the server is stopping")
	}
	if l, ok := in.lanes[inst.Realm]; ok {
		if l.queue.isClosed() {
			return errs.E(wire.Unavailable, "the installation is being closed")
		}
		l.serve(inst)
		return nil
	}
	q := in.quotas[inst.Project]
	if q == nil {
		q = &quota{limit: in.config.Limits.SpillBytes}
		in.quotas[inst.Project] = q
	}
	dir := filepath.Join(in.config.Dir, inst.Realm+"."+filepath.Base(inst.Placement.Schema))
	s, err := openSpill(dir, in.disk, q, in.config.Limits.MinFree, in.config.Log)
	if err != nil {
		return errs.As(wire.Unavailable, err, "the spill of %s cannot be used", inst.Realm)
	}
	in.lanes[inst.Realm] = newLane(in.config, inst, s)
	return nil
}

// Drop ends serving an installation. What the database does not have yet stays on disk.
func (in *Ingest) Drop(realm string) {
	if l := in.lane(realm); l != nil {
		l.stop()
		in.leave(realm, l)
	}
}

// Forget ends serving an installation that is gone for good, and deletes what waits on disk for it.
func (in *Ingest) Forget(realm string) error {
	var err error
	if l := in.lane(realm); l != nil {
		l.stop()
		err = l.spill.remove()
		in.leave(realm, l)
	}
	// What runs before this one left for it, under whatever schema it had then.
	left, errGlob := filepath.Glob(filepath.Join(in.config.Dir, realm+".*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return errs.Wrap("forget "+realm, errors.Join(err, errGlob))
}

// leave forgets a lane that has stopped; until then nobody may open its spill again.
func (in *Ingest) leave(realm string, l *lane) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.lanes[realm] == l {
		delete(in.lanes, realm)
	}
}

func (in *Ingest) lane(realm string) *lane {
	in.mu.RLock()
	defer in.mu.RUnlock()
	return in.lanes[realm]
}

// Accept takes a submission and calls done once: with nil when its rows are durable, with the reason when they are
// refused. It does no I/O and waits for nothing; done may be called before Accept returns, from any goroutine.
func (in *Ingest) Accept(s wire.Submission, done func(error)) {
	in.Submit(s, func(_ Durable, err error) { done(err) })
}

// Submit is Accept that also tells how the rows were made safe.
func (in *Ingest) Submit(s wire.Submission, done func(Durable, error)) {
	l := in.lane(s.Realm)
	if l == nil {
		done("", errs.E(wire.Unavailable, "the data backend of this realm is not ready"))
		return
	}
	l.submit(s, in.seqs, done)
}

// Append stores a submission and waits until its rows are durable.
func (in *Ingest) Append(ctx context.Context, s wire.Submission) (wire.AppendReply, error) {
	type outcome struct {
		how Durable
		err error
	}
	answer := make(chan outcome, 1)
	in.Submit(s, func(how Durable, err error) { answer <- outcome{how, err} })
	select {
	case o := <-answer:
		reply := wire.AppendReply{Success: o.err == nil, Durable: string(o.how)}
		if s.Bulk && o.err == nil {
			list, _ := at(s.Args, 0).([]any)
			reply.Count = len(list)
		}
		return reply, o.err
	case <-ctx.Done():
		return wire.AppendReply{}, errs.As(errs.KindOf(ctx.Err()), ctx.Err(), "the rows may be stored or not: nobody waited")
	}
}

// Waiting is how many bytes are on disk for a project: of rows that the database does not have yet, and of those that
// were set aside.
func (in *Ingest) Waiting(project wire.Key) int64 {
	in.mu.RLock()
	q := in.quotas[project]
	in.mu.RUnlock()
	if q == nil {
		return 0
	}
	return q.taken()
}

// Flush waits until the database has all that was accepted for an installation before.
func (in *Ingest) Flush(ctx context.Context, realm string) error {
	l := in.lane(realm)
	if l == nil {
		return nil
	}
	flushed := make(chan error, 1)
	if l.queue.put(item{at: time.Now(), barrier: true, done: func(_ Durable, err error) { flushed <- err }}) != putDone {
		return errs.E(wire.Unavailable, "the installation takes no more rows")
	}
	select {
	case err := <-flushed:
		return err
	case <-ctx.Done():
		return errs.As(wire.Unavailable, ctx.Err(), "the database does not have all rows yet")
	}
}

// Refused lists the newest refusals of a table, newest first, and counts all: those of one device, or of everybody where
// of is 0.
func (in *Ingest) Refused(realm, table string, limit int, of wire.Key) (wire.RowErrorsReply, error) {
	if l := in.lane(realm); l != nil {
		if t := l.table(table); t != nil {
			return t.refused.list(limit, of), nil
		}
	}
	return wire.RowErrorsReply{}, noSuchTable()
}

// Stop takes nothing more, stores what was accepted, in the database or on disk, and ends. Stopping twice is fine.
func (in *Ingest) Stop() {
	in.mu.Lock()
	first := !in.closed
	in.closed = true
	lanes := in.lanes
	in.lanes = map[string]*lane{}
	in.mu.Unlock()
	var all sync.WaitGroup
	for _, l := range lanes {
		all.Go(l.stop)
	}
	all.Wait()
	if first {
		in.lock.Close() // and with it the lock; nothing was written to it
	}
}

func noSuchTable() error {
	return &errs.Error{Kind: wire.NotFound, User: "the template has no such table", URI: wire.ErrNoSuchTable}
}
