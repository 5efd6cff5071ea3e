package audit

// Told is what an action's entries hold before and after: shapes, which Shapes has the members of. Empty: nothing.
type Told struct{ Before, After string }

// Shapes are the members that before and after may have, by what they tell of. Members that a thing has not are absent.
var Shapes = map[string][]string{
	"project":         {"created_at", "key", "name", "revision", "title"},
	"app":             {"created_at", "epoch", "key", "name", "revision", "title"},
	"installation":    {"app", "created_at", "export_wanted", "exported_to", "project", "state", "template_version"},
	"device":          {"created_at", "key", "name", "project_key", "revision", "secret_version", "serial", "suspended", "title"},
	"asset":           {"key", "kind", "name"},
	"group":           {"created_at", "key", "name", "project_key", "revision", "title"},
	"API key":         {"created_at", "expires_at", "holder", "id", "name", "revoked_at", "scopes"},
	"user":            {"email", "issuer", "owner", "provider_key", "subject", "suspended", "user_name"},
	"service account": {"bootstrap", "created_at", "key", "name", "owner", "project_key", "suspended"},
	"provider": {
		"algorithms", "claims", "client_id", "created_at", "has_secret", "issuer", "just_in_time", "key", "logout", "max_users", "name",
		"private_network", "project_key", "scopes", "suspended", "title",
	},
	"grant":     {"asset", "flags", "from", "given_at", "given_by_key", "key", "principal_key", "until"},
	"member":    {"added_at", "groups", "limited", "principal_key", "project_key"},
	"flags":     {"flags"},
	"demand":    {"provider_key"},
	"quota":     {"quota_bytes"},
	"level":     {"level", "quota_bytes", "used_bytes"},
	"transfer":  {"expires_at", "from_key", "keep", "key", "offered_at", "project", "project_key", "to_key"},
	"policy":    {"Approval", "Recording"},
	"recording": {"by", "bytes", "chunks", "ended", "hash", "purpose", "recording", "signer", "state"},
	"tunnel": {
		"approver", "duration", "end_to_end", "ended", "reason", "received", "record", "sent", "signer", "state", "streams", "target", "ttl", "tunnel", "until", "via",
	},
	"key":     {"key"},
	"restore": {"key", "logs", "reason", "states"},
	"login":   {"created_at", "expires_at", "factor_at", "first_at", "id", "kind", "level", "provider_key", "seen_at", "user_key"},
	"program": {"client", "host"},
	"refusal": {"flag", "path", "reason"},
	"count":   {"action", "address", "addresses", "count", "since", "until"},
	"chunk":   {"reason", "sequence", "session", "tunnel"},
	"service": {"created_at", "name"},
	"owner":   {"principal_key", "since"},
	"work":    {"done", "failed", "running", "total"},
	"streams": {"first", "last", "target", "tunnel"},
}

var (
	created = func(shape string) Told { return Told{"", shape} }
	changed = func(shape string) Told { return Told{shape, shape} }
	removed = func(shape string) Told { return Told{shape, ""} }
)

// Tells has every action.
var Tells = map[Action]Told{
	ProjectCreate: created("project"), ProjectUpdate: changed("project"), ProjectRemove: removed("project"), ProjectDelete: removed("project"),
	ProjectQuota: changed("quota"), ProjectStorage: changed("level"),
	AppCreate: created("app"), AppUpdate: changed("app"), AppRotate: changed("app"), AppDelete: removed("app"),
	InstallationProvision: created("installation"), InstallationReady: changed("installation"), InstallationUndo: changed("installation"),
	InstallationRemove: changed("installation"), InstallationKeep: changed("installation"), InstallationExport: changed("installation"),
	InstallationDelete: removed("installation"),
	DeviceCreate:       created("device"), DeviceUpdate: changed("device"), DeviceRotate: changed("device"), DeviceSuspend: changed("device"),
	DeviceResume: changed("device"), DeviceRevoke: removed("device"),
	KeyCreate: created("API key"), KeyRevoke: changed("API key"),
	UserCreate: created("user"), UserUpdate: changed("user"), UserSuspend: changed("user"), UserResume: changed("user"), PasswordSet: {}, LoginEnd: {},
	ServiceAccountCreate: created("service account"), ServiceAccountSuspend: changed("service account"),
	ServiceAccountResume: changed("service account"), ServiceAccountDelete: removed("service account"),
	ProviderCreate: created("provider"), ProviderUpdate: changed("provider"), ProviderDelete: removed("provider"),
	GrantCreate: created("grant"), GrantUpdate: changed("grant"), GrantRevoke: removed("grant"),
	MemberAdd: created("member"), MemberUpdate: changed("member"), MemberRemove: removed("member"),
	DefaultsUpdate: changed("flags"), DemandUpdate: changed("demand"), OwnerOffer: created("transfer"), OwnerAccept: removed("transfer"), OwnerDecline: removed("transfer"),
	GroupCreate: created("group"), GroupUpdate: changed("group"), GroupDelete: removed("group"),
	GroupAddDevice: created("asset"), GroupRemoveDevice: removed("asset"),
	TunnelRequest: created("tunnel"), TunnelApprove: created("tunnel"), TunnelDeny: created("tunnel"), TunnelGrant: created("tunnel"),
	TunnelOpen: created("tunnel"), TunnelEnter: created("tunnel"), TunnelExtend: created("tunnel"), TunnelClose: created("tunnel"), TunnelPolicy: changed("policy"),
	RecordingKey: created("key"), RecordingBegin: created("recording"), RecordingEnd: created("recording"), RecordingRead: created("recording"),
	RecordingDelete: removed("recording"),
	ServiceCreate:   created("service"), ServiceDelete: {}, TicketIssue: {}, SessionKill: {}, CredentialReveal: {}, AppSecretReveal: {}, TableExport: {},
	LoginBegin: created("login"), LoginRaise: changed("login"), RecoveryUse: changed("login"), LoginGrant: created("login"),
	LoginApprove: created("program"), LoginDeny: created("program"), FactorBegin: {}, FactorEnrol: {}, FactorReset: {},
	LoginRefuse: created("refusal"), FactorRefuse: created("refusal"), ProviderRefuse: created("refusal"), KeyRefuse: created("refusal"),
	AccessRefuse: created("refusal"), RefusalCount: created("count"), RecordingRefuse: created("chunk"), OwnerRemove: removed("owner"),
	SecretsAddKey: {}, SecretsRewrap: created("work"), SecretsDrop: {}, TunnelStream: created("streams"), TunnelRefuse: created("tunnel"),
	LogKey: created("key"), LogRestore: changed("restore"),
}
