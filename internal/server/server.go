// Package server connects router, backend and database in one process.
//
// It promises that what Start returns answers, that a fault at the start says in one sentence what to do and leaves
// nothing running, and that Stop ends the parts in the order in which nothing is lost.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"bulkhead/backend/account"
	"bulkhead/backend/account/devicegrant"
	"bulkhead/backend/account/password/apart"
	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/backend/databackend"
	"bulkhead/backend/httpapi"
	"bulkhead/backend/quota"
	"bulkhead/backend/recording"
	"bulkhead/backend/remote"
	"bulkhead/backend/rotation"
	"bulkhead/backend/rpc"
	"bulkhead/db"
	"bulkhead/db/cluster"
	"bulkhead/db/provision"
	"bulkhead/internal/config"
	"bulkhead/internal/errs"
	"bulkhead/internal/heap"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/localca"
	"bulkhead/internal/logkey"
	"bulkhead/internal/mux"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/gateway"
	"bulkhead/router/gateway/terminal"
	"bulkhead/router/gateway/webapp"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// Options are what a server is made of.
type Options struct {
	Config config.Config
	// DatabaseURL is used in place of the file that the configuration names.
	DatabaseURL secret.Value
	Log         *slog.Logger
	Version     string
	// Hasher is a program with its arguments, its name first among them, that hashes passwords as apart.Main does. Empty: this
	// process does it.
	Hasher      []string
	AuditPatrol time.Duration // between two checks of the whole audit log; 0: five minutes, or 20 times what one takes
	// Mount gives further handlers by pattern of http.ServeMux, for a server whose public URL it is told. It may be nil.
	Mount func(public string) (map[string]http.Handler, error)
}

// stopTimeout bounds the stop of a server that Wait stops.
const stopTimeout = 15 * time.Second

// Server is a running server. Make one with Start and Stop it.
type Server struct {
	options  Options
	log      *slog.Logger
	listener net.Listener
	ops      net.Listener
	public   string
	caFile   string
	tls      *tls.Config

	cluster    *cluster.Cluster // nil where the configuration names a database
	url        secret.Value
	db         *db.DB
	release    func() // gives the database up for another server
	prov       *provision.Provisioner
	store      *db.Assets
	ingest     *databackend.Ingest
	data       *data
	rpc        *rpc.Server
	router     *router.Router
	tickets    *account.Tickets
	keys       *account.Keys
	hashes     *apart.Pool // nil where this process hashes passwords
	logins     *account.Logins
	users      *account.Users
	services   *account.ServiceAccounts
	refusals   *audit.Refusals
	sealer     *secret.Keyring
	rotation   *rotation.Rotation
	grants     *devicegrant.Grants
	assets     *asset.Assets
	remote     *remote.Remote
	recordings *recording.Recordings
	quotas     *quota.Quotas
	gateway    *gateway.Gateway
	terminals  *terminal.Terminals
	webApps    *webapp.Apps // nil without a domain for them
	audit      *auditing
	privileges *privileges
	rest       atomic.Pointer[httpapi.API] // nil until it is made

	metrics *prometheus.Registry
	group   *lifecycle.Group
	web     []*http.Server
	failed  chan error
}

// Start starts a server and returns when it answers. The context bounds the start, not the server's life.
func Start(ctx context.Context, o Options) (*Server, error) {
	heap.Reserve(heap.Spare)
	s := &Server{
		options: o, log: o.Log, metrics: prometheus.NewRegistry(), group: lifecycle.NewGroup(context.WithoutCancel(ctx)), failed: make(chan error, 2),
	}
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func(context.Context) error{
		s.takeAddresses, s.makeState, s.loadCertificate, s.openDatabase, s.makeAudit, s.makeBackend, s.serve,
	} {
		if err := step(ctx); err != nil {
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			return nil, errors.Join(err, s.Stop(stopping))
		}
	}
	return s, nil
}

// API is the server's base URL.
func (s *Server) API() string { return s.public }

// Router is the endpoint of apps, people and services.
func (s *Server) Router() string { return webSocketURL(s.public, "/ws") }

// AgentRouter is the endpoint of agents.
func (s *Server) AgentRouter() string { return webSocketURL(s.public, "/ws-agent") }

// Ops is the base URL of health and metrics.
func (s *Server) Ops() string { return "http://" + s.ops.Addr().String() }

// CAFile has the authority that signs the server's certificate.
func (s *Server) CAFile() string { return s.caFile }

// OwnerKeyFile has the API key of the first owner.
func (s *Server) OwnerKeyFile() string { return s.file("owner.key") }

// Assets has the use cases of projects, apps, installations and devices.
func (s *Server) Assets() *asset.Assets { return s.assets }

// Describe tells the schema and the tables of an installation.
func (s *Server) Describe(ctx context.Context, r realms.Realm) (schema string, tables []string, err error) {
	return s.data.Describe(ctx, r)
}

// Database gives the URL of the database in which an installation's schema is, for the operator's own login.
func (s *Server) Database(ctx context.Context, r realms.Realm) (string, error) {
	placement, err := s.prov.Placement(ctx, r)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(string(s.url.Reveal()))
	if err != nil {
		return "", errs.As(wire.Invalid, errs.E(wire.Invalid, "not a URL"), "the database URL must be of the form postgres://user@host/db")
	}
	u.Path = "/" + placement.Database
	return u.String(), nil
}

// StoredSince reports whether a table has a row that was taken at or after a time.
func (s *Server) StoredSince(ctx context.Context, r realms.Realm, table string, since time.Time) (bool, error) {
	return s.data.storedSince(ctx, r, table, since)
}

func (s *Server) file(names ...string) string {
	return filepath.Join(append([]string{s.options.Config.StateDir}, names...)...)
}

func (s *Server) takeAddresses(context.Context) (err error) {
	c := s.options.Config
	if s.listener, err = listen("listen", c.Listen); err != nil {
		return err
	}
	s.listener = mux.Listen(s.listener) // tunnels are among what it accepts
	if s.ops, err = listen("ops_listen", c.OpsListen); err != nil {
		return err
	}
	s.public = publicURL(c.PublicURL, s.listener)
	return nil
}

func (s *Server) makeState(context.Context) error {
	dir := s.options.Config.StateDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return errs.As(wire.Invalid, err, "state_dir %s cannot be made", dir)
	}
	return nil
}

// loadCertificate reads the configured certificate, or makes one with an authority of this server's own.
func (s *Server) loadCertificate(context.Context) error {
	c := s.options.Config.TLS
	files := localca.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile}
	if c.CertFile == "" {
		dir := s.file("tls")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return errs.As(wire.Invalid, err, "state_dir %s cannot be written", s.options.Config.StateDir)
		}
		var err error
		if files, err = localca.Ensure(dir, certificateHosts(s.public, s.options.Config.Gateway.HTTPDomain), time.Now()); err != nil {
			return errs.As(wire.Invalid, err, "the local certificate authority cannot be used")
		}
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return errs.As(wire.Invalid, err, "tls.cert_file and tls.key_file cannot be used")
	}
	if files.CA == "" {
		files.CA = files.Cert
	}
	s.caFile = files.CA
	s.tls = &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
		NextProtos:                  []string{"http/1.1"}, // WebSockets are made from it
		DynamicRecordSizingDisabled: true,                 // what waits is gathered: full records from the first
	}
	return nil
}

func (s *Server) openDatabase(ctx context.Context) (err error) {
	if s.url, err = s.databaseURL(ctx); err != nil {
		return err
	}
	if s.db, err = db.Open(ctx, string(s.url.Reveal()), db.WithLogger(s.log), db.WithApplicationName("bulkhead")); err != nil {
		return err
	}
	if err := s.db.Migrate(ctx); err != nil {
		return err
	}
	s.release, err = s.db.Claim(ctx)
	return err
}

func (s *Server) databaseURL(ctx context.Context) (secret.Value, error) {
	if !s.options.DatabaseURL.IsZero() {
		return s.options.DatabaseURL, nil
	}
	if file := s.options.Config.Database.URLFile; file != "" {
		text, err := os.ReadFile(file)
		return secret.FromString(strings.TrimSpace(string(text))), errs.As(wire.Invalid, err, "database.url_file %s cannot be read", file)
	}
	var err error
	if s.cluster, err = cluster.Start(ctx, cluster.Config{Dir: s.file("postgres"), Logger: s.log}); err != nil {
		return secret.Value{}, err
	}
	return secret.FromString(s.cluster.URL()), nil
}

// Wait waits until ctx ends or the server fails, and stops it.
func (s *Server) Wait(ctx context.Context) error {
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-s.failed:
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return errors.Join(failed, s.Stop(stopping))
}

// Stop ends what still sends, then what stores, then where it is stored. Stopping twice is fine.
func (s *Server) Stop(ctx context.Context) error {
	var faults []error
	keep := func(err error) { faults = append(faults, err) }
	if s.terminals != nil {
		s.terminals.Close() // while their pages can be told
	}
	if s.gateway != nil {
		s.gateway.Close() // while the ends of tunnels can be put on record
	}
	if s.router != nil {
		keep(s.router.Close(ctx)) // sessions are told first, while their connections are open
	}
	for _, w := range s.web {
		if err := w.Shutdown(ctx); err != nil {
			keep(w.Close())
		}
	}
	if s.webApps != nil {
		s.webApps.Close()
	}
	for _, l := range []net.Listener{s.listener, s.ops} {
		if l != nil {
			_ = l.Close() // the server that used it has closed it
		}
	}
	if s.rpc != nil {
		s.rpc.Stop()
	}
	if s.ingest != nil {
		s.ingest.Stop() // stores what was accepted
	}
	s.group.Stop()
	if s.hashes != nil {
		s.hashes.Close()
	}
	if s.audit != nil {
		keep(s.audit.stop(ctx)) // all that wrote entries has stopped
	}
	if s.prov != nil {
		s.prov.Close()
	}
	if s.release != nil {
		s.release()
	}
	if s.db != nil {
		s.db.Close()
	}
	if s.cluster != nil {
		keep(s.cluster.Stop(ctx))
	}
	return errors.Join(faults...)
}

// serve opens the doors.
func (s *Server) serve(context.Context) error {
	api, err := s.api()
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	for _, path := range []string{wire.TunnelPathUser, wire.TunnelPathDevice} {
		routes.Handle("GET "+path, s.gateway)
	}
	sockets := s.router.Handler()
	for _, path := range router.Paths {
		routes.Handle("GET "+path, sockets)
	}
	s.serveOAuth(routes)
	if err := s.servePages(routes); err != nil {
		return err
	}
	routes.Handle("/api/", api)
	if err := s.mount(routes); err != nil {
		return err
	}
	handler, err := s.besideWebApps(httpapi.WithoutCredentialsInURLs(routes))
	if err != nil {
		return err
	}
	guard := transport.NewGuard(s.listener, transport.GuardLimits{
		PerNetwork: s.options.Config.Router.MaxPerAddress, PerSecond: s.options.Config.Router.MaxNewPerAddress,
	}, s.router.Refused)
	s.run(transport.HTTPServer(handler, s.limits(), s.log), s.router.Front(guard, s.tls))
	ops := &http.Server{Handler: s.opsHandler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	s.run(ops, s.ops)
	return nil
}

func (s *Server) run(w *http.Server, l net.Listener) {
	s.web = append(s.web, w)
	s.group.Go(func(context.Context) {
		if err := w.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("a listener failed", logkey.Addr, l.Addr().String(), logkey.Error, err)
			s.failed <- errs.As(wire.Internal, err, "")
		}
	})
}

func (s *Server) limits() transport.Limits {
	c := s.options.Config.Router
	return transport.Limits{
		Handshake: time.Duration(c.JoinTimeout), Message: c.MaxMessage, Queue: c.MaxQueuePerClient,
		PingEvery: time.Duration(c.PingInterval), Write: time.Duration(c.WriteTimeout),
	}
}

func (s *Server) opsHandler() http.Handler {
	return httpapi.Ops(httpapi.OpsConfig{Version: s.options.Version, Metrics: s.metrics, Checks: []httpapi.Check{
		{Name: "database", Run: s.db.Ping}, {Name: "assets", Run: s.assets.Healthy}, {Name: "ingest", Run: s.data.healthy},
		{Name: "realms", Run: s.realmsServed}, {Name: "audit", Run: s.audit.healthy},
	}})
}

// realmsServed fails where a realm lacks the server's own session, without which nobody reads or appends rows in it.
func (s *Server) realmsServed(context.Context) error {
	if absent := s.rpc.Absent(); len(absent) > 0 {
		return errs.E(wire.Unavailable, "%d realms are not served, %s among them", len(absent), absent[0])
	}
	return nil
}
