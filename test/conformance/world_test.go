package conformance

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/wamp"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/wire"
)

// world is a router with a tenant, to which each check adds an open realm of its own.
type world struct {
	router *router.Nexus
	url    string // of the WebSocket
	raw    string // address of the rawsocket
	secure secure
	count  atomic.Int64

	tenant  realms.Realm
	device  realms.Device // signs with deviceKey
	service secret.Value  // of service:sample
}

func newWorld(t *testing.T) *world {
	t.Helper()
	project := wire.NewKey()
	w := &world{
		tenant:  realms.OfInstallation(project, wire.NewKey(), wire.Prod),
		device:  realms.Device{Serial: wire.NewSerial(), Key: wire.NewKey(), Project: project, Secrets: []secret.Value{secret.Random()}},
		service: secret.Random(),
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	r, err := router.New(router.Config{Logger: quiet, Tickets: tickets{w.tenant}, Keys: keys{}, Certificates: certificates{&w.secure}})
	if err != nil {
		t.Fatal(err)
	}
	w.router = router.NewNexus(r)
	r.Apply((&realms.Directory{}).Edit(func(e *realms.Editor) {
		e.PutRealm(realms.Entry{Realm: w.tenant})
		e.PutRealm(realms.Entry{Realm: realms.OfProject(project)})
		e.PutDevice(w.device)
		e.PutService(w.tenant, "sample", w.service)
	}))
	server := httptest.NewServer(r.Handler())
	w.url = strings.Replace(server.URL, "http", "ws", 1) + router.Paths[0]
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.raw = raw.Addr().String()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = w.router.ServeRawSocket(raw, nil) // ends with net.ErrClosed
	}()
	w.secure.serve(t, r.Handler())
	t.Cleanup(func() {
		w.router.Close()
		server.Close()
		_ = raw.Close()
		<-served
	})
	return w
}

// open makes an open realm, unless the check has one.
func (c *check) open(configure ...func(*nexus.RealmConfig)) string {
	if c.realm != "" {
		return c.realm
	}
	config := &nexus.RealmConfig{
		URI:           wamp.URI(fmt.Sprintf("conformance.realm%d", c.world.count.Add(1))),
		AnonymousAuth: true, AllowDisclose: true, EnableMetaKill: true,
	}
	for _, f := range configure {
		f(config)
	}
	c.no(c.world.router.AddRealm(config))
	c.realm = string(config.URI)
	c.t.Cleanup(func() { c.world.router.RemoveRealm(config.URI) })
	return c.realm
}
