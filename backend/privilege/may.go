package privilege

import (
	"slices"
	"time"

	"bulkhead/wire"
)

// everybody is what each principal may do with the apps that the platform owns.
var everybody = Of(wire.AppRead, wire.AppInstall)

// flagsOf has all flags of each kind of asset.
var flagsOf = func() map[wire.AssetKind]Set {
	m := map[wire.AssetKind]Set{}
	for _, p := range wire.Catalogue {
		m[p.Flag.Kind()] |= index[p.Flag]
	}
	return m
}()

// May decides whether by may do what the flag names to the asset, at a time.
func (s *Snapshot) May(by Subject, flag wire.Flag, on Asset, now time.Time) bool {
	bit := index[flag]
	return s.may(by, bit&flagsOf[on.Kind], on, now.UnixMicro())
}

// Sees decides whether the asset exists as far as by is told: who may not read an asset is told that there is none.
func (s *Snapshot) Sees(by Subject, on Asset, now time.Time) bool {
	if on.Kind == wire.AssetPlatform {
		return s.may(by, index[wire.Self], Asset{Kind: wire.AssetSelf}, now.UnixMicro())
	}
	return s.may(by, reading[on.Kind], on, now.UnixMicro())
}

// reading has the flag of each kind without which an asset does not exist.
var reading = map[wire.AssetKind]Set{
	wire.AssetProject: Of(wire.ProjectRead), wire.AssetDevice: Of(wire.DeviceRead), wire.AssetGroup: Of(wire.GroupRead),
	wire.AssetApp: Of(wire.AppRead), wire.AssetDashboard: Of(wire.DashboardRead), wire.AssetDataBackend: Of(wire.DataBackendRead),
	wire.AssetSelf: Of(wire.Self),
}

// may decides about one flag; that no flag has no bit, and nobody may do it.
func (s *Snapshot) may(by Subject, bit Set, on Asset, now int64) bool {
	p, ok := s.principals.get(by.Key)
	if !ok || p.Suspended || bit == 0 {
		return false
	}
	if on.Kind == wire.AssetSelf {
		return true
	}
	if by.Scoped && by.Scopes&bit == 0 {
		return false
	}
	if on.Kind == wire.AssetPlatform {
		return p.Owner
	}
	if on.Project == 0 {
		if on.Kind != wire.AssetApp || !on.Key.Valid() {
			return false
		}
		if p.Owner || everybody&bit != 0 {
			return true
		}
	}
	at, ok := s.projects.get(on.Project)
	if !ok || (on.Kind == wire.AssetProject && on.Key != on.Project) {
		return false
	}
	h, ok := at.holders.get(by.Key)
	return ok && h.may(at, bit, on, now)
}

// may decides for somebody who has something in the project.
func (h *holder) may(at *project, bit Set, on Asset, now int64) bool {
	if h.owner && at.key != 0 {
		return true
	}
	if on.Kind == wire.AssetApp && slices.Contains(h.apps, on.Key) {
		return true
	}
	if !h.member && at.key != 0 {
		return false
	}
	if bit == reading[wire.AssetProject] {
		return true
	}
	var in []wire.Key
	if h.onGroups || h.limited {
		in = at.groupsOf(on)
	}
	if !h.reaches(on, in) {
		return false
	}
	if h.reachedWide(on) && at.defaults&bit != 0 {
		return true
	}
	if (h.reachedWide(on) || on.Kind == wire.AssetProject) && allowed(h.wide, bit, now) {
		return true
	}
	if allowed(h.direct[refOf(on)], bit, now) {
		return true
	}
	for _, group := range in {
		if allowed(h.direct[ref(group)<<codeBits|groupCode], bit, now) {
			return true
		}
	}
	return false
}

var groupCode = refOf(Asset{Kind: wire.AssetGroup})

// groupsOf gives the groups that a device is in; none of anything else.
func (p *project) groupsOf(a Asset) []wire.Key {
	if a.Kind != wire.AssetDevice {
		return nil
	}
	in, _ := p.groups.get(a.Key)
	return in
}

// reaches reports whether a member is not kept from an asset by the groups that it is limited to.
func (h *holder) reaches(on Asset, in []wire.Key) bool {
	if !h.limited {
		return true
	}
	switch on.Kind {
	case wire.AssetDevice:
		for _, group := range in {
			if slices.Contains(h.groups, group) {
				return true
			}
		}
		return false
	case wire.AssetGroup:
		return slices.Contains(h.groups, on.Key)
	default:
		return true
	}
}

// reachedWide reports whether what holds for the whole project holds for an asset that h reaches: for limited members it
// does for groups and devices alone.
func (h *holder) reachedWide(on Asset) bool {
	return !h.limited || on.Kind == wire.AssetDevice || on.Kind == wire.AssetGroup
}

func allowed(list []given, bit Set, now int64) bool {
	for i := range list {
		if list[i].holds(bit, now) {
			return true
		}
	}
	return false
}

func (g *given) holds(bit Set, now int64) bool {
	return g.flags&bit != 0 && g.from <= now && now < g.until
}

// Belongs reports whether by has anything in a project: who does not is told that it does not exist.
func (s *Snapshot) Belongs(by Subject, projectKey wire.Key) bool {
	p, ok := s.principals.get(by.Key)
	if !ok || p.Suspended || !projectKey.Valid() {
		return false
	}
	at, ok := s.projects.get(projectKey)
	if !ok {
		return false
	}
	_, ok = at.holders.get(by.Key)
	return ok
}
