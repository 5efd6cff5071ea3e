package realms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"strconv"
	"time"

	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Directory is an immutable snapshot of the realms that exist and of the credentials that open them. The router decides
// from it alone, so it keeps admitting devices while the database is down. The zero Directory admits nobody.
type Directory struct {
	realms   map[string]Entry
	devices  map[wire.Serial]Device
	services map[serviceID]secret.Value
}

// Entry is one realm that exists.
type Entry struct {
	Realm Realm
	// Apps has the credential keys of an installation's app, newest first; empty for device realms.
	Apps []AppCredential
}

// AppCredential is one epoch of an app's credential key.
type AppCredential struct {
	Epoch int
	Key   secret.Value
	Until time.Time // accepted before this time; zero for the current epoch
}

// Device is one device that may join its project's realms.
type Device struct {
	Serial    wire.Serial
	Key       wire.Key
	Project   wire.Key
	Name      string
	Secrets   []secret.Value // any of them is accepted: the current one and, during a rotation, the next
	Suspended bool
}

type serviceID struct{ realm, name string }

// Realm finds a realm by its name.
func (d *Directory) Realm(name string) (Entry, bool) {
	e, ok := d.realms[name]
	return e, ok
}

// Realms yields every realm with its name, in no order.
func (d *Directory) Realms() iter.Seq2[string, Entry] { return maps.All(d.realms) }

// Device finds a device by its serial.
func (d *Directory) Device(s wire.Serial) (Device, bool) {
	dev, ok := d.devices[s]
	return dev, ok
}

// Devices yields every device with its serial, in no order.
func (d *Directory) Devices() iter.Seq2[wire.Serial, Device] { return maps.All(d.devices) }

// Service finds the secret of a service principal of a realm by its name, without "service:".
func (d *Directory) Service(realm, name string) (secret.Value, bool) {
	s, ok := d.services[serviceID{realm, name}]
	return s, ok
}

// Edit gives a new Directory with the edits made; d stays as it is.
func (d *Directory) Edit(edit func(*Editor)) *Directory {
	next := &Directory{realms: cloneOrMake(d.realms), devices: cloneOrMake(d.devices), services: cloneOrMake(d.services)}
	edit(&Editor{next})
	return next
}

func cloneOrMake[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// Editor changes a Directory that nobody else sees yet.
type Editor struct{ d *Directory }

// PutRealm adds or replaces a realm.
func (e *Editor) PutRealm(entry Entry) { e.d.realms[entry.Realm.Name()] = entry }

// DeleteRealm removes a realm and its services.
func (e *Editor) DeleteRealm(r Realm) {
	name := r.Name()
	delete(e.d.realms, name)
	maps.DeleteFunc(e.d.services, func(id serviceID, _ secret.Value) bool { return id.realm == name })
}

// PutDevice adds or replaces a device.
func (e *Editor) PutDevice(d Device) { e.d.devices[d.Serial] = d }

// DeleteDevice removes a device.
func (e *Editor) DeleteDevice(s wire.Serial) { delete(e.d.devices, s) }

// PutService adds or replaces a service principal of a realm.
func (e *Editor) PutService(r Realm, name string, s secret.Value) {
	e.d.services[serviceID{r.Name(), name}] = s
}

// DeleteService removes a service principal of a realm.
func (e *Editor) DeleteService(r Realm, name string) {
	delete(e.d.services, serviceID{r.Name(), name})
}

// AppIdentity is what an app on a device says to join: which app, at which stage, on which device, with which epoch of
// the app's credential key.
type AppIdentity struct {
	App    wire.Key
	Stage  wire.Stage
	Epoch  int
	Serial wire.Serial
}

var appAuthID = regexp.MustCompile(`^app-([0-9]+)-(dev|prod)-e(0|[1-9][0-9]{0,8})@([0-9a-f-]{36})$`)

// ParseAppAuthID reads an authid of the form app-<app key>-<stage>-e<epoch>@<serial>.
func ParseAppAuthID(authid string) (AppIdentity, bool) {
	m := appAuthID.FindStringSubmatch(authid)
	if m == nil {
		return AppIdentity{}, false
	}
	app, errApp := wire.ParseKey(m[1])
	serial, errSerial := wire.ParseSerial(m[4])
	epoch, errEpoch := strconv.Atoi(m[3])
	if errApp != nil || errSerial != nil || errEpoch != nil {
		return AppIdentity{}, false
	}
	return AppIdentity{App: app, Stage: wire.Stage(m[2]), Epoch: epoch, Serial: serial}, true
}

// AuthID gives the authid that ParseAppAuthID reads.
func (i AppIdentity) AuthID() string {
	return fmt.Sprintf("app-%s-%s-e%d@%s", i.App, i.Stage, i.Epoch, i.Serial)
}

// Secret derives the WAMP-CRA secret of an app on a device from the app's credential key of the identity's epoch.
func (i AppIdentity) Secret(key secret.Value) secret.Value {
	mac := hmac.New(sha256.New, key.Reveal())
	fmt.Fprintf(mac, "ironflock/app-cred/v1|%s|%s|%s|%d", i.Serial, i.App, i.Stage.Upper(), i.Epoch)
	return secret.FromString(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
