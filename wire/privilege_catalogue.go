package wire

import "strings"

// AssetKind is a kind of what flags are about.
type AssetKind string

// The kinds of asset. Platform is the server as a whole, and self the caller's own account: nobody is granted flags on these.
const (
	AssetPlatform    AssetKind = "platform"
	AssetProject     AssetKind = "project"
	AssetDevice      AssetKind = "device"
	AssetGroup       AssetKind = "group"
	AssetApp         AssetKind = "app"
	AssetDashboard   AssetKind = "dashboard"
	AssetDataBackend AssetKind = "data_backend"
	AssetSelf        AssetKind = "self"
)

// Kind is the kind of asset that a flag is about; a word that is no flag has some kind too.
func (f Flag) Kind() AssetKind {
	kind, _, _ := strings.Cut(string(f), ".")
	return AssetKind(kind)
}

// Privilege is one line of the catalogue.
type Privilege struct {
	Flag  Flag   `json:"flag"`
	May   string `json:"may"`   // what who has it may do, for people
	Fresh bool   `json:"fresh"` // it needs a second factor that was shown lately
}

// Catalogue has every flag, in the order in which people read them. There are no others.
var Catalogue = []Privilege{
	{PlatformCreateProject, "create projects, and own them", false},
	{PlatformCreateApp, "create apps", false},
	{PlatformKeys, "make and revoke API keys of others", true},
	{PlatformAudit, "read the record of the whole server", false},
	{PlatformUsers, "make, suspend and resume users and service accounts", true},
	{PlatformProviders, "say where users log in", true},
	{PlatformSecrets, "change the keys that seal what is stored", true},
	{PlatformLimits, "see what every project stores, and say how much it may", false},

	{ProjectRead, "see the project", false},
	{ProjectCreateDevice, "create devices", false},
	{ProjectCreateGroup, "create groups of devices", false},
	{ProjectCreateDashboard, "create dashboards", false},
	{ProjectInstallApp, "install apps", false},
	{ProjectUpdate, "change the project's name, title and defaults", false},
	{ProjectMembers, "add, limit and remove members", true},
	{ProjectGrant, "grant on the project and all in it what one holds there", true},
	{ProjectAudit, "read the project's record", false},
	{ProjectDelete, "delete the project with all in it", false},

	{DeviceRead, "see the device, its presence and its measurements", false},
	{DeviceDevelop, "run software under development on the device", false},
	{DeviceMaintain, "maintain the device's software", false},
	{DeviceNetwork, "see and change the device's network", false},
	{DeviceTunnel, "open tunnels to the device", true},
	{DeviceTerminal, "open a terminal on the device", true},
	{DeviceRecording, "play what was recorded of the device's terminals", true},
	{DeviceWrite, "call the functions of the device's apps", false},
	{DeviceUpdate, "rename, suspend and resume the device", false},
	{DeviceCredentials, "give the device a new secret", true},
	{DeviceGrant, "grant on the device what one holds there", true},
	{DeviceDelete, "delete the device", false},

	{GroupRead, "see the group", false},
	{GroupUpdate, "change the group's name and title", false},
	{GroupAddDevice, "add devices to the group", false},
	{GroupRemoveDevice, "remove devices from the group", false},
	{GroupDeploy, "deploy to the group's devices", false},
	{GroupGrant, "grant on the group what one holds there", true},
	{GroupDelete, "delete the group", false},

	{AppRead, "see the app", false},
	{AppInstall, "install the app", false},
	{AppDevelop, "work on the app", false},
	{AppRelease, "give the app a new credential key", false},
	{AppPublish, "publish the app", false},
	{AppUpdate, "change the app's title", false},
	{AppGrant, "grant on the app what one holds there", true},
	{AppDelete, "delete the app", false},

	{DashboardRead, "see the dashboard", false},
	{DashboardWrite, "act through the dashboard", false},
	{DashboardUpdate, "change the dashboard", false},
	{DashboardGrant, "grant on the dashboard what one holds there", true},
	{DashboardDelete, "delete the dashboard", false},

	{DataBackendRead, "see the installation, subscribe and read rows in its realm", false},
	{DataBackendWrite, "publish, call and add rows in its realm, and end sessions there", false},
	{DataBackendSQL, "run SQL over its tables", false},
	{DataBackendExport, "download its tables", false},
	{DataBackendRevealSecret, "reveal a database login", true},
	{DataBackendCredentials, "make and delete its services, and reveal what its app joins with", true},
	{DataBackendGrant, "grant on the data backend what one holds there", true},
	{DataBackendDelete, "uninstall it with its data", false},

	{Self, "ask who one is, and see to one's own logins", false},
}

var catalogued = func() map[Flag]Privilege {
	m := make(map[Flag]Privilege, len(Catalogue))
	for _, p := range Catalogue {
		m[p.Flag] = p
	}
	return m
}()

// Known reports whether f is a flag of the catalogue.
func (f Flag) Known() bool { _, ok := catalogued[f]; return ok }

// NeedsFresh reports whether f is had only with a second factor that was shown in the last five minutes, or by an API key
// that names f. Of a word that is no flag it reports true.
func NeedsFresh(f Flag) bool {
	p, ok := catalogued[f]
	return p.Fresh || !ok
}

// Names of sets of flags that people know. A grant that names one is expanded to its flags when it is made.
const (
	SetViewer        = "viewer"
	SetOperator      = "operator"
	SetInstaller     = "installer"
	SetAdministrator = "administrator"
)

// Sets lists the names of sets, each of which has all flags of the one before it.
var Sets = []string{SetViewer, SetOperator, SetInstaller, SetAdministrator}

// Set gives the flags of a named set, in the order of the catalogue.
func Set(name string) (flags []Flag, ok bool) {
	for _, s := range Sets {
		for _, p := range Catalogue {
			if setOf[p.Flag] == s {
				flags = append(flags, p.Flag)
			}
		}
		if s == name {
			return flags, true
		}
	}
	return nil, false
}

// setOf has the first set that each flag is in.
var setOf = map[Flag]string{
	ProjectRead: SetViewer, DeviceRead: SetViewer, GroupRead: SetViewer, AppRead: SetViewer, DashboardRead: SetViewer, DataBackendRead: SetViewer,

	DeviceWrite: SetOperator, DeviceMaintain: SetOperator, DashboardWrite: SetOperator, DataBackendWrite: SetOperator, DataBackendExport: SetOperator,

	ProjectCreateDevice: SetInstaller, ProjectCreateGroup: SetInstaller, ProjectInstallApp: SetInstaller,
	DeviceDevelop: SetInstaller, DeviceNetwork: SetInstaller, DeviceTunnel: SetInstaller, DeviceUpdate: SetInstaller, DeviceCredentials: SetInstaller,
	GroupUpdate: SetInstaller, GroupAddDevice: SetInstaller, GroupRemoveDevice: SetInstaller, GroupDeploy: SetInstaller, AppInstall: SetInstaller,

	ProjectCreateDashboard: SetAdministrator, ProjectUpdate: SetAdministrator, ProjectMembers: SetAdministrator, ProjectGrant: SetAdministrator,
	ProjectAudit: SetAdministrator, DeviceTerminal: SetAdministrator, DeviceRecording: SetAdministrator, DeviceGrant: SetAdministrator, DeviceDelete: SetAdministrator,
	GroupGrant: SetAdministrator, GroupDelete: SetAdministrator,
	AppDevelop: SetAdministrator, AppRelease: SetAdministrator, AppPublish: SetAdministrator, AppUpdate: SetAdministrator, AppGrant: SetAdministrator,
	DashboardUpdate: SetAdministrator, DashboardGrant: SetAdministrator, DashboardDelete: SetAdministrator,
	DataBackendSQL: SetAdministrator, DataBackendRevealSecret: SetAdministrator, DataBackendCredentials: SetAdministrator,
	DataBackendGrant: SetAdministrator, DataBackendDelete: SetAdministrator,
}
