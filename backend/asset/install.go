package asset

import (
	"context"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/realms"
	"bulkhead/wire"
)

// detached is how long what must be finished or undone may take after its caller has given up.
const detached = 5 * time.Minute

func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), detached)
}

func installationAsset(in Installation) audit.Asset {
	return audit.Asset{Kind: "data_backend", Key: in.Realm.App, Name: in.Project + "/" + in.App + "@" + string(in.Realm.Stage)}
}

func (in Installation) entry(by audit.Actor, action audit.Action) audit.Entry {
	return audit.New(by, action, in.Realm.Project, installationAsset(in))
}

// Install makes an installation, wholly or not at all: its template is checked before anything exists, its realm appears
// when all of it is there, and what fails on the way is undone.
func (a *Assets) Install(ctx context.Context, by audit.Actor, project, app wire.Key, stage wire.Stage, template []byte) (Installation, error) {
	in, err := a.plan(ctx, project, app, stage, template)
	if err != nil {
		return Installation{}, errs.Wrap("asset: install", err)
	}
	release, err := a.claim(in.Realm)
	if err != nil {
		return Installation{}, err
	}
	defer release()
	if err := a.begin(ctx, by, in); err != nil {
		return Installation{}, errs.Wrap("asset: install", err)
	}
	if err := a.Backends.Provision(ctx, in.Realm, in.Template); err != nil {
		return Installation{}, errs.Wrap("asset: install", a.undo(ctx, by, in, err))
	}
	if err := a.finish(ctx, by, in); err != nil {
		return Installation{}, errs.Wrap("asset: install", err)
	}
	in.State = Ready
	a.Log.InfoContext(ctx, "installed", logkey.Realm, in.Realm.Name())
	return in, nil
}

// plan checks all that can be known before anything exists.
func (a *Assets) plan(ctx context.Context, project, app wire.Key, stage wire.Stage, template []byte) (Installation, error) {
	if _, err := wire.ParseStage(string(stage)); err != nil {
		return Installation{}, errs.As(wire.Invalid, err, "stage: want dev or prod")
	}
	owner, err := a.Store.Project(ctx, project)
	if err != nil {
		return Installation{}, err
	}
	wanted, err := a.Store.App(ctx, app)
	if err != nil {
		return Installation{}, err
	}
	if wanted.Owner != 0 && wanted.Owner != project {
		return Installation{}, errs.E(wire.NotFound, "no such app") // another project's: it does not exist here
	}
	if err := a.Backends.Check(template); err != nil {
		return Installation{}, err
	}
	return Installation{
		Realm: realms.OfInstallation(project, app, stage), App: wanted.Name, Project: owner.Name,
		State: Provisioning, Template: template, TemplateVersion: 1, CreatedAt: a.now(),
	}, nil
}

func (a *Assets) begin(ctx context.Context, by audit.Actor, in Installation) error {
	err := a.Store.BeginInstallation(ctx, in, in.entry(by, audit.InstallationProvision).Changed(nil, in))
	if err != nil && doubtful(err) {
		a.damaged.Store(true)
	}
	return err
}

// finish makes the installation ready and its realm appear. Where it is not known whether the row became ready, it asks.
func (a *Assets) finish(ctx context.Context, by audit.Actor, in Installation) error {
	publish := a.publications(in)
	appear := func(d *draft) { d.putInstallation(in.Realm, publish) }
	ready := in
	ready.State = Ready
	entry := in.entry(by, audit.InstallationReady).Changed(in, ready)
	err := a.change(ctx, func(ctx context.Context) error { return a.Store.FinishInstallation(ctx, in.Realm, entry) }, appear)
	if err != nil && a.becameReady(ctx, in) {
		detachedCtx, cancel := detach(ctx)
		defer cancel()
		err = a.change(detachedCtx, func(context.Context) error { return nil }, appear)
	}
	if err != nil {
		return a.undo(ctx, by, in, err)
	}
	a.Watcher.AssignmentsChanged(in.Realm.Project)
	return nil
}

func (a *Assets) becameReady(ctx context.Context, in Installation) bool {
	ctx, cancel := detach(ctx)
	defer cancel()
	stored, err := a.Store.Installation(ctx, in.Realm)
	return err == nil && stored.State == Ready
}

// undo removes what an installation that failed with cause has left, and gives the cause. What cannot be removed now is
// removed by Run or at the next start; until then the row keeps its place.
func (a *Assets) undo(ctx context.Context, by audit.Actor, in Installation, cause error) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	if err := a.undoProvisioning(ctx, by, in); err != nil {
		a.damaged.Store(true)
		a.stale.Store(true)
		a.Log.ErrorContext(ctx, "a failed installation could not be undone yet", logkey.Realm, in.Realm.Name(), logkey.Error, err)
	}
	return cause
}

// undoProvisioning marks the row before it touches the data: one that has become ready after all, because its commit was
// done although we were not told so, keeps its data.
func (a *Assets) undoProvisioning(ctx context.Context, by audit.Actor, in Installation) error {
	after := in
	after.State = Removing
	if err := a.Store.AbandonInstallation(ctx, in.Realm, in.entry(by, audit.InstallationUndo).Failing().Changed(in, after)); err != nil {
		return err
	}
	return a.finishRemoval(ctx, by, after)
}
