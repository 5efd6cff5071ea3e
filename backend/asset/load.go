package asset

import (
	"context"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// load is called by who holds turn.
func (a *Assets) load(ctx context.Context) error {
	a.stale.Store(false) // before reading: what becomes doubtful from here on is read again
	inventory, err := a.Store.Inventory(ctx)
	if err != nil {
		a.stale.Store(true)
		return errs.Wrap("asset: load", err)
	}
	l := loader{Assets: a, ctx: ctx}
	next := emptyView().edit(func(d *draft) { l.fill(d, inventory) })
	if l.opened == 0 && l.failed > 0 {
		a.stale.Store(true)
		return errs.E(wire.Internal, "none of %d stored secrets can be opened: is this the key file that belongs to the database?", l.failed)
	}
	a.publish(next)
	return nil
}

// loader builds a view and counts the secrets that it could open.
type loader struct {
	*Assets
	ctx            context.Context
	opened, failed int
}

func (l *loader) fill(d *draft, in Inventory) {
	for _, p := range in.Projects {
		d.putProject(p)
	}
	l.apps(d, in)
	for _, installed := range in.Installations {
		d.putInstallation(installed.Realm, l.publications(installed))
	}
	l.devices(d, in)
	for _, s := range in.Services {
		if value, ok := l.open(s.Sealed, serviceContext(s.Service)); ok {
			d.PutService(s.Realm, s.Name, value)
		}
	}
}

func (l *loader) apps(d *draft, in Inventory) {
	credentials := map[wire.Key][]realms.AppCredential{}
	for _, c := range in.Credentials {
		if key, ok := l.open(c.Sealed, appContext(c.App, c.Epoch)); ok {
			credentials[c.App] = append(credentials[c.App], realms.AppCredential{Epoch: c.Epoch, Key: key, Until: c.Until})
		}
	}
	for _, app := range in.Apps {
		d.putApp(app.Key, appView{name: app.Name, owner: app.Owner, credentials: credentials[app.Key]})
	}
}

func (l *loader) devices(d *draft, in Inventory) {
	sealed := map[wire.Key][]DeviceSecret{}
	for _, s := range in.Secrets {
		sealed[s.Device] = append(sealed[s.Device], s)
	}
	for _, dev := range in.Devices {
		if secrets, until := l.secrets(dev, sealed[dev.Key]); len(secrets) > 0 {
			d.putDevice(dev, secrets, until)
		}
	}
}

// secrets opens the secrets that are still accepted, newest first.
func (l *loader) secrets(dev Device, sealed []DeviceSecret) (secrets []secret.Value, until time.Time) {
	now := l.Now()
	for _, s := range sealed {
		if !s.Until.IsZero() && !now.Before(s.Until) {
			continue
		}
		value, ok := l.open(s.Sealed, deviceContext(dev, s.Version))
		if !ok {
			continue
		}
		secrets = append(secrets, value)
		if s.Until.After(until) {
			until = s.Until
		}
	}
	return secrets, until
}

// open counts; whom the secret belongs to cannot join until it is rotated, and the others are not kept waiting for that.
func (l *loader) open(sealed []byte, context string) (secret.Value, bool) {
	value, err := l.Sealer.Open(sealed, context)
	if err != nil {
		l.failed++
		l.Log.ErrorContext(l.ctx, "a stored secret cannot be opened: its owner cannot join", logkey.Op, context, logkey.Error, err)
		return secret.Value{}, false
	}
	l.opened++
	return value, true
}

// publications tells what agents publish; a template that is no longer understood has them publish nothing.
func (a *Assets) publications(in Installation) []wire.AgentPublication {
	list, err := a.Sources.AgentPublications(in.Template)
	if err != nil {
		a.Log.Error("the template of an installation cannot be read: agents publish nothing into it", logkey.Realm, in.Realm.Name(), logkey.Error, err)
		return nil
	}
	return list
}
