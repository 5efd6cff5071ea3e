package asset

import (
	"context"
	"encoding/base64"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// MaxGrace is how long a device's older secret may stay accepted after a rotation, and how long it is by default.
const MaxGrace = time.Hour

func deviceAsset(d Device) audit.Asset {
	return audit.Asset{Kind: "device", Key: d.Key, Name: d.Name}
}

func (d Device) entry(by audit.Actor, action audit.Action) audit.Entry {
	return audit.New(by, action, d.Project, deviceAsset(d))
}

// CreateDevice makes a device and gives, once, what is to be written onto it.
func (a *Assets) CreateDevice(ctx context.Context, by audit.Actor, project wire.Key, name string) (Device, wire.Flash, error) {
	if err := checkName("name", name); err != nil {
		return Device{}, wire.Flash{}, err
	}
	d := Device{
		Key: wire.NewKey(), Project: project, Name: name, Serial: wire.NewSerial(),
		SecretVersion: 1, Revision: 1, CreatedAt: a.now(),
	}
	value, sealed, err := a.draw(deviceContext(d, 1))
	if err != nil {
		return Device{}, wire.Flash{}, err
	}
	first := DeviceSecret{Device: d.Key, Version: 1, Sealed: sealed}
	entry := d.entry(by, audit.DeviceCreate).Changed(nil, d)
	err = a.change(ctx,
		func(ctx context.Context) error { return a.Store.InsertDevice(ctx, d, first, entry) },
		func(dr *draft) { dr.putDevice(d, []secret.Value{value}, time.Time{}) })
	if err != nil {
		return Device{}, wire.Flash{}, errs.Wrap("asset: create device", err)
	}
	return d, a.flash(d, value), nil
}

func (a *Assets) flash(d Device, value secret.Value) wire.Flash {
	return wire.Flash{
		Version: wire.Version, Router: a.Enrolment.Router, CA: a.Enrolment.CA,
		Project: d.Project, Device: d.Key, Name: d.Name, Serial: d.Serial,
		DeviceRealm: realms.OfProject(d.Project).Name(), Secret: string(value.Reveal()),
		GrantKey: base64.StdEncoding.EncodeToString(a.Enrolment.GrantKey),
	}
}

// Devices lists the devices of a project in the order of their names.
func (a *Assets) Devices(ctx context.Context, project wire.Key, afterName string, limit int) ([]Device, error) {
	return a.Store.Devices(ctx, project, afterName, limit)
}

// RenameDevice changes the name of a device that has the revision expected; revision 0 expects any.
func (a *Assets) RenameDevice(ctx context.Context, by audit.Actor, key wire.Key, revision int64, name string) (Device, error) {
	return a.updateDevice(ctx, by, audit.DeviceUpdate, key, revision, func(d *Device) { d.Name = name })
}

// SuspendDevice ends a device's sessions and lets it join no more, until it is resumed.
func (a *Assets) SuspendDevice(ctx context.Context, by audit.Actor, key wire.Key) (Device, error) {
	return a.updateDevice(ctx, by, audit.DeviceSuspend, key, 0, func(d *Device) { d.Suspended = true })
}

// ResumeDevice lets a suspended device join again.
func (a *Assets) ResumeDevice(ctx context.Context, by audit.Actor, key wire.Key) (Device, error) {
	return a.updateDevice(ctx, by, audit.DeviceResume, key, 0, func(d *Device) { d.Suspended = false })
}

func (a *Assets) updateDevice(ctx context.Context, by audit.Actor, action audit.Action, key wire.Key, revision int64, to func(*Device)) (Device, error) {
	op := "asset: " + string(action)
	old, err := a.Store.Device(ctx, key)
	if err != nil {
		return Device{}, errs.Wrap(op, err)
	}
	next := old
	to(&next)
	if err := checkUpdate(old.Revision, revision, next.Name, ""); err != nil {
		return Device{}, err
	}
	if next == old {
		return old, nil
	}
	next.Revision++
	err = a.change(ctx,
		func(ctx context.Context) error {
			return a.Store.UpdateDevice(ctx, next, old.entry(by, action).Changed(old, next))
		},
		func(d *draft) { d.changeDevice(next) })
	return next, errs.Wrap(op, err)
}

// RotateDevice gives a device a new secret, once, in what is to be written onto it. The older one is accepted until grace
// is over; with no grace it ends at once. There are never more than two: while a grace lasts, only a rotation without one
// is done.
func (a *Assets) RotateDevice(ctx context.Context, by audit.Actor, key wire.Key, grace time.Duration) (Device, wire.Flash, error) {
	if grace < 0 || grace > MaxGrace {
		return Device{}, wire.Flash{}, errs.E(wire.Invalid, "grace: want 0 to %s", MaxGrace)
	}
	old, err := a.Store.Device(ctx, key)
	if err != nil {
		return Device{}, wire.Flash{}, errs.Wrap("asset: rotate device", err)
	}
	if err := a.checkRotation(ctx, key, grace); err != nil {
		return Device{}, wire.Flash{}, errs.Wrap("asset: rotate device", err)
	}
	next := old
	next.SecretVersion++
	next.Revision++
	value, sealed, err := a.draw(deviceContext(next, next.SecretVersion))
	if err != nil {
		return Device{}, wire.Flash{}, err
	}
	change := DeviceRotation{Device: next, Next: DeviceSecret{Device: key, Version: next.SecretVersion, Sealed: sealed}}
	if grace > 0 {
		change.Until = a.now().Add(grace)
	}
	err = a.change(ctx,
		func(ctx context.Context) error {
			return a.Store.RotateDevice(ctx, change, old.entry(by, audit.DeviceRotate).Changed(old, next))
		},
		func(d *draft) { d.rotateDevice(next, value, change.Until) })
	if err != nil {
		return Device{}, wire.Flash{}, errs.Wrap("asset: rotate device", err)
	}
	return next, a.flash(next, value), nil
}

func (a *Assets) checkRotation(ctx context.Context, key wire.Key, grace time.Duration) error {
	if grace == 0 {
		return nil
	}
	secrets, err := a.Store.DeviceSecrets(ctx, key)
	if err != nil {
		return err
	}
	for _, s := range secrets {
		if a.Now().Before(s.Until) {
			return errs.E(wire.Conflict, "a rotation is under way until %s: wait for its end, or rotate without grace, which ends the older secrets at once", s.Until.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// RevokeDevice removes a device and ends its sessions. The rows that it has stored stay.
func (a *Assets) RevokeDevice(ctx context.Context, by audit.Actor, key wire.Key) error {
	d, err := a.Store.Device(ctx, key)
	if err != nil {
		return errs.Wrap("asset: revoke device", err)
	}
	err = a.change(ctx,
		func(ctx context.Context) error {
			return a.Store.DeleteDevice(ctx, key, d.entry(by, audit.DeviceRevoke).Changed(d, nil))
		},
		func(dr *draft) { dr.dropDevice(d.Serial) })
	return errs.Wrap("asset: revoke device", err)
}

// Assignments tells which installations a device serves. It is answered from memory, also while the database is down.
func (a *Assets) Assignments(_ context.Context, serial wire.Serial) (wire.AssignmentsReply, error) {
	known := a.known.Load()
	d, ok := known.directory.Device(serial)
	if !ok || d.Suspended {
		return wire.AssignmentsReply{}, errs.E(wire.Denied, "not a device that may serve here")
	}
	return wire.AssignmentsReply{Assignments: known.assignments[d.Project]}, nil
}
