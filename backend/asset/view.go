package asset

import (
	"maps"
	"slices"
	"strings"
	"time"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// view is what this process knows in memory: the directory that the router decides from, and what answers agents while
// the database is down. It is immutable; edit makes the next one.
type view struct {
	directory *realms.Directory
	projects  map[wire.Key]string // names
	apps      map[wire.Key]appView
	// assignments has what the agents of a project are told, in the order of realms. The slices are never changed.
	assignments map[wire.Key][]wire.Assignment
	expiring    map[wire.Serial]expiry
}

// appView is an app's name and its opened credential keys, newest first. The slice is never changed.
type appView struct {
	name        string
	owner       wire.Key
	credentials []realms.AppCredential
}

// expiry says that a device's older secrets end, and which one stays.
type expiry struct {
	at   time.Time
	keep secret.Value
}

func emptyView() *view {
	return &view{
		directory: &realms.Directory{}, projects: map[wire.Key]string{}, apps: map[wire.Key]appView{},
		assignments: map[wire.Key][]wire.Assignment{}, expiring: map[wire.Serial]expiry{},
	}
}

// draft changes a view that nobody else sees yet.
type draft struct {
	*realms.Editor
	before, next *view
}

func (v *view) edit(change func(*draft)) *view {
	next := &view{
		projects: maps.Clone(v.projects), apps: maps.Clone(v.apps),
		assignments: maps.Clone(v.assignments), expiring: maps.Clone(v.expiring),
	}
	next.directory = v.directory.Edit(func(e *realms.Editor) { change(&draft{e, v, next}) })
	return next
}

func (d *draft) putProject(p Project) {
	d.next.projects[p.Key] = p.Name
	d.PutRealm(realms.Entry{Realm: realms.OfProject(p.Key)})
}

// dropProject removes a project with all of its realms, devices and apps.
func (d *draft) dropProject(key wire.Key, devices []wire.Serial) {
	delete(d.next.projects, key)
	d.DeleteRealm(realms.OfProject(key))
	for _, a := range d.next.assignments[key] {
		d.DeleteRealm(realms.OfInstallation(a.Project, a.App, a.Stage))
	}
	delete(d.next.assignments, key)
	maps.DeleteFunc(d.next.apps, func(_ wire.Key, app appView) bool { return app.owner == key })
	for _, serial := range devices {
		d.dropDevice(serial)
	}
}

// putInstallation makes the realm of an installation appear.
func (d *draft) putInstallation(r realms.Realm, publish []wire.AgentPublication) {
	app := d.next.apps[r.App]
	d.PutRealm(realms.Entry{Realm: r, Apps: app.credentials})
	rest := without(d.next.assignments[r.Project], r.Name())
	rest = append(rest, wire.Assignment{
		Realm: r.Name(), Project: r.Project, App: r.App, AppName: app.name, Stage: r.Stage, Publish: publish,
	})
	slices.SortFunc(rest, func(a, b wire.Assignment) int { return strings.Compare(a.Realm, b.Realm) })
	d.next.assignments[r.Project] = rest
}

func (d *draft) dropInstallation(r realms.Realm) {
	d.DeleteRealm(r)
	d.next.assignments[r.Project] = without(d.next.assignments[r.Project], r.Name())
}

// without gives a new slice, since the given one may be read by others.
func without(list []wire.Assignment, realm string) []wire.Assignment {
	kept := make([]wire.Assignment, 0, len(list)+1)
	for _, a := range list {
		if a.Realm != realm {
			kept = append(kept, a)
		}
	}
	return kept
}

// putApp replaces an app's credential keys, also in the realms of its installations.
func (d *draft) putApp(key wire.Key, app appView) {
	d.next.apps[key] = app
	for _, assignments := range d.next.assignments {
		for _, a := range assignments {
			if a.App == key {
				d.PutRealm(realms.Entry{Realm: realms.OfInstallation(a.Project, a.App, a.Stage), Apps: app.credentials})
			}
		}
	}
}

func (d *draft) dropApp(key wire.Key) { delete(d.next.apps, key) }

// putDevice lets a device in with any of secrets, newest first; all but the newest until a time.
func (d *draft) putDevice(dev Device, secrets []secret.Value, until time.Time) {
	d.PutDevice(realms.Device{
		Serial: dev.Serial, Key: dev.Key, Project: dev.Project, Name: dev.Name, Secrets: secrets, Suspended: dev.Suspended,
	})
	delete(d.next.expiring, dev.Serial)
	if len(secrets) > 1 {
		d.next.expiring[dev.Serial] = expiry{at: until, keep: secrets[0]}
	}
}

// changeDevice keeps the secrets that a device has.
func (d *draft) changeDevice(dev Device) {
	if known, ok := d.before.directory.Device(dev.Serial); ok { // it is not where its secret could not be opened
		d.putDevice(dev, known.Secrets, d.before.expiring[dev.Serial].at)
	}
}

// rotateDevice puts the new secret before the one that it replaces, which ends at until or, where that is zero, now.
func (d *draft) rotateDevice(dev Device, next secret.Value, until time.Time) {
	secrets := []secret.Value{next}
	if known, _ := d.before.directory.Device(dev.Serial); !until.IsZero() && len(known.Secrets) > 0 {
		secrets = append(secrets, known.Secrets[0])
	}
	d.putDevice(dev, secrets, until)
}

func (d *draft) dropDevice(serial wire.Serial) {
	delete(d.next.expiring, serial)
	d.DeleteDevice(serial)
}

// retire takes back the older secrets of the devices whose grace has ended.
func (d *draft) retire(due []wire.Serial) {
	for _, serial := range due {
		if dev, ok := d.before.directory.Device(serial); ok {
			dev.Secrets = []secret.Value{d.before.expiring[serial].keep}
			d.PutDevice(dev)
		}
		delete(d.next.expiring, serial)
	}
}

// due lists the devices whose older secrets have ended by now.
func (v *view) due(now time.Time) []wire.Serial {
	var serials []wire.Serial
	for serial, e := range v.expiring {
		if !now.Before(e.at) {
			serials = append(serials, serial)
		}
	}
	return serials
}
