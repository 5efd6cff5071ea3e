package authn

import (
	"crypto/x509"

	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// Certificates knows which TLS client certificates are a device's. The certificates that it is shown were verified against the
// authorities of the listener.
type Certificates interface {
	// Trusts reports whether the certificate is the device's and is not revoked.
	Trusts(d realms.Device, c *x509.Certificate) bool
}

// beginTLS needs no challenge: the TLS handshake was one.
func (a *Authenticator) beginTLS(x *Exchange, c *claim) {
	x.prove = func(*message.Authenticate) (Grant, error) {
		cert := c.request.Certificate
		d, ok := c.device(wire.Serial(c.request.AuthID))
		if !ok || !a.config.Certificates.Trusts(d, cert) {
			return Grant{}, failed("the certificate is not the device's")
		}
		return Grant{
			Principal:  c.principal(d),
			Credential: Credential{kind: ofCertificate, realm: c.request.Realm, device: identify(d), certificate: cert},
		}, nil
	}
}
