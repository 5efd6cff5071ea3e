package privilege

import (
	"cmp"
	"math"
	"slices"
	"time"

	"bulkhead/wire"
)

// Lacks gives the flags of a grant that by does not hold wherever and for as long as the grant would, and now: nobody grants
// what they do not hold. It is empty where by may give all of it.
func (s *Snapshot) Lacks(by Subject, g Grant, now time.Time) []wire.Flag {
	wanted := Of(g.Flags...)
	first, last := now.UnixMicro(), forEver
	if !g.From.IsZero() {
		first = max(first, g.From.UnixMicro())
	}
	if !g.Until.IsZero() {
		last = max(first, g.Until.UnixMicro()-1)
	}
	held := s.holds(by, g.Asset, now.UnixMicro()) & s.holdsFor(by, g.Asset, first, last)
	return wanted.Without(held).Flags()
}

// LacksAll gives those of the flags that by does not hold on all of a project, or, where limited, on all of the groups and
// their devices.
func (s *Snapshot) LacksAll(by Subject, projectKey wire.Key, flags Set, limited bool, groups []wire.Key, now time.Time) []wire.Flag {
	held := flags
	if !limited {
		return flags.Without(s.holdsFor(by, ProjectAsset(projectKey), now.UnixMicro(), forEver)).Flags()
	}
	for _, group := range groups {
		held &= s.holdsFor(by, GroupAsset(projectKey, group), now.UnixMicro(), forEver)
	}
	return (flags & Grantable(wire.AssetGroup)).Without(held).Flags()
}

// forEver is the time until which grants hold that have no end.
const forEver = int64(math.MaxInt64 - 1)

// holdsFor is what by holds on an asset all the time from first to last: it is looked at whenever something begins or ends.
func (s *Snapshot) holdsFor(by Subject, on Asset, first, last int64) Set {
	held := s.holds(by, on, first) & s.holds(by, on, last)
	at, ok := s.projects.get(on.Project)
	if !ok {
		return held
	}
	h, ok := at.holders.get(by.Key)
	if !ok {
		return held
	}
	for _, turn := range h.times() {
		if first < turn && turn < last {
			held &= s.holds(by, on, turn)
		}
	}
	return held
}

// holds gives the flags that by has at a time on an asset and on all that it contains.
func (s *Snapshot) holds(by Subject, on Asset, now int64) (held Set) {
	p, ok := s.principals.get(by.Key)
	if !ok || p.Suspended {
		return 0
	}
	for _, f := range Grantable(on.Kind).Flags() {
		bit := index[f]
		if s.holdsOne(by, bit, f.Kind(), on, now) {
			held |= bit
		}
	}
	return held
}

func (s *Snapshot) holdsOne(by Subject, bit Set, kind wire.AssetKind, on Asset, now int64) bool {
	if kind == on.Kind {
		return s.may(by, bit, on, now)
	}
	if by.Scoped && by.Scopes&bit == 0 {
		return false
	}
	at, ok := s.projects.get(on.Project)
	if !ok {
		return false
	}
	h, ok := at.holders.get(by.Key)
	if !ok {
		return false
	}
	if h.owner && at.key != 0 {
		return true
	}
	if !h.member {
		return false
	}
	wide := at.defaults&bit != 0 || allowed(h.wide, bit, now)
	if on.Kind == wire.AssetProject {
		return wide && !h.limited
	}
	reached := h.reaches(on, nil)
	return reached && (wide || allowed(h.direct[refOf(on)], bit, now))
}

// Everywhere decides whether by may do what the flag names to every asset of the flag's kind in a project, also to those
// that are made later.
func (s *Snapshot) Everywhere(by Subject, flag wire.Flag, projectKey wire.Key, now time.Time) bool {
	on := ProjectAsset(projectKey)
	p, ok := s.principals.get(by.Key)
	return ok && !p.Suspended && projectKey.Valid() && index[flag]&Grantable(on.Kind) != 0 &&
		s.holdsOne(by, index[flag], flag.Kind(), on, now.UnixMicro())
}

// Owns reports whether by owns the project, as a person or with an API key that names everything.
func (s *Snapshot) Owns(by Subject, projectKey wire.Key) bool {
	p, ok := s.principals.get(by.Key)
	if !ok || p.Suspended || !projectKey.Valid() || !by.Unbounded() {
		return false
	}
	at, ok := s.projects.get(projectKey)
	if !ok {
		return false
	}
	h, ok := at.holders.get(by.Key)
	return ok && h.owner
}

// Conveys gives the flags that somebody would get on a device by its being in a group, at whatever time: adding a device
// gives them, so who adds it must hold them on the device.
func (s *Snapshot) Conveys(projectKey, group wire.Key) (flags Set) {
	at, ok := s.projects.get(projectKey)
	if !ok {
		return 0
	}
	for _, h := range at.holders.all {
		for _, g := range h.direct[ref(group)<<codeBits|groupCode] {
			flags |= g.flags
		}
		if h.limited && slices.Contains(h.groups, group) {
			flags |= at.defaults
			for _, g := range h.wide {
				flags |= g.flags
			}
		}
	}
	return flags & flagsOf[wire.AssetDevice]
}

// Wide gives what a member has on the whole project by its defaults and by grants on it, at whatever time: what its limits
// keep in.
func (s *Snapshot) Wide(projectKey, principal wire.Key) (flags Set) {
	at, ok := s.projects.get(projectKey)
	if !ok {
		return 0
	}
	flags = at.defaults
	if h, ok := at.holders.get(principal); ok {
		for _, g := range h.wide {
			flags |= g.flags
		}
	}
	return flags
}

// Reaches reports whether nothing that a principal is limited to keeps it from an asset.
func (s *Snapshot) Reaches(principal wire.Key, on Asset) bool {
	at, ok := s.projects.get(on.Project)
	if !ok {
		return true
	}
	h, ok := at.holders.get(principal)
	return !ok || h.owner || h.reaches(on, at.groupsOf(on))
}

// Beyond gives the grants of somebody, on single devices and groups, that do nothing by one of several limits.
func (s *Snapshot) Beyond(project, principal wire.Key, limits ...Member) (list []Grant) {
	at, ok := s.projects.get(project)
	if !ok {
		return nil
	}
	h, ok := at.holders.get(principal)
	if !ok {
		return nil
	}
	for g := range h.grants {
		for _, limit := range limits {
			by := holder{limited: limit.Limited, groups: limit.Groups}
			if !by.reaches(g.grant.Asset, at.groupsOf(g.grant.Asset)) {
				list = append(list, *g.grant)
				break
			}
		}
	}
	slices.SortFunc(list, func(a, b Grant) int { return cmp.Compare(a.Key, b.Key) })
	return list
}
