package authn

import (
	"strings"
	"time"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// servicePrefix begins the authid of a service principal.
const servicePrefix = "service:"

// claim is a request that found its realm; it is not changed. Whether its principal exists is not to be seen from outside.
type claim struct {
	directory *realms.Directory
	entry     realms.Entry
	request   Request
}

// role is the role that the authid would get in the realm. It depends on the form of the authid alone, not on whether
// there is such a principal, so that a challenge may name it.
func (c *claim) role() realms.Role {
	switch {
	case strings.HasPrefix(c.request.AuthID, servicePrefix):
		return realms.RoleService
	case c.entry.Realm.Kind == realms.Devices:
		return realms.RoleAgent
	default:
		return realms.RoleDevice
	}
}

// candidates gives the principal and each of the credentials that would prove it; none for an unknown principal, a
// suspended device or one of another project.
func (c *claim) candidates(now time.Time, decoy secret.Value) (realms.Principal, []Credential) {
	if name, ok := strings.CutPrefix(c.request.AuthID, servicePrefix); ok {
		return c.service(name)
	}
	if app, ok := realms.ParseAppAuthID(c.request.AuthID); ok {
		return c.app(app, now, decoy)
	}
	return c.agent()
}

// candidatesNow is candidates at this time.
func (c *claim) candidatesNow(decoy secret.Value) (realms.Principal, []Credential) {
	return c.candidates(time.Now(), decoy)
}

func (c *claim) service(name string) (realms.Principal, []Credential) {
	s, ok := c.directory.Service(c.request.Realm, name)
	if !ok {
		return realms.Principal{}, nil
	}
	p := realms.Principal{Role: realms.RoleService, AuthID: c.request.AuthID, Project: c.entry.Realm.Project}
	return p, []Credential{{kind: ofService, realm: c.request.Realm, name: name, secret: s}}
}

func (c *claim) agent() (realms.Principal, []Credential) {
	d, ok := c.device(wire.Serial(c.request.AuthID))
	if !ok {
		return realms.Principal{}, nil
	}
	out := make([]Credential, 0, len(d.Secrets))
	for _, s := range d.Secrets {
		out = append(out, Credential{kind: ofDevice, realm: c.request.Realm, device: identify(d), secret: s})
	}
	return c.principal(d), out
}

// app derives the secret of each accepted epoch, and one from the decoy where there is none, so that both cost the same.
func (c *claim) app(id realms.AppIdentity, now time.Time, decoy secret.Value) (realms.Principal, []Credential) {
	d, known := c.device(id.Serial)
	r := c.entry.Realm
	known = known && r.Kind == realms.Data && r.App == id.App && r.Stage == id.Stage
	key, found := appKey(c.entry.Apps, id.Epoch, now)
	if !found {
		key = decoy
	}
	s := id.Secret(key)
	if !known || !found {
		return realms.Principal{}, nil
	}
	credential := Credential{kind: ofApp, realm: c.request.Realm, device: identify(d), epoch: id.Epoch, secret: key}
	return c.principal(d), []Credential{credential.provedBy(s)}
}

func appKey(apps []realms.AppCredential, epoch int, now time.Time) (secret.Value, bool) {
	for _, a := range apps {
		if a.Epoch == epoch && !a.Key.IsZero() && (a.Until.IsZero() || now.Before(a.Until)) {
			return a.Key, true
		}
	}
	return secret.Value{}, false
}

// device finds a device that may join the realm at all.
func (c *claim) device(s wire.Serial) (realms.Device, bool) {
	d, ok := c.directory.Device(s)
	return d, ok && !d.Suspended && d.Project == c.entry.Realm.Project
}

// principal is who a device is in the realm; an app on a device is that device too.
func (c *claim) principal(d realms.Device) realms.Principal {
	role := realms.RoleDevice
	if c.entry.Realm.Kind == realms.Devices {
		role = realms.RoleAgent
	}
	return realms.Principal{Role: role, AuthID: string(d.Serial), Project: d.Project, Device: d.Key, Serial: d.Serial}
}
