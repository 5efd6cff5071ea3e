package wire

// Flag names one privilege: a kind of asset, a dot, what may be done.
type Flag string

// The flags that operations ask for. Those of "platform" are about the server as a whole.
const (
	PlatformCreateProject Flag = "platform.create_project"
	PlatformCreateApp     Flag = "platform.create_app"
	PlatformKeys          Flag = "platform.apikeys"
	PlatformAudit         Flag = "platform.audit"
	PlatformUsers         Flag = "platform.users"     // users and service accounts
	PlatformProviders     Flag = "platform.providers" // where users log in
	PlatformSecrets       Flag = "platform.secrets"   // the keys that seal what is stored
	PlatformLimits        Flag = "platform.limits"    // how much each project may store

	ProjectRead            Flag = "project.read" // what every member has
	ProjectCreateDevice    Flag = "project.create_device"
	ProjectCreateGroup     Flag = "project.create_group"
	ProjectCreateDashboard Flag = "project.create_dashboard"
	ProjectInstallApp      Flag = "project.install_app"
	ProjectUpdate          Flag = "project.update"
	ProjectMembers         Flag = "project.members" // who is a member, and limited to what
	ProjectGrant           Flag = "project.grant"
	ProjectAudit           Flag = "project.audit"
	ProjectDelete          Flag = "project.delete"

	DeviceRead        Flag = "device.read"
	DeviceDevelop     Flag = "device.develop"
	DeviceMaintain    Flag = "device.maintain"
	DeviceNetwork     Flag = "device.network"
	DeviceTunnel      Flag = "device.tunnel"
	DeviceTerminal    Flag = "device.terminal"
	DeviceRecording   Flag = "device.recording"
	DeviceWrite       Flag = "device.write" // call the functions of its apps
	DeviceUpdate      Flag = "device.update"
	DeviceCredentials Flag = "device.credentials"
	DeviceGrant       Flag = "device.grant"
	DeviceDelete      Flag = "device.delete"

	GroupRead         Flag = "group.read"
	GroupUpdate       Flag = "group.update"
	GroupAddDevice    Flag = "group.add_device"
	GroupRemoveDevice Flag = "group.remove_device"
	GroupDeploy       Flag = "group.deploy"
	GroupGrant        Flag = "group.grant"
	GroupDelete       Flag = "group.delete"

	AppRead    Flag = "app.read"
	AppInstall Flag = "app.install"
	AppDevelop Flag = "app.develop"
	AppRelease Flag = "app.release"
	AppPublish Flag = "app.publish"
	AppUpdate  Flag = "app.update"
	AppGrant   Flag = "app.grant"
	AppDelete  Flag = "app.delete"

	DashboardRead   Flag = "dashboard.read"
	DashboardWrite  Flag = "dashboard.write"
	DashboardUpdate Flag = "dashboard.update"
	DashboardGrant  Flag = "dashboard.grant"
	DashboardDelete Flag = "dashboard.delete"

	DataBackendRead         Flag = "data_backend.read"
	DataBackendWrite        Flag = "data_backend.write"
	DataBackendSQL          Flag = "data_backend.sql"
	DataBackendExport       Flag = "data_backend.export"
	DataBackendRevealSecret Flag = "data_backend.reveal_secret"
	DataBackendCredentials  Flag = "data_backend.credentials"
	DataBackendGrant        Flag = "data_backend.grant"
	DataBackendDelete       Flag = "data_backend.delete"

	// Self is what every principal may do: ask who it is and what this server is.
	Self Flag = "self.read"
)
