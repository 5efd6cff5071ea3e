package localca_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bulkhead/internal/localca"
)

var hosts = []string{"localhost", "127.0.0.1", "::1", "*.tunnel.localhost"}

func ensure(t *testing.T, dir string, now time.Time) localca.Files {
	t.Helper()
	f, err := localca.Ensure(dir, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAClientThatTrustsTheAuthorityConnects(t *testing.T) {
	t.Parallel()
	f := ensure(t, t.TempDir(), time.Now())
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	defer server.Close()

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(read(t, f.CA)))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

func TestARestartKeepsTheAuthorityAndAValidCertificate(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	f := ensure(t, dir, now)
	ca, cert := read(t, f.CA), read(t, f.Cert)
	ensure(t, dir, now.Add(time.Hour))
	if read(t, f.CA) != ca || read(t, f.Cert) != cert {
		t.Error("a valid certificate was replaced")
	}
	ensure(t, dir, now.Add(90*24*time.Hour))
	if read(t, f.CA) != ca {
		t.Error("the authority was replaced: devices would trust the server no more")
	}
	if read(t, f.Cert) == cert {
		t.Error("an old certificate was kept")
	}
}

func TestAnotherHostGetsAnotherCertificate(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	f := ensure(t, dir, now)
	before := read(t, f.Cert)
	if _, err := localca.Ensure(dir, append(hosts, "bulkhead.example"), now); err != nil {
		t.Fatal(err)
	}
	if read(t, f.Cert) == before {
		t.Error("the certificate does not name the new host")
	}
}

func TestPrivateKeysAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ensure(t, dir, time.Now())
	for _, name := range []string{"ca.key", "server.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode is %04o", name, info.Mode().Perm())
		}
	}
}

func TestABrokenAuthorityIsNotReplacedInSilence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := ensure(t, dir, time.Now())
	if err := os.WriteFile(f.CA, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := localca.Ensure(dir, hosts, time.Now()); err == nil {
		t.Error("a broken authority was accepted or replaced")
	}
}
