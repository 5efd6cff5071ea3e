package audit

// Action is what was done: the kind of asset, a dot, a verb.
type Action string

// The actions. There are no others.
const (
	ProjectCreate Action = "project.create"
	ProjectUpdate Action = "project.update"
	ProjectRemove Action = "project.remove" // its realms are gone, its data is being removed
	ProjectDelete Action = "project.delete"

	ProjectQuota   Action = "project.quota"   // how much it may store
	ProjectStorage Action = "project.storage" // it has passed 80, 95 or 100 % of its quota, or stores less again

	AppCreate Action = "app.create"
	AppUpdate Action = "app.update"
	AppRotate Action = "app.rotate"
	AppDelete Action = "app.delete"

	InstallationProvision Action = "installation.provision" // begun
	InstallationReady     Action = "installation.ready"
	InstallationUndo      Action = "installation.undo" // provisioning failed and left nothing
	InstallationRemove    Action = "installation.remove"
	InstallationKeep      Action = "installation.keep" // its removal was given up before anything was lost
	InstallationExport    Action = "installation.export"
	InstallationDelete    Action = "installation.delete"

	DeviceCreate  Action = "device.create"
	DeviceUpdate  Action = "device.update"
	DeviceRotate  Action = "device.rotate"
	DeviceSuspend Action = "device.suspend"
	DeviceResume  Action = "device.resume"
	DeviceRevoke  Action = "device.revoke"

	ServiceCreate Action = "service.create"
	ServiceDelete Action = "service.delete"

	KeyCreate Action = "apikey.create"
	KeyRevoke Action = "apikey.revoke"

	TicketIssue      Action = "realm.ticket"
	SessionKill      Action = "session.kill"
	CredentialReveal Action = "data_backend.reveal_secret"
	AppSecretReveal  Action = "device.reveal_app_secret"
	TableExport      Action = "data_backend.export"

	ProviderCreate Action = "provider.create"
	ProviderUpdate Action = "provider.update"
	ProviderDelete Action = "provider.delete"
	ProviderRefuse Action = "provider.refuse" // what a browser brought back from a provider was not believed, or no answer came

	LoginBegin  Action = "login.first_factor"
	LoginRaise  Action = "login.second_factor" // also when it is shown again
	LoginGrant  Action = "login.grant"         // to a program, by who has approved it
	LoginRefuse Action = "login.refuse"
	LoginEnd    Action = "login.end"

	FactorBegin  Action = "factor.begin" // its secret was shown
	FactorEnrol  Action = "factor.enrol"
	FactorRefuse Action = "factor.refuse"
	FactorReset  Action = "factor.reset"
	RecoveryUse  Action = "factor.recovery"

	UserCreate  Action = "user.create"
	UserUpdate  Action = "user.update"
	UserSuspend Action = "user.suspend"
	UserResume  Action = "user.resume"
	PasswordSet Action = "user.password"

	ServiceAccountCreate  Action = "service_account.create"
	ServiceAccountSuspend Action = "service_account.suspend"
	ServiceAccountResume  Action = "service_account.resume"
	ServiceAccountDelete  Action = "service_account.delete"

	KeyRefuse Action = "apikey.refuse"

	LoginApprove Action = "login.approve" // of a program that showed a code
	LoginDeny    Action = "login.deny"

	SecretsAddKey Action = "secrets.add_key" // from here on it seals what is stored
	SecretsRewrap Action = "secrets.rewrap"  // everything stored was given the newest key
	SecretsDrop   Action = "secrets.drop_key"

	GrantCreate       Action = "grant.create"
	GrantUpdate       Action = "grant.update" // some of its flags were taken back
	GrantRevoke       Action = "grant.revoke"
	MemberAdd         Action = "member.add"
	MemberUpdate      Action = "member.update" // to what it is limited
	MemberRemove      Action = "member.remove" // with all that it was granted in the project
	DefaultsUpdate    Action = "project.update_defaults"
	DemandUpdate      Action = "project.demand_provider" // whose users may be there; 0: everybody's
	OwnerOffer        Action = "ownership.offer"
	OwnerAccept       Action = "ownership.accept"
	OwnerDecline      Action = "ownership.decline"
	OwnerRemove       Action = "ownership.remove"
	GroupCreate       Action = "group.create"
	GroupUpdate       Action = "group.update"
	GroupDelete       Action = "group.delete"
	GroupAddDevice    Action = "group.add_device"
	GroupRemoveDevice Action = "group.remove_device"

	LogKey       Action = "audit.key"     // from here on another key signs the logs
	LogRestore   Action = "audit.restore" // an operator accepted that an older backup was restored: what came after it is lost
	AccessRefuse Action = "access.refuse" // somebody who is known asked for what it may not have
	RefusalCount Action = "refusal.count" // how many refusals of a kind were not written one by one

	TunnelRequest Action = "tunnel.request"
	TunnelApprove Action = "tunnel.approve"
	TunnelDeny    Action = "tunnel.deny"
	TunnelGrant   Action = "tunnel.grant" // the ends are on their way
	TunnelOpen    Action = "tunnel.open"  // the ends have met; nothing went through before
	TunnelStream  Action = "tunnel.stream"
	TunnelEnter   Action = "tunnel.enter" // a browser was let in at a web application
	TunnelExtend  Action = "tunnel.extend"
	TunnelClose   Action = "tunnel.close"
	TunnelRefuse  Action = "tunnel.refuse"
	TunnelPolicy  Action = "tunnel.policy"

	RecordingKey    Action = "recording.key" // the public half of a project's recording key
	RecordingBegin  Action = "recording.begin"
	RecordingEnd    Action = "recording.end"    // with the hash of its last chunk; failed: it has no end
	RecordingRefuse Action = "recording.refuse" // a device sent a chunk that is not kept
	RecordingRead   Action = "recording.read"   // its key was given to somebody, to play or export it
	RecordingDelete Action = "recording.delete" // for its age
)

var severities = map[Action]Severity{
	ProjectCreate: Info, ProjectUpdate: Info, ProjectRemove: Warning, ProjectDelete: Warning,
	ProjectQuota: Notice, ProjectStorage: Warning,
	AppCreate: Info, AppUpdate: Info, AppRotate: Notice, AppDelete: Notice,
	InstallationProvision: Info, InstallationReady: Info, InstallationUndo: Warning, InstallationRemove: Notice,
	InstallationKeep: Notice, InstallationExport: Notice, InstallationDelete: Notice,
	DeviceCreate: Info, DeviceUpdate: Info, DeviceRotate: Notice, DeviceSuspend: Notice, DeviceResume: Notice, DeviceRevoke: Notice,
	ServiceCreate: Notice, ServiceDelete: Notice,
	KeyCreate: Notice, KeyRevoke: Notice,
	TicketIssue: Info, SessionKill: Notice, CredentialReveal: Notice, AppSecretReveal: Notice, TableExport: Notice,
	ProviderCreate: Notice, ProviderUpdate: Notice, ProviderDelete: Warning, ProviderRefuse: Notice,
	LoginBegin: Info, LoginRaise: Info, LoginGrant: Notice, LoginRefuse: Notice, LoginEnd: Info,
	FactorBegin: Info, FactorEnrol: Notice, FactorRefuse: Notice, FactorReset: Warning, RecoveryUse: Warning,
	UserCreate: Notice, UserUpdate: Notice, UserSuspend: Notice, UserResume: Notice, PasswordSet: Notice,
	ServiceAccountCreate: Notice, ServiceAccountSuspend: Notice, ServiceAccountResume: Notice, ServiceAccountDelete: Notice, KeyRefuse: Notice,
	LoginApprove: Notice, LoginDeny: Notice,
	SecretsAddKey: Warning, SecretsRewrap: Notice, SecretsDrop: Warning,
	GrantCreate: Notice, GrantUpdate: Notice, GrantRevoke: Notice, MemberAdd: Notice, MemberUpdate: Notice, MemberRemove: Notice,
	DefaultsUpdate: Warning, DemandUpdate: Warning, OwnerOffer: Notice, OwnerAccept: Warning, OwnerDecline: Info, OwnerRemove: Warning,
	GroupCreate: Info, GroupUpdate: Info, GroupDelete: Notice, GroupAddDevice: Notice, GroupRemoveDevice: Notice,
	LogKey: Warning, LogRestore: Warning, AccessRefuse: Notice, RefusalCount: Warning,
	TunnelRequest: Info, TunnelApprove: Notice, TunnelDeny: Notice, TunnelGrant: Notice, TunnelOpen: Notice, TunnelStream: Info, TunnelEnter: Notice,
	TunnelExtend: Notice, TunnelClose: Notice, TunnelRefuse: Warning, TunnelPolicy: Notice,
	RecordingKey: Notice, RecordingBegin: Info, RecordingEnd: Info, RecordingRefuse: Warning, RecordingRead: Notice, RecordingDelete: Notice,
}
