package isolation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/localca"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// tenant is one project with one installation, two devices and a service.
type tenant struct {
	project, app wire.Key
	data, device realms.Realm
	devices      [2]realms.Device
	appKey       secret.Value
	service      secret.Value // of service:sample, and of service:spare, whose name is what thieves try
}

func newTenant() tenant {
	t := tenant{project: wire.NewKey(), app: wire.NewKey(), appKey: secret.Random(), service: secret.Random()}
	t.data, t.device = realms.OfInstallation(t.project, t.app, wire.Prod), realms.OfProject(t.project)
	for i := range t.devices {
		t.devices[i] = realms.Device{Serial: wire.NewSerial(), Key: wire.NewKey(), Project: t.project, Secrets: []secret.Value{secret.Random()}}
	}
	return t
}

func (t tenant) enter(e *realms.Editor) {
	e.PutRealm(realms.Entry{Realm: t.data, Apps: []realms.AppCredential{{Epoch: 1, Key: t.appKey}}})
	e.PutRealm(realms.Entry{Realm: t.device})
	for _, d := range t.devices {
		e.PutDevice(d)
	}
	e.PutService(t.data, "sample", t.service)
	e.PutService(t.data, "spare", t.service)
}

// world is a router with two tenants, over real TLS.
type world struct {
	router  *router.Router
	tickets *account.Tickets
	tenants map[string]tenant
	schemas map[string]string // of the tenants in the database, where there is one
	url     string
	roots   *x509.CertPool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := makeWorld(t, nil, newTenant(), newTenant())
	w.router.Apply(w.directory())
	w.serve(t)
	return w
}

// makeWorld makes a router that nobody is let into yet.
func makeWorld(t testing.TB, sink router.Sink, a, b tenant) *world {
	t.Helper()
	w := &world{tickets: account.NewTickets(time.Now), tenants: map[string]tenant{"a": a, "b": b}}
	r, err := router.New(router.Config{Tickets: w.tickets, Sink: sink, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w.router = r
	return w
}

func (w *world) directory() *realms.Directory {
	return (&realms.Directory{}).Edit(func(e *realms.Editor) {
		w.tenants["a"].enter(e)
		w.tenants["b"].enter(e)
	})
}

func (w *world) serve(t testing.TB) {
	t.Helper()
	files, err := localca.Ensure(t.TempDir(), []string{"localhost", "127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	w.roots = x509.NewCertPool()
	w.roots.AppendCertsFromPEM(ca)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "wss://" + listener.Addr().String() + "/ws"
	server := &http.Server{Handler: w.router.Handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		guard := transport.NewGuard(listener, transport.GuardLimits{}, nil)
		_ = server.Serve(tls.NewListener(guard, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.router.Close(ctx); err != nil {
			t.Error(err)
		}
		_ = server.Close()
		<-served
	})
}

// realm gives the name of a realm of the table: a.data, b.device, or the name itself.
func (w *world) realm(word string) string {
	project, kind, ok := strings.Cut(word, ".")
	tenant, known := w.tenants[project]
	switch {
	case ok && known && kind == "data":
		return tenant.data.Name()
	case ok && known && kind == "device":
		return tenant.device.Name()
	default:
		return word
	}
}

// expand replaces the keys in a URI of the table.
func (w *world) expand(uri string) string {
	for name, t := range w.tenants {
		uri = strings.NewReplacer(
			"{"+strings.ToUpper(name)+"}", t.project.String(), "{"+name+".app}", t.app.String(),
			"{"+name+".1}", t.devices[0].Key.String(), "{"+name+".2}", t.devices[1].Key.String(),
		).Replace(uri)
	}
	return strings.ReplaceAll(uri, `""`, "")
}

// credential gives what a principal of the table joins with.
func (w *world) credential(who string, c *wampx.Config) error {
	a := w.tenants["a"]
	switch who {
	case "stranger":
		c.AuthID, c.Secret = string(wire.NewSerial()), secret.Random()
		return nil
	case "thief-2":
		c.AuthID, c.Secret = string(a.devices[1].Serial), secret.Random()
		return nil
	case "thief-service":
		c.AuthID, c.Secret = "service:spare", secret.Random()
		return nil
	}
	project, principal, _ := strings.Cut(who, "/")
	t, known := w.tenants[project]
	if !known {
		return fmt.Errorf("nobody is called %q", who)
	}
	switch principal {
	case "device-1", "device-2":
		d := t.devices[principal[len(principal)-1]-'1']
		c.AuthID, c.Secret = string(d.Serial), d.Secrets[0]
	case "app-1":
		id := realms.AppIdentity{App: t.app, Stage: wire.Prod, Epoch: 1, Serial: t.devices[0].Serial}
		c.AuthID, c.Secret = id.AuthID(), id.Secret(t.appKey)
	case "service":
		c.AuthID, c.Secret = "service:sample", t.service
	case "console":
		return w.ticket(t, c)
	default:
		return fmt.Errorf("nobody is called %q", who)
	}
	return nil
}

// ticket gives a ticket for the tenant's own realm of the kind that is asked for: a console of a cannot ask for one of b's.
func (w *world) ticket(t tenant, c *wampx.Config) error {
	realm := t.data
	if c.Realm == t.device.Name() {
		realm = t.device
	}
	ticket, err := w.tickets.Issue(account.Principal{Kind: account.KindUser, Key: 1, Login: "login-1", Proof: account.ProofLogin, Level: account.AAL2}, realm)
	c.AuthID, c.Ticket = "1", ticket
	return err
}

func (w *world) join(ctx context.Context, who, realm string, serializer wampx.Serializer) (*wampx.Session, error) {
	c := wampx.Config{URL: w.url, Realm: w.realm(realm), TLS: &tls.Config{RootCAs: w.roots}, Serializer: serializer}
	if err := w.credential(who, &c); err != nil {
		return nil, err
	}
	return wampx.Dial(ctx, c)
}
