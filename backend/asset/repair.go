package asset

import (
	"context"
	"errors"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// Times of Run.
const (
	tick        = time.Second
	repairEvery = 15 * time.Second
)

// Repair goes on with what a crash or a failure has left half done: what was being provisioned is undone, what was being
// removed is finished, or given back where an export was wanted and is not there. What this process is at is left alone.
func (a *Assets) Repair(ctx context.Context) error {
	a.damaged.Store(false)
	if a.stale.Load() { // a realm whose removal has begun must be gone before its data is
		if err := a.Load(ctx); err != nil {
			a.damaged.Store(true)
			return err
		}
	}
	list, err := a.Store.InstallationsUnfinished(ctx)
	if err != nil {
		a.damaged.Store(true)
		return errs.Wrap("asset: repair", err)
	}
	var failures []error
	for _, in := range list {
		failures = append(failures, a.repair(ctx, in))
	}
	removing, err := a.Store.ProjectsRemoving(ctx)
	failures = append(failures, err)
	for _, p := range removing {
		failures = append(failures, a.finishProjectRemoval(ctx, audit.Server, p))
	}
	if err := errors.Join(failures...); err != nil {
		a.damaged.Store(true)
		return errs.Wrap("asset: repair", err)
	}
	return nil
}

func (a *Assets) repair(ctx context.Context, in Installation) error {
	release, err := a.claim(in.Realm)
	if err != nil {
		return nil // somebody here is at it
	}
	defer release()
	in, err = a.Store.Installation(ctx, in.Realm) // as it is, now that nobody else is at it
	if errs.KindOf(err) == wire.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	a.Log.WarnContext(ctx, "repairing an installation that was left half done", logkey.Realm, in.Realm.Name(), logkey.Reason, string(in.State))
	switch {
	case in.State == Provisioning:
		return a.undoProvisioning(ctx, audit.Server, in)
	case in.State == Removing && in.ExportWanted && in.ExportedTo == "":
		return a.keep(ctx, audit.Server, in)
	case in.State == Removing:
		return a.finishRemoval(ctx, audit.Server, in)
	default:
		return nil
	}
}

// removeInstallationsOf removes the installations of a project that is removing.
func (a *Assets) removeInstallationsOf(ctx context.Context, by audit.Actor, project wire.Key) error {
	list, err := a.Store.InstallationsUnfinished(ctx)
	if err != nil {
		return err
	}
	for _, in := range list {
		if in.Realm.Project != project {
			continue
		}
		release, err := a.claim(in.Realm)
		if err != nil {
			return err
		}
		err = a.finishRemoval(ctx, by, in)
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

// Run keeps the directory true until ctx ends: it takes back secrets whose grace is over, reads again what is in doubt,
// and goes on with what was left half done.
func (a *Assets) Run(ctx context.Context) {
	every := time.NewTicker(tick)
	defer every.Stop()
	var repaired time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if a.stale.Load() {
			a.warn(ctx, "load", a.Load(ctx))
		}
		if a.damaged.Load() && a.Now().Sub(repaired) >= repairEvery {
			repaired = a.Now()
			a.warn(ctx, "repair", a.Repair(ctx))
		}
		a.warn(ctx, "retire secrets", a.Retire(ctx))
	}
}

func (a *Assets) warn(ctx context.Context, op string, err error) {
	if err != nil && ctx.Err() == nil {
		a.Log.WarnContext(ctx, "assets: will be tried again", logkey.Op, op, logkey.Error, err)
	}
}

// Retire takes back the older secrets of devices whose grace is over: at once from the directory, then from the store.
func (a *Assets) Retire(ctx context.Context) error {
	if len(a.known.Load().due(a.Now())) == 0 {
		return nil
	}
	if err := a.take(ctx); err != nil {
		return err
	}
	defer a.give()
	known := a.known.Load()
	due := known.due(a.Now())
	a.publish(known.edit(func(d *draft) { d.retire(due) }))
	var failures []error
	for _, serial := range due {
		failures = append(failures, a.Store.RetireSecrets(ctx, serial))
	}
	return errs.Wrap("asset: retire secrets", errors.Join(failures...))
}

// Healthy reports what is in doubt or half done, for readiness.
func (a *Assets) Healthy(context.Context) error {
	switch {
	case a.stale.Load():
		return errs.E(wire.Unavailable, "the directory of realms may be older than the database")
	case a.damaged.Load():
		return errs.E(wire.Unavailable, "an installation is left half done and will be repaired")
	default:
		return nil
	}
}
