package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/internal/server"
	"bulkhead/internal/server/servertest"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

func start(t *testing.T, o server.Options) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, s *server.Server, url string) int {
	t.Helper()
	ca, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// goleak sees to it that nothing of all this is left.
func TestWhatStartReturnsAnswersAndAStopLeavesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, servertest.Options(t))
	for url, want := range map[string]int{
		s.API() + "/api/v1/openapi.json": http.StatusOK,
		s.API() + "/api/v1/projects":     http.StatusUnauthorized,
		s.API() + "/ws":                  http.StatusBadRequest, // no WebSocket was asked for
		s.Ops() + "/healthz":             http.StatusOK,
		s.Ops() + "/readyz":              http.StatusOK,
		s.Ops() + "/metrics":             http.StatusOK,
	} {
		if got := get(t, s, url); got != want {
			t.Errorf("%s: %d, want %d", url, got, want)
		}
	}
	servertest.Stop(t, s)
	servertest.Stop(t, s) // twice is fine
}

func TestARestartKeepsTheOwnersKeyAndTheAuthority(t *testing.T) {
	t.Parallel()
	o := servertest.Options(t)
	read := func(s *server.Server) string {
		key, errKey := os.ReadFile(s.OwnerKeyFile())
		ca, errCA := os.ReadFile(s.CAFile())
		if errKey != nil || errCA != nil {
			t.Fatal(errKey, errCA)
		}
		return string(key) + string(ca)
	}
	first := start(t, o)
	before := read(first)
	servertest.Stop(t, first)
	second := start(t, o)
	defer servertest.Stop(t, second)
	if read(second) != before {
		t.Error("the owner would be locked out, or devices would trust the server no more")
	}
}

func TestAStartThatFailsSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	broken := filepath.Join(t.TempDir(), "broken.pem")
	if err := os.WriteFile(broken, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*server.Options)
		kind   wire.Kind
		says   string
	}{
		"a port that is taken":      {func(o *server.Options) { o.Config.Listen = taken.Addr().String() }, wire.Unavailable, "is taken by another program"},
		"an ops port that is taken": {func(o *server.Options) { o.Config.OpsListen = taken.Addr().String() }, wire.Unavailable, "ops_listen"},
		"a certificate that is none": {func(o *server.Options) {
			o.Config.TLS.CertFile, o.Config.TLS.KeyFile = broken, broken
		}, wire.Invalid, "tls.cert_file"},
		"a database that does not answer": {func(o *server.Options) {
			o.DatabaseURL = secret.FromString("postgres://nobody@127.0.0.1:1/none")
		}, wire.Unavailable, "cannot be reached"},
		"a URL file that is missing": {func(o *server.Options) {
			o.DatabaseURL, o.Config.Database.URLFile = secret.Value{}, filepath.Join(t.TempDir(), "none")
		}, wire.Invalid, "database.url_file"},
	} {
		o := servertest.Options(t)
		c.change(&o)
		_, err := server.Start(t.Context(), o)
		if errs.KindOf(err) != c.kind || !strings.Contains(errs.UserText(err), c.says) {
			t.Errorf("%s: %v (%s, %q)", name, err, errs.KindOf(err), errs.UserText(err))
		}
	}
}

func TestTwoServersDoNotShareADatabase(t *testing.T) {
	t.Parallel()
	o := servertest.Options(t)
	s := start(t, o)
	defer servertest.Stop(t, s)
	o.Config.StateDir = filepath.Join(t.TempDir(), "other")
	if _, err := server.Start(t.Context(), o); errs.KindOf(err) != wire.Conflict {
		t.Errorf("got %v", err)
	}
}
