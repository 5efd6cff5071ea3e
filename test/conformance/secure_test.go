package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/realms"
	"bulkhead/router"
)

// secure is the same router over TLS, which asks clients for a certificate of an authority of its own.
type secure struct {
	url    string
	roots  *x509.CertPool
	client tls.Certificate // the device's
}

func (s *secure) serve(t *testing.T, h http.Handler) {
	t.Helper()
	var authority *x509.Certificate
	s.client, authority = certificate(t)
	clients := x509.NewCertPool()
	clients.AddCert(authority)
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.url = strings.Replace(server.URL, "https", "wss", 1) + router.Paths[0]
	s.roots = x509.NewCertPool()
	s.roots.AddCert(server.Certificate())
}

// certificate makes a certificate that is its own authority.
func certificate(t *testing.T) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "device"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, parsed
}

// certificates knows the device's certificate.
type certificates struct{ secure *secure }

func (k certificates) Trusts(_ realms.Device, c *x509.Certificate) bool {
	return string(c.Raw) == string(k.secure.client.Certificate[0])
}

// dialSecure connects over TLS with the certificates and says nothing.
func (c *check) dialSecure(shown ...tls.Certificate) *peer {
	c.t.Helper()
	config := &tls.Config{RootCAs: c.world.secure.roots, Certificates: shown}
	return c.dialWith(asJSON, &websocket.Dialer{TLSClientConfig: config}, c.world.secure.url)
}
