package granting

import (
	"strings"
	"time"

	"bulkhead/backend/privilege"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Console decides what people do in realms, over the newest snapshot; see router.Policy. The router has made sure already
// that the realm is one of the session's project and that their role allows it.
type Console struct {
	Live *Live
	Now  func() time.Time
}

// subjectOf reads the principal of a session as the ticket has made it. Who it is stands in its authid.
func subjectOf(p realms.Principal) privilege.Subject {
	key, err := wire.ParseKey(p.AuthID)
	if err != nil || p.Role != realms.RoleConsole {
		return privilege.Subject{}
	}
	var scopes []wire.Flag
	for _, word := range strings.Fields(p.Scopes) {
		scopes = append(scopes, wire.Flag(word))
	}
	return privilege.Subject{Key: key, Scoped: true, Scopes: privilege.Scopes(scopes)}
}

// Enters decides whether p may be in the realm at all.
func (c Console) Enters(p realms.Principal, r realms.Realm) bool {
	s, by, now := c.Live.Snapshot(), subjectOf(p), c.Now()
	switch r.Kind {
	case realms.Data:
		return s.May(by, wire.DataBackendRead, dataAsset(r), now)
	case realms.Devices:
		return s.May(by, wire.ProjectRead, privilege.ProjectAsset(r.Project), now)
	default:
		return false
	}
}

// May decides whether p may do a with every URI that the pattern matches.
func (c Console) May(p realms.Principal, r realms.Realm, a realms.Action, uri string, _ realms.Match) bool {
	if !c.Enters(p, r) {
		return false
	}
	d := decision{c.Live.Snapshot(), subjectOf(p), r, c.Now()}
	parts := strings.Split(uri, ".")
	switch {
	case r.Kind == realms.Devices:
		return d.devices(a, parts)
	case a == realms.Subscribe:
		return true // who enters may read
	case a == realms.Publish, a == realms.Call:
		return d.data(a, parts)
	default:
		return false
	}
}

func dataAsset(r realms.Realm) privilege.Asset {
	return privilege.DataAsset(r.Project, r.App, r.Stage)
}

type decision struct {
	snapshot *privilege.Snapshot
	by       privilege.Subject
	realm    realms.Realm
	now      time.Time
}

// data decides about a publication or a call in a data realm: reading is what entering asks for, the functions of a device
// ask for a privilege on it, and all else may change something.
func (d decision) data(a realms.Action, parts []string) bool {
	if device, ok := d.function(parts); ok {
		return d.snapshot.May(d.by, wire.DeviceWrite, privilege.DeviceAsset(d.realm.Project, device), d.now)
	}
	if a == realms.Call && reads(parts) {
		return true
	}
	return d.snapshot.May(d.by, wire.DataBackendWrite, dataAsset(d.realm), d.now)
}

// function reads <project>.<device>.<app>.<STAGE>.<name>, where only the device's own app registers.
func (d decision) function(parts []string) (wire.Key, bool) {
	if len(parts) < 5 || parts[0] != d.realm.Project.String() || parts[2] != d.realm.App.String() || parts[3] != d.realm.Stage.Upper() {
		return 0, false
	}
	device, err := wire.ParseKey(parts[1])
	return device, err == nil
}

// reads lists the procedures that change nothing.
func reads(parts []string) bool {
	switch parts[0] {
	case "history":
		return true
	case "databackend":
		return len(parts) > 1 && parts[1] == "errors"
	case "wamp":
		return !kills(parts)
	default:
		return false
	}
}

func kills(parts []string) bool {
	return len(parts) > 2 && parts[1] == "session" && strings.HasPrefix(parts[2], "kill")
}

// readsDevice are the functions of agents that change nothing.
var readsDevice = map[string]bool{wire.FunctionPing: true, wire.FunctionInfo: true, wire.FunctionMetrics: true}

// devices decides in a realm of devices: each is as open as the privileges on it, and what tells of all asks for all.
func (d decision) devices(a realms.Action, parts []string) bool {
	if a != realms.Call && a != realms.Subscribe {
		return false
	}
	if parts[0] == "wamp" && kills(parts) {
		return d.snapshot.May(d.by, wire.ProjectUpdate, privilege.ProjectAsset(d.realm.Project), d.now)
	}
	device, ok := d.device(parts)
	flag := wire.DeviceRead
	if a == realms.Call && parts[0] != "wamp" && (len(parts) != 3 || !readsDevice[parts[2]]) {
		flag = wire.DeviceMaintain
	}
	if !ok {
		return d.snapshot.Everywhere(d.by, flag, d.realm.Project, d.now)
	}
	return d.snapshot.May(d.by, flag, privilege.DeviceAsset(d.realm.Project, device), d.now)
}

// device reads the one device that <project>.<device>.… is about, where the pattern matches the URIs of no other.
func (d decision) device(parts []string) (wire.Key, bool) {
	if len(parts) < 3 || parts[0] != d.realm.Project.String() { // of a prefix, the last component may go on; in a wildcard pattern, an empty one is no key
		return 0, false
	}
	device, err := wire.ParseKey(parts[1])
	return device, err == nil
}
