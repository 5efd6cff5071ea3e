package asset

import (
	"context"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// now gives the time in the precision that the database keeps.
func (a *Assets) now() time.Time { return a.Now().UTC().Truncate(time.Microsecond) }

func projectAsset(p Project) audit.Asset {
	return audit.Asset{Kind: "project", Key: p.Key, Name: p.Name}
}

// CreateProject makes a project with its device realm. It belongs to its owners: where none are named, to the service account
// of the server's first owner.
func (a *Assets) CreateProject(ctx context.Context, by audit.Actor, name, title string, owners ...wire.Key) (Project, error) {
	if err := checkName("name", name); err != nil {
		return Project{}, err
	}
	if err := checkTitle(title); err != nil {
		return Project{}, err
	}
	p := Project{Key: wire.NewKey(), Name: name, Title: title, Revision: 1, CreatedAt: a.now()}
	entry := audit.New(by, audit.ProjectCreate, p.Key, projectAsset(p)).Changed(nil, p)
	err := a.change(ctx,
		func(ctx context.Context) error { return a.Store.InsertProject(ctx, p, entry, owners...) },
		func(d *draft) { d.putProject(p) })
	return p, errs.Wrap("asset: create project", err)
}

// Projects lists projects in the order of their names.
func (a *Assets) Projects(ctx context.Context, afterName string, limit int) ([]Project, error) {
	return a.Store.Projects(ctx, afterName, limit)
}

// ProjectChange is what an update changes; nil leaves it as it is.
type ProjectChange struct{ Name, Title *string }

// UpdateProject changes a project that has the revision expected; revision 0 expects any.
func (a *Assets) UpdateProject(ctx context.Context, by audit.Actor, key wire.Key, revision int64, c ProjectChange) (Project, error) {
	old, err := a.Store.Project(ctx, key)
	if err != nil {
		return Project{}, errs.Wrap("asset: update project", err)
	}
	next := old
	set(&next.Name, c.Name)
	set(&next.Title, c.Title)
	if err := checkUpdate(old.Revision, revision, next.Name, next.Title); err != nil {
		return Project{}, err
	}
	next.Revision++
	entry := audit.New(by, audit.ProjectUpdate, key, projectAsset(old)).Changed(old, next)
	err = a.change(ctx,
		func(ctx context.Context) error { return a.Store.UpdateProject(ctx, next, entry) },
		func(d *draft) { d.next.projects[key] = next.Name })
	return next, errs.Wrap("asset: update project", err)
}

// checkUpdate holds for whatever has a revision, a name and a title.
func checkUpdate(revision, expected int64, name, title string) error {
	if expected != 0 && expected != revision {
		return ErrRevision
	}
	if err := checkName("name", name); err != nil {
		return err
	}
	return checkTitle(title)
}

func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

// DeleteProject removes a project with its installations, devices and apps. Its realms disappear first. What it has
// begun it goes on with when the caller gives up, and Run and the next start go on with it where it failed.
func (a *Assets) DeleteProject(ctx context.Context, by audit.Actor, key wire.Key) error {
	p, err := a.Store.Project(ctx, key)
	if err != nil {
		return errs.Wrap("asset: delete project", err)
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	if err := a.beginProjectRemoval(ctx, by, p); err != nil {
		return errs.Wrap("asset: delete project", err)
	}
	if err := a.finishProjectRemoval(ctx, by, p); err != nil {
		a.damaged.Store(true)
		return errs.As(wire.Unavailable, err, "the project's realms are gone; removing its data goes on by itself")
	}
	return nil
}

func (a *Assets) beginProjectRemoval(ctx context.Context, by audit.Actor, p Project) error {
	entry := audit.New(by, audit.ProjectRemove, p.Key, projectAsset(p)).Changed(p, nil)
	var devices []wire.Serial
	err := a.change(ctx,
		func(ctx context.Context) (err error) {
			devices, err = a.Store.BeginProjectRemoval(ctx, p.Key, entry)
			return err
		},
		func(d *draft) { d.dropProject(p.Key, devices) })
	if err != nil && doubtful(err) {
		a.damaged.Store(true)
	}
	return err
}

// finishProjectRemoval removes what is left of a project that is removing.
func (a *Assets) finishProjectRemoval(ctx context.Context, by audit.Actor, p Project) error {
	if err := a.removeInstallationsOf(ctx, by, p.Key); err != nil {
		return err
	}
	entry := audit.New(by, audit.ProjectDelete, p.Key, projectAsset(p)).Changed(p, nil)
	err := a.change(ctx,
		func(ctx context.Context) error { return a.Store.DeleteProject(ctx, p.Key, entry) },
		func(d *draft) { d.dropProject(p.Key, nil) })
	if errs.KindOf(err) == wire.NotFound {
		return nil // somebody else has finished it
	}
	if err == nil {
		a.Log.InfoContext(ctx, "project deleted", logkey.Project, p.Key)
	}
	return err
}
