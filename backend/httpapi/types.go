package httpapi

import (
	"time"

	"bulkhead/backend/audit"
	"bulkhead/wire"
)

// The types of requests and replies. Names in references may be given as names or keys.

// List is one page of a list. Next, where it is set, is the cursor of the page after it.
type List[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last one"`
}

// Project is a tenant.
type Project struct {
	Key         wire.Key  `json:"key"`
	Name        string    `json:"name"`
	Title       string    `json:"title,omitempty"`
	DeviceRealm string    `json:"device_realm"`
	Removing    bool      `json:"removing,omitempty" doc:"Its realms are gone and its data is being removed"`
	CreatedAt   time.Time `json:"created_at"`
	ETag        string    `json:"etag" doc:"For If-Match, as in the header ETag"`
}

// ProjectCreate makes a project.
type ProjectCreate struct {
	Name  string `json:"name" maxLength:"63" pattern:"^[a-z][a-z0-9-]{0,62}$" example:"plant-a"`
	Title string `json:"title,omitempty" maxLength:"200"`
}

// ProjectUpdate changes what is set.
type ProjectUpdate struct {
	Name  *string `json:"name,omitempty" maxLength:"63" pattern:"^[a-z][a-z0-9-]{0,62}$"`
	Title *string `json:"title,omitempty" maxLength:"200"`
}

// ProjectStorage is what a project stores, and how much it may.
type ProjectStorage struct {
	ProjectKey wire.Key  `json:"project_key"`
	Project    string    `json:"project"`
	QuotaBytes int64     `json:"quota_bytes" doc:"0: no limit"`
	Default    bool      `json:"default" doc:"The quota is the server's default, not the project's own"`
	UsedBytes  int64     `json:"used_bytes" doc:"The sum of the next three"`
	TableBytes int64     `json:"table_bytes" doc:"Of its tables with their indexes, when they were measured"`
	DiskBytes  int64     `json:"disk_bytes" doc:"Of rows that waited for its database then, and of exports that the server keeps"`
	SinceBytes int64     `json:"since_bytes" doc:"An estimate of what came since"`
	MeasuredAt time.Time `json:"measured_at,omitzero"`
	Level      string    `json:"level" enum:"room,high,almost_full,full" doc:"high: 80 % of the quota; almost_full: 95 %; full: rows are refused"`
	OverBytes  int64     `json:"over_bytes,omitempty" doc:"When a quota was set: by how much all quotas together are more than the server's disk can hold"`
}

// StorageQuota says how much a project may store.
type StorageQuota struct {
	QuotaBytes *int64 `json:"quota_bytes,omitempty" minimum:"0" maximum:"9007199254740991" doc:"0: no limit; absent: the server's default"`
}

// App is software that projects install.
type App struct {
	Key       wire.Key  `json:"key"`
	Name      string    `json:"name"`
	Title     string    `json:"title,omitempty"`
	OwnerKey  wire.Key  `json:"owner_key,omitempty" doc:"The project that owns it; absent for an app of the platform, which all projects may install"`
	Epoch     int       `json:"epoch" doc:"Of the current credential key"`
	CreatedAt time.Time `json:"created_at"`
	ETag      string    `json:"etag"`
}

// AppCreate makes an app.
type AppCreate struct {
	Name  string `json:"name" maxLength:"63" pattern:"^[a-z][a-z0-9-]{0,62}$" example:"host-metrics"`
	Title string `json:"title,omitempty" maxLength:"200"`
	Owner string `json:"owner,omitempty" maxLength:"63" doc:"Name or key of the project that owns it; absent: the platform"`
}

// AppUpdate changes what is set.
type AppUpdate struct {
	Title *string `json:"title,omitempty" maxLength:"200"`
}

// Installation is an app in a project at a stage.
type Installation struct {
	Realm           string     `json:"realm"`
	ProjectKey      wire.Key   `json:"project_key"`
	Project         string     `json:"project"`
	AppKey          wire.Key   `json:"app_key"`
	App             string     `json:"app"`
	Stage           wire.Stage `json:"stage" enum:"dev,prod"`
	State           string     `json:"state" enum:"provisioning,ready,removing"`
	Schema          string     `json:"schema,omitempty" doc:"Name of its schema in the database"`
	Tables          []string   `json:"tables,omitempty"`
	TemplateVersion int        `json:"template_version"`
	CreatedAt       time.Time  `json:"created_at"`
}

// InstallationCreate installs an app.
type InstallationCreate struct {
	App      string     `json:"app" maxLength:"63" doc:"Name or key" example:"host-metrics"`
	Stage    wire.Stage `json:"stage" enum:"dev,prod"`
	Template string     `json:"template" minLength:"1" maxLength:"1048576" doc:"The text of the data template"`
}

// InstallationDeleted tells what is left of an installation.
type InstallationDeleted struct {
	ExportedTo string `json:"exported_to,omitempty" doc:"Where the server keeps the export that was asked for"`
}

// Device is a machine of a project.
type Device struct {
	Key         wire.Key    `json:"key"`
	ProjectKey  wire.Key    `json:"project_key"`
	Name        string      `json:"name"`
	Serial      wire.Serial `json:"serial"`
	DeviceRealm string      `json:"device_realm"`
	Suspended   bool        `json:"suspended"`
	CreatedAt   time.Time   `json:"created_at"`
	ETag        string      `json:"etag"`
}

// DeviceCreate makes a device.
type DeviceCreate struct {
	Name string `json:"name" maxLength:"63" pattern:"^[a-z][a-z0-9-]{0,62}$" example:"press-1"`
}

// DeviceUpdate changes what is set.
type DeviceUpdate struct {
	Name *string `json:"name,omitempty" maxLength:"63" pattern:"^[a-z][a-z0-9-]{0,62}$"`
}

// DeviceFlash is a device with the content of its flash file, which is shown this once.
type DeviceFlash struct {
	Device Device     `json:"device"`
	Flash  wire.Flash `json:"flash" doc:"To be written to the device; the secret in it cannot be shown again"`
}

// DeviceRotate gives a device a new secret.
type DeviceRotate struct {
	GraceSeconds *int `json:"grace_seconds,omitempty" minimum:"0" maximum:"3600" doc:"How long the older secret stays accepted; absent: an hour; 0: not at all"`
}

// Realm is a realm that exists.
type Realm struct {
	Realm      string     `json:"realm"`
	Kind       string     `json:"kind" enum:"data,devices"`
	ProjectKey wire.Key   `json:"project_key"`
	Project    string     `json:"project"`
	AppKey     wire.Key   `json:"app_key,omitempty"`
	App        string     `json:"app,omitempty"`
	Stage      wire.Stage `json:"stage,omitempty"`
}

// Ticket opens one WAMP session: join Realm as AuthID with method ticket.
type Ticket struct {
	Realm     string    `json:"realm"`
	AuthID    string    `json:"authid"`
	Ticket    string    `json:"ticket" doc:"Works once"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Session is a WAMP session.
type Session struct {
	Session   uint64    `json:"session"`
	AuthID    string    `json:"authid"`
	Role      string    `json:"authrole"`
	Method    string    `json:"authmethod"`
	DeviceKey wire.Key  `json:"device_key,omitempty"`
	Addr      string    `json:"addr,omitempty"`
	Protocol  string    `json:"protocol"`
	JoinedAt  time.Time `json:"joined_at"`
}

// Service is a principal that may do anything in one realm.
type Service struct {
	Realm     string    `json:"realm"`
	Name      string    `json:"name"`
	AuthID    string    `json:"authid"`
	CreatedAt time.Time `json:"created_at"`
}

// ServiceCreate makes a service.
type ServiceCreate struct {
	Name string `json:"name" maxLength:"63" pattern:"^[a-z][a-z0-9-]{0,62}$" example:"dashboard"`
}

// ServiceSecret is a service with its secret, which is shown this once.
type ServiceSecret struct {
	Service Service `json:"service"`
	Secret  string  `json:"secret" doc:"For WAMP-CRA, as it stands; it cannot be shown again"`
}

// AppCredentialCreate names a device.
type AppCredentialCreate struct {
	Device string `json:"device" maxLength:"63" doc:"Name, serial or key of a device of the realm's project"`
}

// AppCredential is what the realm's app on a device joins with.
type AppCredential struct {
	Realm  string `json:"realm"`
	AuthID string `json:"authid"`
	Secret string `json:"secret" doc:"For WAMP-CRA, as it stands"`
}

// DatabaseCredential is a login that reaches the schema of one installation.
type DatabaseCredential struct {
	Host     string    `json:"host"`
	Port     int       `json:"port"`
	Database string    `json:"database"`
	Schema   string    `json:"schema"`
	User     string    `json:"user"`
	Password string    `json:"password"`
	Until    time.Time `json:"until,omitzero" doc:"The login ends then, where it does"`
}

// APIKey is an API key without its secret.
type APIKey struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	HolderKey  wire.Key    `json:"holder_key"`
	HolderKind string      `json:"holder_kind" enum:"user,service_account"`
	Holder     string      `json:"holder" doc:"Name of the user or service account that acts with it"`
	Owner      bool        `json:"owner" doc:"Its holder may administer the server"`
	Scopes     []wire.Flag `json:"scopes" doc:"The privileges that it may use; * names all that its holder has"`
	CreatedAt  time.Time   `json:"created_at"`
	ExpiresAt  time.Time   `json:"expires_at"`
	RevokedAt  time.Time   `json:"revoked_at,omitzero"`
	LastUsedAt time.Time   `json:"last_used_at,omitzero" doc:"To the minute"`
}

// APIKeyCreate makes an API key.
type APIKeyCreate struct {
	Name             string      `json:"name" minLength:"1" maxLength:"100" doc:"By which you know it again"`
	ServiceAccount   string      `json:"service_account,omitempty" maxLength:"200" doc:"Name or key of the service account that holds it; absent: you"`
	Scopes           []wire.Flag `json:"scopes,omitempty" maxItems:"100" doc:"The privileges that it may use, of those that its holder has; absent: *, all of them"`
	ExpiresInSeconds int64       `json:"expires_in_seconds,omitempty" minimum:"60" maximum:"31536000" doc:"Absent: 90 days"`
}

// APIKeySecret is an API key with its text, which is shown this once.
type APIKeySecret struct {
	APIKey APIKey `json:"apikey"`
	Key    string `json:"key" doc:"It cannot be shown again"`
}

// Whoami tells a caller who it is.
type Whoami struct {
	Kind     string      `json:"kind" enum:"user,service_account"`
	ID       string      `json:"id" doc:"Key of the user or service account, and name of its WAMP sessions"`
	Name     string      `json:"name"`
	Owner    bool        `json:"owner" doc:"May administer the server; it gives no right inside a project"`
	Login    string      `json:"login" doc:"Id of the login or API key"`
	Proof    string      `json:"proof" enum:"login,apikey"`
	Level    string      `json:"level" enum:"aal1,aal2"`
	FactorAt time.Time   `json:"factor_at,omitzero" doc:"When the second factor was shown"`
	Until    time.Time   `json:"until,omitzero" doc:"When the login ends"`
	Scopes   []wire.Flag `json:"scopes,omitempty" doc:"An API key may use these privileges alone; * names all"`
}

// Version tells which server this is.
type Version struct {
	Version  string `json:"version"`
	Contract int    `json:"contract" doc:"Version of what crosses the wire"`
	Go       string `json:"go"`
}

// AuditEntry is one record of the audit log.
type AuditEntry = audit.Entry
