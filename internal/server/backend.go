package server

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/asset"
	"bulkhead/backend/databackend"
	"bulkhead/backend/httpapi"
	"bulkhead/backend/rpc"
	"bulkhead/db"
	"bulkhead/db/provision"
	"bulkhead/internal/config"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/wire"
)

// makeBackend makes all that answers, from the bottom up: where rows are stored, who takes them, who lets sessions in, and
// at last the assets, whose directory opens the realms.
func (s *Server) makeBackend(ctx context.Context) error {
	if err := s.loadSecrets(); err != nil {
		return err
	}
	s.makeGrants()
	s.store = db.NewAssets(s.db)
	if err := s.makeData(ctx, s.sealer); err != nil {
		return err
	}
	s.makePrivileges()
	if err := s.makeRouter(); err != nil {
		return err
	}
	if err := s.makeLogins(ctx); err != nil {
		return err
	}
	if err := s.loadPrivileges(ctx); err != nil {
		return err
	}
	return s.makeAssets(ctx, s.sealer)
}

func (s *Server) makeData(ctx context.Context, keyring *secret.Keyring) error {
	var err error
	s.prov, err = provision.New(ctx, provision.Config{
		DB: s.db, Keys: keyring, Driver: drivers[s.options.Config.Database.Driver], Logger: s.log,
	})
	if err != nil {
		return err
	}
	if err := s.makeQuotas(ctx); err != nil {
		return err
	}
	s.ingest, err = databackend.NewIngest(databackend.Config{
		Dir: s.file("spill"), Writer: db.NewIngest(s.prov), Storage: s.quotas, Log: s.log,
		Limits:   databackend.Limits{SpillBytes: s.options.Config.Ingest.SpillQuota},
		OnStored: func(stored databackend.Stored) { s.rpc.Stored(stored) },
	})
	if err != nil {
		return err
	}
	history := db.NewHistory(s.prov)
	s.data = &data{
		backends: &databackend.Backends{
			Provisioner: s.prov, Templates: templates{s.store}, Ingest: s.ingest, Tables: history, Exports: s.file("exports"), Spare: s.quotas.Spare,
		},
		prov: s.prov, history: history, address: addressOf(string(s.url.Reveal())),
	}
	return nil
}

var drivers = map[string]databackend.Driver{
	config.DriverDatabase: databackend.DriverDatabase,
	config.DriverSchema:   databackend.DriverSchema,
}

// addressOf gives the host and port of a database URL; a socket directory is its host.
func addressOf(text string) databaseAddress {
	a := databaseAddress{host: "localhost", port: 5432}
	u, err := url.Parse(text)
	if err != nil {
		return a
	}
	if host := u.Hostname(); host != "" {
		a.host = host
	} else if host := u.Query().Get("host"); host != "" {
		a.host = host
	}
	port := u.Port()
	if port == "" {
		port = u.Query().Get("port")
	}
	if n, err := strconv.Atoi(port); err == nil {
		a.port = n
	}
	return a
}

func (s *Server) makeRouter() (err error) {
	s.tickets = account.NewTickets(time.Now)
	s.makeRecordings()
	s.router, err = router.New(router.Config{
		Logger: s.log, Tickets: s.tickets, Sink: s.ingest, Limits: s.limits(), Origins: s.options.Config.Origins, Elsewhere: s.elsewhere, Metrics: s.metrics,
		Rates: rates, Policy: s.policy(),
	})
	if err != nil {
		return err
	}
	s.rpc = rpc.New(rpc.Config{
		Router: s.router, Installations: s.data.backends, Ingest: s.ingest, Reader: s.data.history, Assignments: assignments{s}, Recordings: s.recordings, Log: s.log,
	})
	return nil
}

// rates bound what one session may send, far above what honest ones do: what is beyond is answered with an error.
func rates(_ realms.Kind, role realms.Role) router.Rate {
	switch role {
	case realms.RoleBackend:
		return router.Rate{} // it tells what the others have sent
	case realms.RoleDevice, realms.RoleAgent:
		return router.Rate{Messages: 20_000, Bytes: 64 << 20}
	default:
		return router.Rate{Messages: 100_000, Bytes: 256 << 20}
	}
}

// assignments asks the assets, which are made after those who ask.
type assignments struct{ server *Server }

// Assignments tells which installations a device serves.
func (a assignments) Assignments(ctx context.Context, serial wire.Serial) (wire.AssignmentsReply, error) {
	return a.server.assets.Assignments(ctx, serial)
}

// endLogin ends what a login or an API key has opened that has ended or was revoked.
func (s *Server) endLogin(id string) {
	s.tickets.Drop(id)
	if s.remote != nil {
		s.remote.EndLogin(id)
	}
	if api := s.rest.Load(); api != nil {
		api.EndLogin(id)
	}
	for name := range s.assets.Directory().Realms() {
		sessions, err := s.router.Sessions(name)
		if err != nil {
			continue // the realm has gone, and its sessions with it
		}
		for _, session := range sessions {
			if session.Role == string(realms.RoleConsole) && session.Login == id {
				_ = s.router.Kill(name, session.ID) // it may have left meanwhile
			}
		}
	}
}

func (s *Server) makeAssets(ctx context.Context, keyring *secret.Keyring) error {
	ca, err := os.ReadFile(s.caFile)
	if err != nil {
		return errs.As(wire.Invalid, err, "the authority %s cannot be read", s.caFile)
	}
	s.recordings.Refusals = s.refusals // made after it; no device comes before the assets are there
	grantKey, err := ensureGrantKey(s.file("grant.key"))
	if err != nil {
		return errs.As(wire.Invalid, err, "the key that signs grants cannot be used")
	}
	s.assets, err = asset.New(asset.Config{
		Store: s.store, Sealer: keyring, Backends: s.data.backends, Sources: s.data.backends, Exporter: s.data.backends,
		Publisher: &publisher{ctx: s.group.Context(), backends: s.data.backends, router: s.router, rpc: s.rpc, log: s.log, last: &realms.Directory{}},
		Watcher:   s.rpc,
		Enrolment: asset.Enrolment{Router: s.AgentRouter(), CA: string(ca), GrantKey: grantKey.Public().(ed25519.PublicKey)}, Log: s.log, Now: time.Now,
	})
	if err != nil {
		return err
	}
	if err := s.assets.Start(ctx); err != nil {
		return err
	}
	if err := s.makeRemote(ctx, grantKey); err != nil {
		return err
	}
	s.group.Go(s.assets.Run)
	s.group.Go(s.recordings.Run)
	s.group.Go(s.quotas.Run)
	s.group.Go(s.quotas.Watch)
	s.group.Go(func(ctx context.Context) { s.tickets.Serve(ctx, s.endLogin) })
	s.group.Go(s.logins.Serve)
	s.group.Go(s.refusals.Serve)
	s.group.Go(s.prov.Serve)
	s.group.Go(s.rotation.Serve)
	return nil
}

func (s *Server) api() (http.Handler, error) {
	api, err := httpapi.New(httpapi.Config{
		Assets: s.assets, Keys: s.keys, Logins: s.logins, Users: s.users, Services: s.services, Refusals: s.refusals, Tickets: s.tickets, Sessions: sessions{s.router}, Backends: s.data, Audit: s.audit.log, AuditKey: s.audit.key.Verifier, AuditText: s.audit.key.Public,
		Authorizer: s.authorizer(), Granting: s.privileges.granting, Remote: s.remote, Recordings: s.recordings, Quotas: s.quotas, Replays: db.NewReplays(s.db), Sealer: s.sealer, Rotation: s.rotation, Metrics: s.metrics, Log: s.log, Now: time.Now,
		Version: s.options.Version, Providers: s.Providers(), PublicURL: s.public,
	})
	if err == nil {
		s.OnPrivileges(api.Reconsider)
		s.rest.Store(api)
	}
	return api, err
}

// sessions shows the router's sessions to the API.
type sessions struct{ router *router.Router }

// Sessions lists the sessions of a realm.
func (r sessions) Sessions(_ context.Context, realm string) ([]httpapi.Session, error) {
	found, err := r.router.Sessions(realm)
	listed := make([]httpapi.Session, len(found))
	for i, f := range found {
		listed[i] = httpapi.Session{
			Session: f.ID, AuthID: f.AuthID, Role: f.Role, Method: f.Method, DeviceKey: f.Device, Addr: f.Addr, Protocol: f.Protocol, JoinedAt: f.Joined,
		}
	}
	return listed, err
}

// EndSession ends a session.
func (r sessions) EndSession(_ context.Context, realm string, session uint64) error {
	return r.router.Kill(realm, session)
}
