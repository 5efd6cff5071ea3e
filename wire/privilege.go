package wire

// Flag names one privilege: a kind of asset, a dot, what may be done.
type Flag string

// The flags that operations ask for. Those of "platform" are about the server as a whole.
const (
	PlatformCreateProject Flag = "platform.create_project"
	PlatformCreateApp     Flag = "platform.create_app"
	PlatformKeys          Flag = "platform.apikeys"
	PlatformAudit         Flag = "platform.audit"

	ProjectRead         Flag = "project.read" // what every member has
	ProjectCreateDevice Flag = "project.create_device"
	ProjectInstallApp   Flag = "project.install_app"
	ProjectUpdate       Flag = "project.update"
	ProjectAudit        Flag = "project.audit"
	ProjectDelete       Flag = "project.delete"

	AppRead    Flag = "app.read"
	AppUpdate  Flag = "app.update"
	AppRelease Flag = "app.release"
	AppDelete  Flag = "app.delete"

	DeviceRead        Flag = "device.read"
	DeviceUpdate      Flag = "device.update"
	DeviceCredentials Flag = "device.credentials"
	DeviceDelete      Flag = "device.delete"

	DataBackendRead         Flag = "data_backend.read"
	DataBackendWrite        Flag = "data_backend.write"
	DataBackendExport       Flag = "data_backend.export"
	DataBackendRevealSecret Flag = "data_backend.reveal_secret"
	DataBackendCredentials  Flag = "data_backend.credentials"
	DataBackendDelete       Flag = "data_backend.delete"

	// Self is what every principal may do: ask who it is and what this server is.
	Self Flag = "self.read"
)
