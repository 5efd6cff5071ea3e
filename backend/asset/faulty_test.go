package asset_test

import (
	"context"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// mode is how the world fails at a step.
type mode string

const (
	refused  mode = "the step fails and has done nothing"
	doubtful mode = "the step is done, but its answer is lost"
	outage   mode = "this step and all after it fail"
	blackout mode = "the step is done, but its answer is lost and all after it fail"
	killed   mode = "the process dies before the step"
	died     mode = "the process dies after the step"
)

var modes = []mode{refused, doubtful, outage, blackout, killed, died}

var errInjected = errs.E(wire.Unavailable, "injected")

// never is a step that no use case has.
const never = 1 << 30

// death is what a process that dies panics with.
type death struct{}

// faults fails at one step of what the store, the data backends and the exporter are asked to do.
type faults struct {
	mode mode
	at   int
	step int
	dead bool // nothing happens in a process that has died
}

func (f *faults) reached() bool { return f.step >= f.at }

func (f *faults) do(act func() error) error {
	if f.dead {
		panic(death{})
	}
	f.step++
	if f.step < f.at {
		return act()
	}
	first := f.step == f.at
	switch f.mode {
	case refused:
		if first {
			return errInjected
		}
	case outage:
		return errInjected
	case doubtful, blackout:
		if first {
			if err := act(); err != nil {
				return err
			}
			return errInjected
		}
		if f.mode == blackout {
			return errInjected
		}
	case killed, died:
		if f.mode == died {
			_ = act()
		}
		f.dead = true
		panic(death{})
	}
	return act()
}

// faultyStore is a real store whose answers about installations and projects may fail.
type faultyStore struct {
	asset.Store
	f *faults
}

func (s faultyStore) Project(ctx context.Context, key wire.Key) (p asset.Project, err error) {
	err = s.f.do(func() error { p, err = s.Store.Project(ctx, key); return err })
	return p, err
}

func (s faultyStore) Inventory(ctx context.Context) (in asset.Inventory, err error) {
	err = s.f.do(func() error { in, err = s.Store.Inventory(ctx); return err })
	return in, err
}

func (s faultyStore) Installation(ctx context.Context, r realms.Realm) (in asset.Installation, err error) {
	err = s.f.do(func() error { in, err = s.Store.Installation(ctx, r); return err })
	return in, err
}

func (s faultyStore) InstallationsUnfinished(ctx context.Context) (list []asset.Installation, err error) {
	err = s.f.do(func() error { list, err = s.Store.InstallationsUnfinished(ctx); return err })
	return list, err
}

func (s faultyStore) ProjectsRemoving(ctx context.Context) (list []asset.Project, err error) {
	err = s.f.do(func() error { list, err = s.Store.ProjectsRemoving(ctx); return err })
	return list, err
}

func (s faultyStore) BeginInstallation(ctx context.Context, in asset.Installation, e audit.Entry) error {
	return s.f.do(func() error { return s.Store.BeginInstallation(ctx, in, e) })
}

func (s faultyStore) FinishInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error {
	return s.f.do(func() error { return s.Store.FinishInstallation(ctx, r, e) })
}

func (s faultyStore) AbandonInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error {
	return s.f.do(func() error { return s.Store.AbandonInstallation(ctx, r, e) })
}

func (s faultyStore) BeginRemoval(ctx context.Context, r realms.Realm, export bool, e audit.Entry) error {
	return s.f.do(func() error { return s.Store.BeginRemoval(ctx, r, export, e) })
}

func (s faultyStore) MarkExported(ctx context.Context, r realms.Realm, where string, e audit.Entry) error {
	return s.f.do(func() error { return s.Store.MarkExported(ctx, r, where, e) })
}

func (s faultyStore) KeepInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error {
	return s.f.do(func() error { return s.Store.KeepInstallation(ctx, r, e) })
}

func (s faultyStore) DeleteInstallation(ctx context.Context, r realms.Realm, e audit.Entry) error {
	return s.f.do(func() error { return s.Store.DeleteInstallation(ctx, r, e) })
}

func (s faultyStore) BeginProjectRemoval(ctx context.Context, key wire.Key, e audit.Entry) (list []wire.Serial, err error) {
	err = s.f.do(func() error { list, err = s.Store.BeginProjectRemoval(ctx, key, e); return err })
	return list, err
}

func (s faultyStore) DeleteProject(ctx context.Context, key wire.Key, e audit.Entry) error {
	return s.f.do(func() error { return s.Store.DeleteProject(ctx, key, e) })
}

// faultyBackends are data backends that may fail.
type faultyBackends struct {
	*schemas
	f *faults
}

func (b faultyBackends) Provision(ctx context.Context, r realms.Realm, template []byte) error {
	return b.f.do(func() error { return b.schemas.Provision(ctx, r, template) })
}

func (b faultyBackends) Deprovision(ctx context.Context, r realms.Realm) error {
	return b.f.do(func() error { return b.schemas.Deprovision(ctx, r) })
}

// faultyExports may fail.
type faultyExports struct {
	*exports
	f *faults
}

func (e faultyExports) Export(ctx context.Context, r realms.Realm, template []byte) (where string, err error) {
	err = e.f.do(func() error { where, err = e.exports.Export(ctx, r, template); return err })
	return where, err
}
