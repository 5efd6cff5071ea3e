package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"bulkhead/backend/asset"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// DevicePath names a device of a project in a path.
type DevicePath struct {
	ProjectPath
	Device string `path:"device" maxLength:"63" doc:"Name, serial or key"`
	dev    asset.Device
}

func (p *DevicePath) target(ctx context.Context, a *API) (_ Target, err error) {
	if _, err := p.ProjectPath.target(ctx, a); err != nil {
		return Target{}, err
	}
	p.dev, err = a.Assets.FindDeviceOf(ctx, p.found.Key, p.Device)
	return deviceTarget(p.dev), err
}

// AnyDevicePath names a device of whichever project in a path.
type AnyDevicePath struct {
	Device string `path:"device" maxLength:"130" doc:"PROJECT/NAME (with the slash escaped), serial or key"`
	dev    asset.Device
}

func (p *AnyDevicePath) target(ctx context.Context, a *API) (_ Target, err error) {
	if project, name, ok := strings.Cut(p.Device, "/"); ok {
		in := DevicePath{ProjectPath: ProjectPath{Project: project}, Device: name}
		on, err := in.target(ctx, a)
		p.dev = in.dev
		return on, err
	}
	p.dev, err = a.Assets.FindDevice(ctx, p.Device)
	return deviceTarget(p.dev), err
}

func deviceTarget(d asset.Device) Target {
	return Target{Kind: "device", Project: d.Project, Key: d.Key}
}

func deviceOf(d asset.Device) Device {
	return Device{
		Key: d.Key, ProjectKey: d.Project, Name: d.Name, Serial: d.Serial, DeviceRealm: realms.OfProject(d.Project).Name(),
		Suspended: d.Suspended, CreatedAt: d.CreatedAt, ETag: etagOf(d.Revision),
	}
}

func deviceReply(d asset.Device, err error) (*reply[Device], error) {
	return &reply[Device]{ETag: etagOf(d.Revision), Body: deviceOf(d)}, err
}

type (
	deviceCreateInput struct {
		ProjectPath
		Body DeviceCreate
	}
	deviceUpdateInput struct {
		DevicePath
		Condition
		Body DeviceUpdate
	}
	deviceRotateInput struct {
		DevicePath
		Body *DeviceRotate
	}
)

func (a *API) registerDevices() {
	const path, one = "/projects/{project}/devices", "/projects/{project}/devices/{device}"
	handle(a, route{method: http.MethodGet, path: "/devices/{device}", id: "find-device", tag: "devices", summary: "Find a device by PROJECT/NAME, serial or key", flag: wire.DeviceRead}, a.findDevice)
	handle(a, route{method: http.MethodGet, path: path, id: "list-devices", tag: "devices", summary: "List a project's devices", flag: wire.ProjectRead}, a.listDevices)
	handle(a, route{method: http.MethodPost, path: path, id: "create-device", tag: "devices", summary: "Create a device; its flash file is shown this once", flag: wire.ProjectCreateDevice, status: http.StatusCreated}, a.createDevice)
	handle(a, route{method: http.MethodGet, path: one, id: "get-device", tag: "devices", summary: "Show a device", flag: wire.DeviceRead}, a.getDevice)
	handle(a, route{method: http.MethodPatch, path: one, id: "update-device", tag: "devices", summary: "Rename a device", flag: wire.DeviceUpdate}, a.updateDevice)
	handle(a, route{method: http.MethodPost, path: one + "/rotate", id: "rotate-device", tag: "devices", summary: "Give a device a new secret; its flash file is shown this once", flag: wire.DeviceCredentials}, a.rotateDevice)
	handle(a, route{method: http.MethodPost, path: one + "/suspend", id: "suspend-device", tag: "devices", summary: "End a device's sessions and let it join no more", flag: wire.DeviceUpdate}, a.suspendDevice)
	handle(a, route{method: http.MethodPost, path: one + "/resume", id: "resume-device", tag: "devices", summary: "Let a suspended device join again", flag: wire.DeviceUpdate}, a.resumeDevice)
	handle(a, route{method: http.MethodDelete, path: one, id: "revoke-device", tag: "devices", summary: "Delete a device and end its sessions; the rows that it has stored stay", flag: wire.DeviceDelete}, a.revokeDevice)
}

func (a *API) findDevice(_ context.Context, _ caller, in *AnyDevicePath) (*reply[Device], error) {
	return deviceReply(in.dev, nil)
}

func (a *API) listDevices(ctx context.Context, c caller, in *projectListInput) (*reply[List[Device]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	page, err := visiblePage(in.Limit, after,
		func(after string, limit int) ([]asset.Device, error) {
			return a.Assets.Devices(ctx, in.found.Key, after, limit)
		},
		func(d asset.Device) string { return d.Name },
		func(d asset.Device) (Device, bool) { return deviceOf(d), a.Authorizer.Sees(ctx, c.by, deviceTarget(d)) })
	return &reply[List[Device]]{Body: page}, err
}

func (a *API) createDevice(ctx context.Context, c caller, in *deviceCreateInput) (*reply[DeviceFlash], error) {
	d, flash, err := a.Assets.CreateDevice(ctx, c.actor, in.found.Key, in.Body.Name)
	if err != nil {
		return nil, err
	}
	return &reply[DeviceFlash]{
		ETag: etagOf(d.Revision), Location: location("projects", d.Project.String(), "devices", d.Key.String()),
		Body: DeviceFlash{Device: deviceOf(d), Flash: flash},
	}, nil
}

func (a *API) getDevice(_ context.Context, _ caller, in *DevicePath) (*reply[Device], error) {
	return deviceReply(in.dev, nil)
}

func (a *API) updateDevice(ctx context.Context, c caller, in *deviceUpdateInput) (*reply[Device], error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	if in.Body.Name == nil {
		return nil, errs.E(wire.Invalid, "nothing is to be changed: give a name")
	}
	return deviceReply(a.Assets.RenameDevice(ctx, c.actor, in.dev.Key, revision, *in.Body.Name))
}

func (a *API) rotateDevice(ctx context.Context, c caller, in *deviceRotateInput) (*reply[DeviceFlash], error) {
	grace := asset.MaxGrace
	if in.Body != nil && in.Body.GraceSeconds != nil {
		grace = time.Duration(*in.Body.GraceSeconds) * time.Second
	}
	d, flash, err := a.Assets.RotateDevice(ctx, c.actor, in.dev.Key, grace)
	if err != nil {
		return nil, err
	}
	return &reply[DeviceFlash]{ETag: etagOf(d.Revision), Body: DeviceFlash{Device: deviceOf(d), Flash: flash}}, nil
}

func (a *API) suspendDevice(ctx context.Context, c caller, in *DevicePath) (*reply[Device], error) {
	return deviceReply(a.Assets.SuspendDevice(ctx, c.actor, in.dev.Key))
}

func (a *API) resumeDevice(ctx context.Context, c caller, in *DevicePath) (*reply[Device], error) {
	return deviceReply(a.Assets.ResumeDevice(ctx, c.actor, in.dev.Key))
}

func (a *API) revokeDevice(ctx context.Context, c caller, in *DevicePath) (*nothing, error) {
	return &nothing{}, a.Assets.RevokeDevice(ctx, c.actor, in.dev.Key)
}
