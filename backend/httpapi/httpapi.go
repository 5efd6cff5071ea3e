// Package httpapi serves the REST API under /api/v1 and the operator's endpoints.
//
// It promises that every operation but logging in and reading its own description needs an API key or a login and names the privilege that it asks
// for; that what a caller may not see answers as if it did not exist; that a refusal is an RFC 9457 problem document with
// a stable code and the request's id; that a key in a URL is refused; that unknown members, oversized and slow bodies are
// refused; and that an answer with a secret is given once, or again to the same request alone.
package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/sumdb/note"

	"bulkhead/backend/account"
	"bulkhead/backend/account/oidc"
	"bulkhead/backend/account/throttle"
	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/backend/audit/ledger"
	"bulkhead/backend/privilege/granting"
	"bulkhead/backend/quota"
	"bulkhead/backend/recording"
	"bulkhead/backend/remote"
	"bulkhead/backend/rotation"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Prefix is where the API is mounted.
const Prefix = "/api/v1"

// Sessions is the router as an operator sees it. Errors have kind NotFound where the realm or the session does not exist.
type Sessions interface {
	Sessions(ctx context.Context, realm string) ([]Session, error)
	EndSession(ctx context.Context, realm string, session uint64) error
}

// DataBackends tells of, and reads, the data of installations. Errors have kind NotFound where the table does not exist.
type DataBackends interface {
	Describe(ctx context.Context, r realms.Realm) (schema string, tables []string, err error)
	// Credential reveals a login of the installation; kind NotFound where it has none.
	Credential(ctx context.Context, r realms.Realm) (DatabaseCredential, error)
	// ExportTable writes all rows of a table. What it has written when it fails is not a whole export.
	ExportTable(ctx context.Context, r realms.Realm, table, format string, w io.Writer) error
}

// AuditLog records what changes nothing in the database, and reads the log: entries, and the Merkle logs that prove them.
type AuditLog interface {
	audit.Recorder
	ledger.Source
	Entries(ctx context.Context, q audit.Query) ([]audit.Entry, error)
	Logs(ctx context.Context) ([]ledger.Log, error)
	Placed(ctx context.Context, sequence int64) (ledger.Placed, error)
}

// Authorizer decides whether a principal may do something to an asset. It is asked by every operation.
type Authorizer interface {
	May(ctx context.Context, by account.Principal, flag wire.Flag, on Target) bool
	// Sees decides whether the asset exists as far as the principal is told.
	Sees(ctx context.Context, by account.Principal, on Target) bool
	// Belongs decides whether a project, with all in it, exists as far as the principal is told.
	Belongs(ctx context.Context, by account.Principal, project wire.Key) bool
}

// Replays keeps the sealed answers to requests with an Idempotency-Key; see db.Replays.
type Replays interface {
	Begin(ctx context.Context, principal, key string, fingerprint []byte, at, fresh, stalled time.Time) (sealed []byte, err error)
	Finish(ctx context.Context, principal, key string, sealed []byte) error
	Abandon(ctx context.Context, principal, key string) error
}

// Config is what the API needs; all of it is required but Metrics.
type Config struct {
	Assets     *asset.Assets
	Keys       *account.Keys
	Logins     *account.Logins
	Users      *account.Users
	Services   *account.ServiceAccounts
	Tickets    *account.Tickets
	Providers  *oidc.Providers
	Sessions   Sessions
	Backends   DataBackends
	Audit      AuditLog
	AuditKey   note.Verifier // of the checkpoints; nil where no sequencer runs
	AuditText  string        // the same as text
	Refusals   audit.Noter   // nil: refusals are not recorded
	Authorizer Authorizer
	Granting   *granting.Granting
	Remote     *remote.Remote        // nil: no tunnels
	Recordings *recording.Recordings // nil: no operations on recordings
	Quotas     *quota.Quotas         // nil: no operations on storage
	Replays    Replays
	Sealer     asset.Sealer
	Rotation   *rotation.Rotation    // nil: there are no operations on sealing keys
	Metrics    prometheus.Registerer // nil: not measured
	Log        *slog.Logger
	Now        func() time.Time
	Version    string
	PublicURL  string // of this server, without a path
}

// API serves requests below Prefix. Make one with New.
type API struct {
	Config
	huma    huma.API
	handler http.Handler

	requests places // by who is known
	exports  places // by project

	downloads openings
	exhausted throttle.Lines

	bodyTimeout time.Duration
}

var _ http.Handler = (*API)(nil)

// New makes an API.
func New(c Config) (*API, error) {
	if c.Assets == nil || c.Keys == nil || c.Logins == nil || c.Users == nil || c.Services == nil || c.Tickets == nil || c.Providers == nil || c.Sessions == nil || c.Backends == nil || c.Audit == nil ||
		c.Authorizer == nil || c.Granting == nil || c.Replays == nil || c.Sealer == nil || c.Log == nil || c.Now == nil {
		return nil, errors.New("httpapi: New: something required is missing in Config")
	}
	a := &API{
		Config: c, bodyTimeout: bodyTimeout,
		requests: places{all: maxInFlight, each: maxEach, crowded: maxInCrowd},
		exports:  places{all: maxExports, each: maxProjectExports, crowded: maxCrowdExports},
	}
	mux := http.NewServeMux()
	a.huma = humago.NewWithPrefix(mux, Prefix, describe(c.Version))
	a.register()
	measure, err := newMeter(c.Metrics)
	if err != nil {
		return nil, err
	}
	a.handler = a.gates(mux, measure)
	return a, nil
}

// ServeHTTP answers a request below Prefix.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

func (a *API) register() {
	a.registerProjects()
	a.registerApps()
	a.registerInstallations()
	a.registerDevices()
	a.registerRealms()
	a.registerSessions()
	a.registerServices()
	a.registerData()
	a.registerKeys()
	a.registerSealingKeys()
	a.registerLogins()
	a.registerUsers()
	a.registerServiceAccounts()
	a.registerPrivileges()
	a.registerGrants()
	a.registerMembers()
	a.registerOwners()
	a.registerGroups()
	a.registerProviders()
	a.registerDemand()
	a.registerAudit()
	a.registerSelf()
	if a.Remote != nil {
		a.registerTunnels()
	}
	if a.Recordings != nil {
		a.registerRecordings()
	}
	if a.Quotas != nil {
		a.registerStorage()
	}
}

// describe is the frame of the OpenAPI document. Its default addition of "$schema" members is left out.
func describe(version string) huma.Config {
	c := huma.DefaultConfig("Bulkhead", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	c.Info.Description = "Projects, apps, installations, devices and what belongs to them. Errors are RFC 9457 problem documents whose code is stable."
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		securityScheme: {Type: "http", Scheme: "bearer", BearerFormat: "bhk_<id>_<secret>_<checksum>", Description: "An API key, or the token of a login (bhs_…)"},
	}
	return c
}
