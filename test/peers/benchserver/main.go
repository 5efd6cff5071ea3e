// Command benchserver runs our router for the benchmark, as the server runs it: behind its guard, with its limits, its log,
// its heap and its slack, and with metrics.
//
// It promises to add only what the benchmark needs: open realms for anonymous sessions, devices with known secrets, and a
// profiler where one is asked for.
package main

import (
	"fmt"
	"log/slog"
	"net/http"
	_ "net/http/pprof" // served on the profiler's own address only
	"os"
	"time"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/wamp"
	"github.com/prometheus/client_golang/prometheus"

	"bulkhead/internal/heap"
	"bulkhead/internal/lines"
	"bulkhead/internal/secret"
	"bulkhead/internal/slack"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/transport"
	"bulkhead/test/peers/internal/scene"
	"bulkhead/wire"
)

func main() {
	slack.Take()
	if err := run(scene.ReadFlags()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(flags scene.Flags) error {
	if flags.Profile != "" {
		go serveProfiler(flags.Profile)
	}
	heap.Reserve(heap.Spare)
	log := slog.New(slog.NewJSONHandler(lines.New(os.Stderr), nil))
	r, err := router.New(router.Config{Logger: log, Metrics: prometheus.NewRegistry()})
	if err != nil {
		return err
	}
	if err := populate(r); err != nil {
		return err
	}
	plain, config, err := flags.Open(transport.Listen)
	if err != nil {
		return err
	}
	front := r.Front(transport.NewGuard(plain, transport.GuardLimits{}, r.Refused), config)
	return scene.Run(transport.HTTPServer(r.Handler(), transport.Limits{}, log), front)
}

// populate makes the realms and the devices: those of a tenant through the directory, the open ones as an embedder would.
func populate(r *router.Router) error {
	r.Apply((&realms.Directory{}).Edit(func(e *realms.Editor) {
		e.PutRealm(realms.Entry{Realm: realms.OfProject(scene.Project)})
		e.PutRealm(realms.Entry{Realm: realms.OfInstallation(scene.Project, scene.App, wire.Prod)})
		for i := range scene.Devices {
			e.PutDevice(realms.Device{
				Serial: wire.Serial(scene.Serial(i)), Key: wire.Key(i + 1), Project: scene.Project,
				Name: fmt.Sprintf("device %d", i), Secrets: []secret.Value{secret.FromString(scene.Secret(i))},
			})
		}
	}))
	embedded := router.NewNexus(r)
	for _, name := range scene.OpenRealms() {
		if err := embedded.AddRealm(&nexus.RealmConfig{URI: wamp.URI(name), AnonymousAuth: true}); err != nil {
			return fmt.Errorf("realm %s: %w", name, err)
		}
	}
	return nil
}

// serveProfiler serves the profiler until the process ends.
func serveProfiler(addr string) {
	server := &http.Server{Addr: addr, Handler: http.DefaultServeMux, ReadHeaderTimeout: 5 * time.Second}
	if err := server.ListenAndServe(); err != nil {
		slog.Error("profiler", "error", err)
	}
}
