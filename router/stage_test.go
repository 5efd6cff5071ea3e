package router_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// The tenants of the tests: two projects with an app, two devices each, in one directory.
var (
	projectA, projectB = wire.Key(1001), wire.Key(2002)
	app                = wire.Key(77)
	realmA             = realms.OfInstallation(projectA, app, wire.Dev)
	realmB             = realms.OfInstallation(projectB, app, wire.Dev)
	a1                 = newDevice(projectA, 11)
	a2                 = newDevice(projectA, 12)
	b1                 = newDevice(projectB, 21)
	serviceSecret      = secret.Random()
	appKey             = secret.Random()
)

func newDevice(project, key wire.Key) realms.Device {
	return realms.Device{Serial: wire.NewSerial(), Key: key, Project: project, Secrets: []secret.Value{secret.Random()}}
}

func tenants() *realms.Directory {
	return (&realms.Directory{}).Edit(func(e *realms.Editor) {
		for _, r := range []realms.Realm{realmA, realmB} {
			e.PutRealm(realms.Entry{Realm: r, Apps: []realms.AppCredential{{Epoch: 1, Key: appKey}}})
			e.PutRealm(realms.Entry{Realm: realms.OfProject(r.Project)})
			e.PutService(r, "ingest", serviceSecret)
		}
		for _, d := range []realms.Device{a1, a2, b1} {
			e.PutDevice(d)
		}
	})
}

// stage is a router behind real TLS.
type stage struct {
	*router.Router
	addr  string
	roots *x509.CertPool
	guard *transport.Guard
}

func newStage(t *testing.T, c router.Config, limits ...transport.GuardLimits) *stage {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	unhurried(&c.Limits)
	r, err := router.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.Apply(tenants())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	certificate, roots := certificates()
	g := transport.NewGuard(l, append(limits, transport.GuardLimits{})[0], r.Refused)
	server := transport.HTTPServer(r.Handler(), c.Limits, c.Logger)
	front := r.Front(g, &tls.Config{Certificates: []tls.Certificate{certificate}})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(front) // ends with ErrServerClosed
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		_ = server.Close()
		<-served
	})
	return &stage{Router: r, addr: l.Addr().String(), roots: roots, guard: g}
}

// unhurried gives honest peers the time that they need on a machine that is busy, where a test does not say how much they have.
func unhurried(l *transport.Limits) {
	for d, enough := range map[*time.Duration]time.Duration{&l.TLSHandshake: patience, &l.Handshake: patience, &l.Write: 2 * patience} {
		if *d == 0 {
			*d = enough
		}
	}
}

func (s *stage) tls() *tls.Config { return &tls.Config{RootCAs: s.roots, ServerName: "localhost"} }

// certificates makes a throw-away certificate, once.
var certificates = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
})
