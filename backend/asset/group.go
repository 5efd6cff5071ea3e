package asset

import (
	"context"
	"strings"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Group is a named set of a project's devices: a site, a floor, a line.
type Group struct {
	Key       wire.Key  `json:"key"`
	Project   wire.Key  `json:"project_key"`
	Name      string    `json:"name"`
	Title     string    `json:"title,omitempty"`
	Revision  int64     `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
}

// GroupStore keeps groups of devices.
type GroupStore interface {
	Group(ctx context.Context, key wire.Key) (Group, error)
	GroupNamed(ctx context.Context, project wire.Key, name string) (Group, error)
	Groups(ctx context.Context, project wire.Key, afterName string, limit int) ([]Group, error)
	// InsertGroup has kind NotFound where the project does not exist or is removing.
	InsertGroup(ctx context.Context, g Group, e audit.Entry) error
	UpdateGroup(ctx context.Context, g Group, e audit.Entry) error // name and title, as UpdateProject
	DeleteGroup(ctx context.Context, key wire.Key, e audit.Entry) error
	DevicesIn(ctx context.Context, group wire.Key, afterName string, limit int) ([]Device, error)
	GroupsWith(ctx context.Context, device wire.Key) ([]wire.Key, error)
	// AddToGroup does nothing where the device is in the group already, and RemoveFromGroup nothing where it is not.
	AddToGroup(ctx context.Context, g Group, device wire.Key, e audit.Entry) error
	RemoveFromGroup(ctx context.Context, g Group, device wire.Key, e audit.Entry) error
}

func (g Group) entry(by audit.Actor, action audit.Action) audit.Entry {
	return audit.New(by, action, g.Project, audit.Asset{Kind: "group", Key: g.Key, Name: g.Name})
}

// FindGroupOf finds a group of one project by its name or key. One of another project does not exist here.
func (a *Assets) FindGroupOf(ctx context.Context, project wire.Key, ref string) (Group, error) {
	if checkName("group", ref) == nil {
		return a.Store.GroupNamed(ctx, project, ref)
	}
	key, err := wire.ParseKey(ref)
	if err != nil {
		return Group{}, noSuch("group")
	}
	g, err := a.Store.Group(ctx, key)
	if err == nil && g.Project != project {
		return Group{}, noSuch("group")
	}
	return g, err
}

// FindGroup finds a group by PROJECT/NAME or its key.
func (a *Assets) FindGroup(ctx context.Context, ref string) (Group, error) {
	if project, name, ok := strings.Cut(ref, "/"); ok {
		p, err := a.FindProject(ctx, project)
		if err != nil {
			return Group{}, noSuch("group")
		}
		return a.FindGroupOf(ctx, p.Key, name)
	}
	key, err := wire.ParseKey(ref)
	if err != nil {
		return Group{}, errs.E(wire.NotFound, "no such group: a group is named PROJECT/NAME or by its key")
	}
	return a.Store.Group(ctx, key)
}

// Groups lists the groups of a project in the order of their names.
func (a *Assets) Groups(ctx context.Context, project wire.Key, afterName string, limit int) ([]Group, error) {
	return a.Store.Groups(ctx, project, afterName, limit)
}

// CreateGroup makes a group without devices.
func (a *Assets) CreateGroup(ctx context.Context, by audit.Actor, project wire.Key, name, title string) (Group, error) {
	if err := checkName("name", name); err != nil {
		return Group{}, err
	}
	if err := checkTitle(title); err != nil {
		return Group{}, err
	}
	g := Group{Key: wire.NewKey(), Project: project, Name: name, Title: title, Revision: 1, CreatedAt: a.now()}
	err := a.Store.InsertGroup(ctx, g, g.entry(by, audit.GroupCreate).Changed(nil, g))
	return g, errs.Wrap("asset: create group", err)
}

// GroupChange is what an update changes; nil leaves it as it is.
type GroupChange struct{ Name, Title *string }

// UpdateGroup changes a group that has the revision expected; revision 0 expects any.
func (a *Assets) UpdateGroup(ctx context.Context, by audit.Actor, old Group, revision int64, c GroupChange) (Group, error) {
	next := old
	set(&next.Name, c.Name)
	set(&next.Title, c.Title)
	if err := checkUpdate(old.Revision, revision, next.Name, next.Title); err != nil {
		return Group{}, err
	}
	next.Revision++
	err := a.Store.UpdateGroup(ctx, next, old.entry(by, audit.GroupUpdate).Changed(old, next))
	return next, errs.Wrap("asset: update group", err)
}

// DeleteGroup deletes a group. Its devices stay; what was granted on it ends.
func (a *Assets) DeleteGroup(ctx context.Context, by audit.Actor, g Group) error {
	err := a.Store.DeleteGroup(ctx, g.Key, g.entry(by, audit.GroupDelete).Changed(g, nil))
	return errs.Wrap("asset: delete group", err)
}

// DevicesIn lists the devices of a group in the order of their names.
func (a *Assets) DevicesIn(ctx context.Context, g Group, afterName string, limit int) ([]Device, error) {
	return a.Store.DevicesIn(ctx, g.Key, afterName, limit)
}

// GroupsWith lists the keys of the groups that a device is in.
func (a *Assets) GroupsWith(ctx context.Context, d Device) ([]wire.Key, error) {
	return a.Store.GroupsWith(ctx, d.Key)
}

// AddToGroup puts a device into a group of its project.
func (a *Assets) AddToGroup(ctx context.Context, by audit.Actor, g Group, d Device) error {
	if d.Project != g.Project {
		return noSuch("device")
	}
	err := a.Store.AddToGroup(ctx, g, d.Key, g.entry(by, audit.GroupAddDevice).Changed(nil, deviceAsset(d)))
	return errs.Wrap("asset: add to group", err)
}

// RemoveFromGroup takes a device out of a group.
func (a *Assets) RemoveFromGroup(ctx context.Context, by audit.Actor, g Group, d Device) error {
	err := a.Store.RemoveFromGroup(ctx, g, d.Key, g.entry(by, audit.GroupRemoveDevice).Changed(deviceAsset(d), nil))
	return errs.Wrap("asset: remove from group", err)
}

// ProjectName gives the name of a project by its key; empty where there is none.
func (a *Assets) ProjectName(key wire.Key) string { return a.known.Load().projects[key] }
