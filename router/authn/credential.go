package authn

import (
	"crypto/x509"
	"slices"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

type credentialKind uint8

const (
	ofNobody      credentialKind = iota // a ticket, or a session of this server's own
	ofDevice                            // a device's secret
	ofKey                               // a device's public key
	ofApp                               // an app's credential key, on a device
	ofService                           // a service's secret
	ofCertificate                       // a device's TLS certificate
)

// identity is what must stay the same of a device for its sessions to stay.
type identity struct {
	serial  wire.Serial
	key     wire.Key
	project wire.Key
}

func identify(d realms.Device) identity { return identity{d.Serial, d.Key, d.Project} }

// Credential is what a session was admitted with. The zero Credential holds as long as its realm does.
type Credential struct {
	kind   credentialKind
	realm  string
	name   string
	device identity
	epoch  int
	secret secret.Value // what the directory has
	proof  secret.Value // what signs, where it is not the same
	public []byte
	// certificate is what the peer showed.
	certificate *x509.Certificate
}

func (c Credential) provedBy(s secret.Value) Credential {
	c.proof = s
	return c
}

// signer is the secret that signs the challenge.
func (c Credential) signer() secret.Value {
	if c.kind == ofApp {
		return c.proof
	}
	return c.secret
}

// HoldsIn reports whether the directory still admits the principal by the credential. A session for which it does not is
// to be ended: its device was removed, suspended or given other secrets.
func (a *Authenticator) HoldsIn(d *realms.Directory, c Credential) bool {
	switch c.kind {
	case ofNobody:
		return true
	case ofService:
		s, ok := d.Service(c.realm, c.name)
		return ok && s.Equal(c.secret)
	case ofDevice:
		dev, ok := c.live(d)
		return ok && slices.ContainsFunc(dev.Secrets, c.secret.Equal)
	case ofKey:
		dev, ok := c.live(d)
		return ok && a.config.Keys != nil && containsKey(a.config.Keys.PublicKeys(dev), c.public)
	case ofCertificate:
		dev, ok := c.live(d)
		return ok && a.config.Certificates != nil && a.config.Certificates.Trusts(dev, c.certificate)
	case ofApp:
		_, ok := c.live(d)
		entry, found := d.Realm(c.realm)
		return ok && found && slices.ContainsFunc(entry.Apps, func(a realms.AppCredential) bool {
			return a.Epoch == c.epoch && a.Key.Equal(c.secret)
		})
	default:
		return false
	}
}

func (c Credential) live(d *realms.Directory) (realms.Device, bool) {
	dev, ok := d.Device(c.device.serial)
	return dev, ok && !dev.Suspended && identify(dev) == c.device
}
