package granting

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/backend/privilege"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// Following is how Live learns of changes.
type Following interface {
	Everything(ctx context.Context) (Everything, error)
	Principals(ctx context.Context) ([]privilege.Principal, error)
	// Project reads one project; that of the platform's apps is 0. Kind NotFound where there is none.
	Project(ctx context.Context, key wire.Key) (privilege.Project, error)
	Holder(ctx context.Context, project, principal wire.Key) (privilege.Project, error)
	Revision(ctx context.Context, project wire.Key) (int64, error)
	Revisions(ctx context.Context) (map[wire.Key]int64, error)
	// Listen calls changed for each change, and listening when it has begun to; it returns when the connection is lost.
	Listen(ctx context.Context, listening func(), changed func(Change)) error
}

// Everything is all that decides, at one moment.
type Everything struct {
	Principals []privilege.Principal
	Projects   []privilege.Project
}

// Change says that what decides about a project has changed: what one principal has in it, or anything where Principal is 0.
type Change struct {
	Project   wire.Key
	Revision  int64
	Principal wire.Key
}

// How often it is looked whether a notification was missed, and whether a grant begins or ends.
const (
	pollEvery = 500 * time.Millisecond
	turnEvery = 100 * time.Millisecond
	pollLimit = 5 * time.Second
)

// Live is the snapshot that decisions are made from. It follows the database: by its notifications, by looking twice a
// second, and at once after changes of this process's own. While the database is down nothing can be changed either, and
// decisions go on from what was last so. Make one with NewLive, then Load and Run.
type Live struct {
	store Following
	now   func() time.Time
	log   *slog.Logger

	current atomic.Pointer[privilege.Snapshot]

	mu       sync.Mutex // serializes reading, so that no older state replaces a newer one
	watchers []func()   // before Run
	bell     chan struct{}

	hintsMu sync.Mutex // guards hints
	hints   map[wire.Key]Change
}

// NewLive makes one that denies everything until Load.
func NewLive(store Following, now func() time.Time, log *slog.Logger) *Live {
	l := &Live{store: store, now: now, log: log, bell: make(chan struct{}, 1), hints: map[wire.Key]Change{}}
	l.current.Store(&privilege.Snapshot{})
	return l
}

// Watch has f called after each change of decisions, from one goroutine at a time. It is to be called before Load; f must not
// call Refresh.
func (l *Live) Watch(f func()) { l.watchers = append(l.watchers, f) }

// Snapshot gives the newest snapshot.
func (l *Live) Snapshot() *privilege.Snapshot { return l.current.Load() }

// Load reads everything.
func (l *Live) Load(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := l.store.Everything(ctx)
	if err != nil {
		return errs.Wrap("granting: load", err)
	}
	l.put(privilege.NewSnapshot(all.Principals, all.Projects))
	return nil
}

// put is called with mu held.
func (l *Live) put(s *privilege.Snapshot) {
	if s == l.current.Load() {
		return
	}
	l.current.Store(s)
	for _, f := range l.watchers {
		f()
	}
}

// Refresh reads what has changed of one project.
func (l *Live) Refresh(ctx context.Context, project wire.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, err := l.store.Revision(ctx, project)
	if err != nil {
		return err
	}
	next, err := l.read(ctx, l.Snapshot(), project, at)
	if err == nil {
		l.put(next)
	}
	return err
}

// read gives a snapshot in which a project is not older than a revision.
func (l *Live) read(ctx context.Context, s *privilege.Snapshot, project wire.Key, at int64) (*privilege.Snapshot, error) {
	if s.Revision(project) >= at && at > 0 {
		return s, nil
	}
	if hint, ok := l.hint(project); ok && hint.Principal.Valid() && hint.Revision == at && s.Revision(project) == at-1 {
		p, err := l.store.Holder(ctx, project, hint.Principal)
		if err == nil && p.Revision == at {
			return s.WithHolder(p, hint.Principal), nil
		}
	}
	p, err := l.store.Project(ctx, project)
	switch {
	case errs.KindOf(err) == wire.NotFound:
		return s.WithoutProject(project, at), nil
	case err != nil:
		return s, err
	}
	if project == 0 {
		principals, err := l.store.Principals(ctx)
		if err != nil {
			return s, err
		}
		s = s.WithPrincipals(principals)
	}
	return s.WithProject(p), nil
}

func (l *Live) hint(project wire.Key) (Change, bool) {
	l.hintsMu.Lock()
	defer l.hintsMu.Unlock()
	c, ok := l.hints[project]
	delete(l.hints, project)
	return c, ok
}

// Sync reads whatever has changed.
func (l *Live) Sync(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	revisions, err := l.store.Revisions(ctx)
	if err != nil {
		return errs.Wrap("granting: follow", err)
	}
	next := l.Snapshot()
	for project, at := range revisions {
		if next.Revision(project) >= at {
			continue
		}
		if next, err = l.read(ctx, next, project, at); err != nil {
			break
		}
	}
	l.put(next) // what was read before a failure is in force all the same
	return errs.Wrap("granting: follow", err)
}

// Run follows the database until ctx ends.
func (l *Live) Run(ctx context.Context) {
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() { l.listen(ctx) })
	poll, turn := time.NewTicker(pollEvery), time.NewTicker(turnEvery)
	defer poll.Stop()
	defer turn.Stop()
	looked, failing := l.now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-turn.C:
			looked = l.turned(looked)
			continue
		case <-poll.C:
		case <-l.bell:
		}
		failing = l.complain(ctx, failing, l.follow(ctx))
	}
}

func (l *Live) follow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollLimit)
	defer cancel()
	return l.Sync(ctx)
}

// complain tells of the first failure in a row, and of its end.
func (l *Live) complain(ctx context.Context, failing bool, err error) bool {
	switch {
	case ctx.Err() != nil:
	case err != nil && !failing:
		l.log.Warn("privileges cannot be read: decisions are made from what was last so", logkey.Error, err)
	case err == nil && failing:
		l.log.Info("privileges are read again")
	}
	return err != nil
}

// turned tells the watchers where a grant has begun or ended since it was last looked.
func (l *Live) turned(looked time.Time) time.Time {
	now := l.now()
	if !l.Snapshot().Turns(looked, now) {
		return now
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.watchers {
		f()
	}
	return now
}

// listen has the bell rung for each change, through however many connections.
func (l *Live) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := l.store.Listen(ctx, l.ring, func(c Change) {
			l.hintsMu.Lock()
			l.hints[c.Project] = c
			l.hintsMu.Unlock()
			l.ring()
		})
		if ctx.Err() != nil {
			return
		}
		l.log.Info("notifications of privileges are lost: looking twice a second until they are back", logkey.Error, err)
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// ring never waits: one ring more says nothing new.
func (l *Live) ring() {
	select {
	case l.bell <- struct{}{}:
	default:
	}
}
