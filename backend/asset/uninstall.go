package asset

import (
	"context"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Uninstall removes an installation: first its realm, so that nobody writes any more, then, after an export where one is
// wanted, its data. It gives the place of the export. Where the export fails the installation stays as it was. What it has
// begun it goes on with when the caller gives up, and Run and the next start go on with it where it failed.
func (a *Assets) Uninstall(ctx context.Context, by audit.Actor, r realms.Realm, export bool) (string, error) {
	if export && a.Exporter == nil {
		return "", errs.E(wire.Unavailable, "this server keeps no exports")
	}
	in, err := a.Store.Installation(ctx, r)
	if err != nil {
		return "", errs.Wrap("asset: uninstall", err)
	}
	release, err := a.claim(r)
	if err != nil {
		return "", err
	}
	defer release()
	ctx, cancel := detach(ctx)
	defer cancel()
	if err := a.beginRemoval(ctx, by, in, export); err != nil {
		return "", errs.Wrap("asset: uninstall", err)
	}
	in.State, in.ExportWanted = Removing, export
	where, err := a.exportBefore(ctx, by, in)
	if err != nil {
		return "", errs.Wrap("asset: uninstall", err)
	}
	if err := a.finishRemoval(ctx, by, in); err != nil {
		a.damaged.Store(true)
		return where, errs.As(wire.Unavailable, err, "the realm is gone; removing its data goes on by itself")
	}
	return where, nil
}

func (a *Assets) beginRemoval(ctx context.Context, by audit.Actor, in Installation, export bool) error {
	next := in
	next.State, next.ExportWanted = Removing, export
	entry := in.entry(by, audit.InstallationRemove).Changed(in, next)
	err := a.change(ctx,
		func(ctx context.Context) error { return a.Store.BeginRemoval(ctx, in.Realm, export, entry) },
		func(d *draft) { d.dropInstallation(in.Realm) })
	if err != nil {
		if doubtful(err) {
			a.damaged.Store(true)
		}
		return err
	}
	a.Watcher.AssignmentsChanged(in.Realm.Project)
	return nil
}

// exportBefore keeps the export that is wanted and not made yet, and gives the installation back where that fails.
func (a *Assets) exportBefore(ctx context.Context, by audit.Actor, in Installation) (string, error) {
	if !in.ExportWanted || in.ExportedTo != "" {
		return in.ExportedTo, nil
	}
	where, err := a.Exporter.Export(ctx, in.Realm, in.Template)
	if err == nil {
		after := in
		after.ExportedTo = where
		err = a.Store.MarkExported(ctx, in.Realm, where, in.entry(by, audit.InstallationExport).Changed(in, after))
	}
	if err == nil {
		return where, nil
	}
	if errKeep := a.keep(ctx, by, in); errKeep != nil {
		a.damaged.Store(true)
		a.Log.ErrorContext(ctx, "an installation whose export failed could not be given back yet", logkey.Realm, in.Realm.Name(), logkey.Error, errKeep)
	}
	return "", err
}

// keep gives up a removal before anything is lost. All is read again, since the realm had services too.
func (a *Assets) keep(ctx context.Context, by audit.Actor, in Installation) error {
	after := in
	after.State, after.ExportWanted = Ready, false
	entry := in.entry(by, audit.InstallationKeep).Changed(in, after)
	if err := a.Store.KeepInstallation(ctx, in.Realm, entry); err != nil {
		return err
	}
	a.stale.Store(true)
	if err := a.Load(ctx); err != nil {
		return err
	}
	a.Watcher.AssignmentsChanged(in.Realm.Project)
	return nil
}

// finishRemoval removes the data and then the row of an installation that is removing.
func (a *Assets) finishRemoval(ctx context.Context, by audit.Actor, in Installation) error {
	if err := a.Backends.Deprovision(ctx, in.Realm); err != nil {
		return err
	}
	err := a.Store.DeleteInstallation(ctx, in.Realm, in.entry(by, audit.InstallationDelete).Changed(in, nil))
	if err != nil && errs.KindOf(err) != wire.NotFound { // not found: it was deleted although we were not told so
		return err
	}
	a.Log.InfoContext(ctx, "uninstalled", logkey.Realm, in.Realm.Name())
	return nil
}
