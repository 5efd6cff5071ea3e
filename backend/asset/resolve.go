package asset

import (
	"context"
	"slices"
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// People name things in several ways: by key, by name, by serial. Each of these reads one of them.

// FindProject finds a project by its name or key.
func (a *Assets) FindProject(ctx context.Context, ref string) (Project, error) {
	if key, err := wire.ParseKey(ref); err == nil {
		return a.Store.Project(ctx, key)
	}
	if checkName("project", ref) != nil {
		return Project{}, noSuch("project")
	}
	return a.Store.ProjectNamed(ctx, ref)
}

// FindApp finds an app by its name or key.
func (a *Assets) FindApp(ctx context.Context, ref string) (App, error) {
	if key, err := wire.ParseKey(ref); err == nil {
		return a.Store.App(ctx, key)
	}
	if checkName("app", ref) != nil {
		return App{}, noSuch("app")
	}
	return a.Store.AppNamed(ctx, ref)
}

// FindDevice finds a device by PROJECT/NAME, its serial or its key.
func (a *Assets) FindDevice(ctx context.Context, ref string) (Device, error) {
	if project, name, ok := strings.Cut(ref, "/"); ok {
		p, err := a.FindProject(ctx, project)
		if err != nil {
			return Device{}, err
		}
		return a.FindDeviceOf(ctx, p.Key, name)
	}
	if serial, err := wire.ParseSerial(ref); err == nil {
		return a.Store.DeviceWithSerial(ctx, serial)
	}
	if key, err := wire.ParseKey(ref); err == nil {
		return a.Store.Device(ctx, key)
	}
	return Device{}, errs.E(wire.NotFound, "no such device: a device is named PROJECT/NAME, by its serial or by its key")
}

// FindDeviceOf finds a device of one project by its name, serial or key. One of another project does not exist here.
func (a *Assets) FindDeviceOf(ctx context.Context, project wire.Key, ref string) (Device, error) {
	if checkName("device", ref) == nil {
		return a.Store.DeviceNamed(ctx, project, ref)
	}
	if strings.Contains(ref, "/") {
		return Device{}, noSuch("device")
	}
	d, err := a.FindDevice(ctx, ref)
	if err == nil && d.Project != project {
		return Device{}, noSuch("device")
	}
	return d, err
}

// FindRealm finds a realm that exists by its name, or an installation's by PROJECT/APP@STAGE.
func (a *Assets) FindRealm(ctx context.Context, ref string) (realms.Realm, error) {
	r, err := a.readRealm(ctx, ref)
	if err != nil {
		return realms.Realm{}, err
	}
	if _, ok := a.Directory().Realm(r.Name()); !ok {
		return realms.Realm{}, noSuch("realm")
	}
	return r, nil
}

func (a *Assets) readRealm(ctx context.Context, ref string) (realms.Realm, error) {
	if r, err := realms.Parse(ref); err == nil {
		return r, nil
	}
	project, rest, hasProject := strings.Cut(ref, "/")
	app, stage, hasStage := strings.Cut(rest, "@")
	parsed, err := wire.ParseStage(stage)
	if !hasProject || !hasStage || err != nil {
		return realms.Realm{}, errs.E(wire.NotFound, "no such realm: a realm is named like realm-1-2-prod, device-1 or PROJECT/APP@STAGE")
	}
	p, err := a.FindProject(ctx, project)
	if err != nil {
		return realms.Realm{}, err
	}
	found, err := a.FindApp(ctx, app)
	if err != nil {
		return realms.Realm{}, err
	}
	return realms.OfInstallation(p.Key, found.Key, parsed), nil
}

// FindInstallation finds an installation in any state, by the same names as FindRealm.
func (a *Assets) FindInstallation(ctx context.Context, ref string) (Installation, error) {
	r, err := a.readRealm(ctx, ref)
	if err != nil {
		return Installation{}, err
	}
	if r.Kind != realms.Data {
		return Installation{}, noSuch("installation")
	}
	return a.Store.Installation(ctx, r)
}

// Installations lists those of a project, or of all where project is zero, in the order of project, app and stage, without their templates.
func (a *Assets) Installations(ctx context.Context, project wire.Key, after realms.Realm, limit int) ([]Installation, error) {
	return a.Store.Installations(ctx, project, after, limit)
}

func noSuch(what string) error { return errs.E(wire.NotFound, "no such %s", what) }

// NamedRealm is a realm that exists, with the names of what it belongs to.
type NamedRealm struct {
	realms.Realm
	ProjectName string
	AppName     string // empty for device realms
}

// Realms lists the realms that exist in the order of their names, from the one after afterName, as far as each may be seen.
func (a *Assets) Realms(afterName string, limit int, visible func(realms.Realm) bool) []NamedRealm {
	known := a.known.Load()
	var names []string
	for name, entry := range known.directory.Realms() {
		if name > afterName && visible(entry.Realm) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	list := make([]NamedRealm, 0, min(limit, len(names)))
	for _, name := range names[:min(limit, len(names))] {
		entry, _ := known.directory.Realm(name)
		list = append(list, known.named(entry.Realm))
	}
	return list
}

// NameRealm gives the names that belong to a realm.
func (a *Assets) NameRealm(r realms.Realm) NamedRealm { return a.known.Load().named(r) }

func (v *view) named(r realms.Realm) NamedRealm {
	return NamedRealm{Realm: r, ProjectName: v.projects[r.Project], AppName: v.apps[r.App].name}
}
