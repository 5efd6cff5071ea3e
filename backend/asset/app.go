package asset

import (
	"context"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// appGrace is how long the epoch before the current one is accepted after a rotation.
const appGrace = 15 * time.Minute

func appAsset(app App) audit.Asset { return audit.Asset{Kind: "app", Key: app.Key, Name: app.Name} }

// CreateApp makes an app of a project's, or of the platform's where owner is zero. Names of apps are one namespace, as
// names of packages are.
func (a *Assets) CreateApp(ctx context.Context, by audit.Actor, name, title string, owner wire.Key) (App, error) {
	if err := checkName("name", name); err != nil {
		return App{}, err
	}
	if err := checkTitle(title); err != nil {
		return App{}, err
	}
	app := App{Key: wire.NewKey(), Name: name, Title: title, Owner: owner, Epoch: 1, Revision: 1, CreatedAt: a.now()}
	key, sealed, err := a.draw(appContext(app.Key, app.Epoch))
	if err != nil {
		return App{}, err
	}
	entry := audit.New(by, audit.AppCreate, owner, appAsset(app)).Changed(nil, app)
	credential := Credential{App: app.Key, Epoch: app.Epoch, Sealed: sealed}
	shown := appView{name: name, owner: owner, credentials: []realms.AppCredential{{Epoch: app.Epoch, Key: key}}}
	err = a.change(ctx,
		func(ctx context.Context) error { return a.Store.InsertApp(ctx, app, credential, entry) },
		func(d *draft) { d.putApp(app.Key, shown) })
	return app, errs.Wrap("asset: create app", err)
}

// Apps lists apps in the order of their names.
func (a *Assets) Apps(ctx context.Context, afterName string, limit int) ([]App, error) {
	return a.Store.Apps(ctx, afterName, limit)
}

// AppChange is what an update changes; nil leaves it as it is.
type AppChange struct{ Title *string }

// UpdateApp changes an app that has the revision expected; revision 0 expects any.
func (a *Assets) UpdateApp(ctx context.Context, by audit.Actor, key wire.Key, revision int64, c AppChange) (App, error) {
	old, err := a.Store.App(ctx, key)
	if err != nil {
		return App{}, errs.Wrap("asset: update app", err)
	}
	next := old
	set(&next.Title, c.Title)
	if err := checkUpdate(old.Revision, revision, next.Name, next.Title); err != nil {
		return App{}, err
	}
	next.Revision++
	entry := audit.New(by, audit.AppUpdate, old.Owner, appAsset(old)).Changed(old, next)
	return next, errs.Wrap("asset: update app", a.Store.UpdateApp(ctx, next, entry))
}

// RotateApp gives an app a new credential key; what was derived from the one before it is accepted for appGrace.
func (a *Assets) RotateApp(ctx context.Context, by audit.Actor, key wire.Key) (App, error) {
	old, err := a.Store.App(ctx, key)
	if err != nil {
		return App{}, errs.Wrap("asset: rotate app", err)
	}
	next := old
	next.Epoch++
	next.Revision++
	value, sealed, err := a.draw(appContext(key, next.Epoch))
	if err != nil {
		return App{}, err
	}
	now := a.now()
	change := AppRotation{
		App: next, Next: Credential{App: key, Epoch: next.Epoch, Sealed: sealed}, Until: now.Add(appGrace), Now: now,
	}
	entry := audit.New(by, audit.AppRotate, old.Owner, appAsset(old)).Changed(old, next)
	err = a.change(ctx,
		func(ctx context.Context) error { return a.Store.RotateApp(ctx, change, entry) },
		func(d *draft) {
			d.putApp(key, d.next.apps[key].rotated(realms.AppCredential{Epoch: next.Epoch, Key: value}, change.Until, now))
		})
	return next, errs.Wrap("asset: rotate app", err)
}

// rotated puts next before the credentials that have not ended, of which the current one now ends at until.
func (v appView) rotated(next realms.AppCredential, until, now time.Time) appView {
	kept := []realms.AppCredential{next}
	for _, c := range v.credentials {
		if c.Until.IsZero() {
			c.Until = until
		}
		if now.Before(c.Until) {
			kept = append(kept, c)
		}
	}
	v.credentials = kept
	return v
}

// DeleteApp removes an app that is installed nowhere.
func (a *Assets) DeleteApp(ctx context.Context, by audit.Actor, key wire.Key) error {
	app, err := a.Store.App(ctx, key)
	if err != nil {
		return errs.Wrap("asset: delete app", err)
	}
	entry := audit.New(by, audit.AppDelete, app.Owner, appAsset(app)).Changed(app, nil)
	err = a.change(ctx,
		func(ctx context.Context) error { return a.Store.DeleteApp(ctx, key, entry) },
		func(d *draft) { d.dropApp(key) })
	return errs.Wrap("asset: delete app", err)
}

// AppSecret derives what an app on a device joins its data realm with, for who may know the device's credentials.
func (a *Assets) AppSecret(r realms.Realm, serial wire.Serial) (AppLogin, error) {
	d := a.Directory()
	entry, ok := d.Realm(r.Name())
	device, known := d.Device(serial)
	if !ok || !known || r.Kind != realms.Data || device.Project != r.Project || len(entry.Apps) == 0 {
		return AppLogin{}, errs.E(wire.NotFound, "no such installation and device in one project")
	}
	current := entry.Apps[0]
	id := realms.AppIdentity{App: r.App, Stage: r.Stage, Epoch: current.Epoch, Serial: serial}
	return AppLogin{AuthID: id.AuthID(), Secret: id.Secret(current.Key)}, nil
}
