package httpapi

import (
	"context"
	"net/http"
	"strings"

	"bulkhead/backend/asset"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// GroupPath names a group of a project's devices in a path.
type GroupPath struct {
	ProjectPath
	Group string `path:"group" maxLength:"63" doc:"Name or key"`
	group asset.Group
}

func (p *GroupPath) target(ctx context.Context, a *API) (_ Target, err error) {
	if _, err := p.ProjectPath.target(ctx, a); err != nil {
		return Target{}, err
	}
	p.group, err = a.Assets.FindGroupOf(ctx, p.found.Key, p.Group)
	return groupTarget(p.group), err
}

// anyGroupPath is a group of whichever project, by PROJECT/NAME or its key.
type anyGroupPath struct {
	ref   string
	group asset.Group
}

func (p *anyGroupPath) target(ctx context.Context, a *API) (_ Target, err error) {
	if project, name, ok := strings.Cut(p.ref, "/"); ok {
		in := GroupPath{ProjectPath: ProjectPath{Project: project}, Group: name}
		on, err := in.target(ctx, a)
		p.group = in.group
		return on, err
	}
	p.group, err = a.Assets.FindGroup(ctx, p.ref)
	return groupTarget(p.group), err
}

func groupTarget(g asset.Group) Target {
	return Target{Kind: string(wire.AssetGroup), Project: g.Project, Key: g.Key}
}

func groupReply(g asset.Group, err error) (*reply[Group], error) {
	return &reply[Group]{ETag: etagOf(g.Revision), Body: groupOf(g)}, err
}

func groupOf(g asset.Group) Group {
	return Group{Key: g.Key, ProjectKey: g.Project, Name: g.Name, Title: g.Title, CreatedAt: g.CreatedAt, ETag: etagOf(g.Revision)}
}

type (
	groupListInput struct {
		ProjectPath
		Page
	}
	groupCreateInput struct {
		ProjectPath
		Body GroupCreate
	}
	groupUpdateInput struct {
		GroupPath
		Condition
		Body GroupUpdate
	}
	groupDevicesInput struct {
		GroupPath
		Page
	}
	groupDeviceInput struct {
		GroupPath
		Device string `path:"device" maxLength:"63" doc:"Name, serial or key of a device of the project"`
	}
)

func (a *API) registerGroups() {
	const path, one = "/projects/{project}/groups", "/projects/{project}/groups/{group}"
	handle(a, route{method: http.MethodGet, path: path, id: "list-groups", tag: "groups", summary: "List the groups of a project's devices that one sees", flag: wire.ProjectRead}, a.listGroups)
	handle(a, route{method: http.MethodPost, path: path, id: "create-group", tag: "groups", summary: "Create a group of devices", flag: wire.ProjectCreateGroup, status: http.StatusCreated}, a.createGroup)
	handle(a, route{method: http.MethodGet, path: one, id: "get-group", tag: "groups", summary: "Show a group", flag: wire.GroupRead}, a.getGroup)
	handle(a, route{method: http.MethodPatch, path: one, id: "update-group", tag: "groups", summary: "Change a group's name or title", flag: wire.GroupUpdate}, a.updateGroup)
	handle(a, route{method: http.MethodDelete, path: one, id: "delete-group", tag: "groups", summary: "Delete a group and what was granted on it; its devices stay", flag: wire.GroupDelete}, a.deleteGroup)
	handle(a, route{method: http.MethodGet, path: one + "/devices", id: "list-group-devices", tag: "groups", summary: "List the devices of a group that one sees", flag: wire.GroupRead}, a.listGroupDevices)
	handle(a, route{method: http.MethodPut, path: one + "/devices/{device}", id: "add-group-device", tag: "groups", summary: "Add a device to a group, on which one holds what the group gives others", flag: wire.GroupAddDevice}, a.addGroupDevice)
	handle(a, route{method: http.MethodDelete, path: one + "/devices/{device}", id: "remove-group-device", tag: "groups", summary: "Take a device out of a group", flag: wire.GroupRemoveDevice}, a.removeGroupDevice)
}

func (a *API) listGroups(ctx context.Context, c caller, in *groupListInput) (*reply[List[Group]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	page, err := visiblePage(in.Limit, after,
		func(after string, limit int) ([]asset.Group, error) {
			return a.Assets.Groups(ctx, in.found.Key, after, limit)
		},
		func(g asset.Group) string { return g.Name },
		func(g asset.Group) (Group, bool) { return groupOf(g), a.Authorizer.Sees(ctx, c.by, groupTarget(g)) })
	return &reply[List[Group]]{Body: page}, err
}

func (a *API) createGroup(ctx context.Context, c caller, in *groupCreateInput) (*reply[Group], error) {
	g, err := a.Assets.CreateGroup(ctx, c.actor, in.found.Key, in.Body.Name, in.Body.Title)
	if err != nil {
		return nil, err
	}
	return &reply[Group]{
		ETag: etagOf(g.Revision), Location: location("projects", g.Project.String(), "groups", g.Key.String()), Body: groupOf(g),
	}, nil
}

func (a *API) getGroup(_ context.Context, _ caller, in *GroupPath) (*reply[Group], error) {
	return groupReply(in.group, nil)
}

func (a *API) updateGroup(ctx context.Context, c caller, in *groupUpdateInput) (*reply[Group], error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	return groupReply(a.Assets.UpdateGroup(ctx, c.actor, in.group, revision, asset.GroupChange{Name: in.Body.Name, Title: in.Body.Title}))
}

func (a *API) deleteGroup(ctx context.Context, c caller, in *GroupPath) (*nothing, error) {
	if err := a.Assets.DeleteGroup(ctx, c.actor, in.group); err != nil {
		return nil, err
	}
	return &nothing{}, a.Granting.Refresh(ctx, in.found.Key)
}

func (a *API) listGroupDevices(ctx context.Context, c caller, in *groupDevicesInput) (*reply[List[Device]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	page, err := visiblePage(in.Limit, after,
		func(after string, limit int) ([]asset.Device, error) {
			return a.Assets.DevicesIn(ctx, in.group, after, limit)
		},
		func(d asset.Device) string { return d.Name },
		func(d asset.Device) (Device, bool) { return deviceOf(d), a.Authorizer.Sees(ctx, c.by, deviceTarget(d)) })
	return &reply[List[Device]]{Body: page}, err
}

// device finds a device that the caller sees.
func (in *groupDeviceInput) device(ctx context.Context, a *API, c caller) (asset.Device, error) {
	d, err := a.Assets.FindDeviceOf(ctx, in.found.Key, in.Device)
	if err == nil && !a.Authorizer.Sees(ctx, c.by, deviceTarget(d)) {
		err = errs.E(wire.NotFound, "no such device")
	}
	return d, err
}

// addGroupDevice gives to others what was granted on the group, so it is granting: nobody does it who does not hold that on
// the device.
func (a *API) addGroupDevice(ctx context.Context, c caller, in *groupDeviceInput) (*nothing, error) {
	d, err := in.device(ctx, a, c)
	if err != nil {
		return nil, err
	}
	for _, flag := range a.Granting.Live().Snapshot().Conveys(in.found.Key, in.group.Key).Flags() {
		if !a.Authorizer.May(ctx, c.by, flag, deviceTarget(d)) {
			return nil, errs.E(wire.Denied, "in this group the device is open to others for %s, which you do not hold on it", flag)
		}
	}
	if err := a.Assets.AddToGroup(ctx, c.actor, in.group, d); err != nil {
		return nil, err
	}
	return &nothing{}, a.Granting.Refresh(ctx, in.found.Key)
}

func (a *API) removeGroupDevice(ctx context.Context, c caller, in *groupDeviceInput) (*nothing, error) {
	d, err := in.device(ctx, a, c)
	if err != nil {
		return nil, err
	}
	if err := a.Assets.RemoveFromGroup(ctx, c.actor, in.group, d); err != nil {
		return nil, err
	}
	return &nothing{}, a.Granting.Refresh(ctx, in.found.Key)
}
