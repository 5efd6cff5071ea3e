// Package interop shows that WAMP clients which know nothing of this project work against it: npm's autobahn and wampy and
// Debian's python3-autobahn join, subscribe, publish, register and call.
package interop

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/internal/localca"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/wire"
)

// steps is how many steps each script has: a script that stops early must not pass.
const steps = 8

// scriptTimeout bounds one script; only a fault takes that long.
const scriptTimeout = 2 * time.Minute

var scripts = map[string][]string{
	"autobahn-js":     {"node", "--experimental-websocket", "--no-warnings", "autobahn.mjs"},
	"wampy":           {"node", "--no-warnings", "wampy.mjs"},
	"autobahn-python": {"/usr/bin/python3", "client.py"},
}

func TestOtherPeoplesClientsJoinSubscribePublishRegisterAndCall(t *testing.T) {
	t.Parallel()
	installClients(t)
	s := serve(t)
	for client, command := range scripts {
		for _, serializer := range []string{"json", "msgpack", "cbor"} {
			t.Run(client+"/"+serializer, func(t *testing.T) {
				t.Parallel()
				s.run(t, serializer, command)
			})
		}
	}
	t.Cleanup(func() {
		if got, want := s.rows.count(), len(scripts)*3; got != want {
			t.Errorf("%d rows reached the sink, want %d", got, want)
		}
	})
}

// installClients fetches the clients of package-lock.json where they are missing.
func installClients(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("node_modules", "wampy")); err == nil {
		return
	}
	said, err := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput()
	if err != nil {
		t.Fatalf("the clients cannot be installed: npm ci: %v\n%s\n./justw test installs what is missing", err, said)
	}
}

// server is the router under test, with a realm for each serializer and client: procedures of one run are not another's.
type server struct {
	url, caFile string
	router      *router.Router
	directory   *realms.Directory
	rows        *rows
	mu          sync.Mutex // guards directory
}

// rows stores nothing: it counts what the router hands over.
type rows struct {
	mu sync.Mutex // guards n
	n  int
}

func (r *rows) Accept(s wire.Submission, done func(error)) {
	row, ok := s.Args[0].(map[string]any)
	r.mu.Lock()
	if ok && s.Table == "metrics" && row["temperature"] == 20.5 {
		r.n++
	}
	r.mu.Unlock()
	done(nil)
}

func (r *rows) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{directory: &realms.Directory{}, rows: &rows{}}
	r, err := router.New(router.Config{Sink: s.rows})
	if err != nil {
		t.Fatal(err)
	}
	s.router = r
	files, err := localca.Ensure(t.TempDir(), []string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.caFile = files.CA
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	s.url = "wss://localhost:" + port + "/ws"
	web := &http.Server{Handler: r.Handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = web.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}}))
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
		_ = web.Close()
		<-served
	})
	return s
}

// realm adds a realm with a service called sample.
func (s *server) realm() (realms.Realm, secret.Value) {
	r, password := realms.OfInstallation(wire.NewKey(), wire.NewKey(), wire.Prod), secret.Random()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.directory = s.directory.Edit(func(e *realms.Editor) {
		e.PutRealm(realms.Entry{Realm: r})
		e.PutService(r, "sample", password)
	})
	s.router.Apply(s.directory)
	return r, password
}

func (s *server) run(t *testing.T, serializer string, command []string) {
	t.Helper()
	realm, password := s.realm()
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	script := exec.CommandContext(ctx, command[0], command[1:]...)
	script.Env = append(os.Environ(),
		"NODE_EXTRA_CA_CERTS="+s.caFile, "INTEROP_URL="+s.url, "INTEROP_SERIALIZER="+serializer,
		"INTEROP_REALM="+realm.Name(), "INTEROP_AUTHID=service:sample", "INTEROP_SECRET="+string(password.Reveal()),
		"INTEROP_PROJECT="+realm.Project.String(), "INTEROP_APP="+realm.App.String(),
	)
	said, err := script.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", command, err, said)
	}
	if passed := strings.Count("\n"+string(said), "\nok "); passed != steps {
		t.Errorf("%d of %d steps passed\n%s", passed, steps, said)
	}
}
