package quota

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// Use is what a project stores, and how much it may.
type Use struct {
	Project    wire.Key
	Name       string
	Quota      int64 // bytes; 0: none
	Own        bool  // the quota is the project's own, not the server's default
	Level      Level
	Tables     int64 // bytes of its tables when they were measured
	Disk       int64 // bytes on the server's disk then: rows that wait, and exports
	Since      int64 // estimate of what came since
	MeasuredAt time.Time
	Refused    uint64 // submissions since the server started
}

// Used is an estimate of what is stored now.
func (u Use) Used() int64 { return u.Tables + u.Disk + u.Since }

func (a *account) use(project wire.Key) Use {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Use{
		Project: project, Name: a.name, Quota: a.limit, Own: a.own, Level: a.level, Tables: a.measured.Tables, Disk: a.measured.Disk,
		Since: a.since + a.pending, MeasuredAt: a.measured.At, Refused: a.refusals,
	}
}

// Use tells what a project stores.
func (q *Quotas) Use(project wire.Key) Use { return q.account(project).use(project) }

// Uses tells what all projects store, in the order of their names, from behind a name on.
func (q *Quotas) Uses(after string) []Use {
	var list []Use
	for project, a := range q.all() {
		if u := a.use(project); u.Name > after {
			list = append(list, u)
		}
	}
	slices.SortFunc(list, func(a, b Use) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Failures counts measurements that failed since the server started.
func (q *Quotas) Failures() uint64 { return q.failures.Load() }

// Told is what the record holds of a quota. Bytes is absent where it is the server's default, and 0 where there is none.
type Told struct {
	Bytes *int64 `json:"quota_bytes,omitempty"`
}

// Set gives a project a quota of its own: 0 for none, nil for the server's default. It is in force when Set returns.
func (q *Quotas) Set(ctx context.Context, by audit.Actor, project wire.Key, bytes *int64) (Use, error) {
	if bytes != nil && (*bytes < 0 || *bytes > Most) {
		return Use{}, errs.E(wire.Invalid, "a quota is 0 to %d bytes", int64(Most))
	}
	if err := q.take(ctx); err != nil {
		return Use{}, errs.Wrap("quota: set", err)
	}
	defer q.give()
	err := q.Store.SetQuota(ctx, project, bytes, func(name string, before *int64) audit.Entry {
		return audit.New(by, audit.ProjectQuota, project, audit.Asset{Kind: "project", Key: project, Name: name}).Changed(Told{before}, Told{bytes})
	})
	if err != nil {
		q.Wake() // it may have been kept all the same, and is read then
		return Use{}, errs.Wrap("quota: set", err)
	}
	a := q.account(project)
	a.allow(bytes, q.Default)
	q.Look(ctx)
	q.Wake()
	return a.use(project), nil
}

func (a *account) allow(bytes *int64, standard int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.own, a.limit, a.refused = bytes != nil, standard, false
	if bytes != nil {
		a.limit = *bytes
	}
}

// Passed is what the record holds of a project that has passed a level.
type Passed struct {
	Level Level  `json:"level"`
	Used  int64  `json:"used_bytes,omitempty"`
	Quota *int64 `json:"quota_bytes,omitempty"`
}

// note puts on record that a project has passed a level, up or down.
func (q *Quotas) note(ctx context.Context, project wire.Key, a *account) error {
	before, now, u := a.look(project)
	if now == before || u.Name == "" {
		return nil
	}
	entry := audit.New(audit.Server, audit.ProjectStorage, project, audit.Asset{Kind: "project", Key: project, Name: u.Name}).
		Changed(Passed{Level: before}, Passed{Level: now, Used: u.Used(), Quota: &u.Quota})
	switch err := q.Store.KeepLevel(ctx, project, now, entry); {
	case errs.KindOf(err) == wire.NotFound:
		return nil // it was deleted
	case err != nil:
		return errs.Wrap("quota: note the level", err)
	}
	a.mu.Lock()
	a.level = now
	a.mu.Unlock()
	severity, text := slog.LevelInfo, "a project stores less of its quota again"
	if rank(now) > rank(before) {
		severity, text = slog.LevelWarn, "a project has used much of its storage quota"
	}
	if now == Full {
		text = "a project has used up its storage quota: its rows are refused"
	}
	q.Log.Log(ctx, severity, text, logkey.Project, project, logkey.Reason, string(now), logkey.Bytes, u.Used())
	return nil
}

// look gives the level on record and the one that it should be, and forgets what was refused before.
func (a *account) look(project wire.Key) (before, now Level, u Use) {
	u = a.use(project)
	a.mu.Lock()
	defer a.mu.Unlock()
	now = levelOf(a.level, u.Used(), a.limit, a.refused)
	a.refused = false
	return a.level, now, u
}

// full says that the project is on record as full.
func (a *account) full() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.level == Full
}
