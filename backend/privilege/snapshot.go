package privilege

import (
	"math"
	"slices"
	"time"

	"bulkhead/wire"
)

// Snapshot is all that decisions are made of, at one moment. It is immutable. The zero Snapshot denies everything.
type Snapshot struct {
	principals table[*Principal]
	projects   table[*project] // zero is the key of what the platform owns
}

// Principal is a user or service account.
type Principal struct {
	Key       wire.Key
	Name      string
	Owner     bool // of the platform: administers the server, and has nothing inside a project by that
	Suspended bool
}

// Project is all that decides about the assets of one project; of those that the platform owns where Key is zero.
type Project struct {
	Key      wire.Key
	Revision int64       // grows with each change of what is here
	Defaults []wire.Flag // what each member may do with every asset
	Owners   []wire.Key
	Members  []Member
	Grants   []Grant
	Apps     []AppOwner
	Devices  []GroupDevice
}

// AppOwner says that a principal owns an app.
type AppOwner struct{ App, Principal wire.Key }

// GroupDevice says that a device is in a group.
type GroupDevice struct{ Group, Device wire.Key }

type project struct {
	key      wire.Key
	revision int64
	defaults Set
	holders  table[*holder]
	groups   table[[]wire.Key] // of a device
	timed    []int64           // when grants begin and end, sorted
}

// holder is what a principal has in one project.
type holder struct {
	owner   bool
	member  bool
	limited bool
	groups  []wire.Key // that a limited member reaches
	apps    []wire.Key // that it owns
	wide    []given    // on the project
	direct  map[ref][]given
	// onGroups says that there are grants on groups in direct.
	onGroups bool
}

// given is a grant, ready to decide.
type given struct {
	flags       Set
	from, until int64
	grant       *Grant
}

// ref names an asset within its project: its key, and in the lowest bits the code of its kind and stage.
type ref uint64

const codeBits = 3

// The codes of kinds and stages. What is neither has code zero, which no grant has.
func refOf(a Asset) ref {
	var code ref
	switch a.Kind {
	case wire.AssetProject:
		code = 1
	case wire.AssetDevice:
		code = 2
	case wire.AssetGroup:
		code = 3
	case wire.AssetApp:
		code = 4
	case wire.AssetDashboard:
		code = 5
	case wire.AssetDataBackend:
		switch a.Stage {
		case wire.Dev:
			code = 6
		case wire.Prod:
			code = 7
		}
	}
	return ref(a.Key)<<codeBits | code
}

// NewSnapshot builds a snapshot.
func NewSnapshot(principals []Principal, projects []Project) *Snapshot {
	s := &Snapshot{}
	for i := range principals {
		s.principals.fill(principals[i].Key, &principals[i])
	}
	for _, p := range projects {
		s.projects.fill(p.Key, build(p))
	}
	return s
}

// WithPrincipals gives a snapshot in which principals are replaced; those of none are gone.
func (s *Snapshot) WithPrincipals(all []Principal) *Snapshot {
	next := &Snapshot{projects: s.projects}
	for i := range all {
		next.principals.fill(all[i].Key, &all[i])
	}
	return next
}

// WithProject gives a snapshot in which a project is replaced.
func (s *Snapshot) WithProject(p Project) *Snapshot {
	next := *s
	next.projects.set(p.Key, build(p))
	return &next
}

// WithoutProject gives a snapshot in which a project has nothing and nobody, as of a revision.
func (s *Snapshot) WithoutProject(key wire.Key, revision int64) *Snapshot {
	return s.WithProject(Project{Key: key, Revision: revision})
}

// WithHolder gives a snapshot in which all that one principal has in a project is replaced by what p has of it; the rest of p
// is not looked at. It is what one grant more or less costs.
func (s *Snapshot) WithHolder(p Project, principal wire.Key) *Snapshot {
	known, ok := s.projects.get(p.Key)
	if !ok {
		return s.WithProject(p)
	}
	h := &holder{}
	changed := *known
	old, _ := known.holders.get(principal)
	changed.revision = p.Revision
	h.fill(p, principal)
	if h.empty() {
		changed.holders.remove(principal)
	} else {
		changed.holders.set(principal, h)
	}
	changed.timed = retimed(known.timed, old, h)
	next := *s
	next.projects.set(p.Key, &changed)
	return &next
}

// Revision tells which state of a project the snapshot has; 0 where it has none.
func (s *Snapshot) Revision(projectKey wire.Key) int64 {
	if p, ok := s.projects.get(projectKey); ok {
		return p.revision
	}
	return 0
}

// Defaults gives what each member of a project may do with every asset in it.
func (s *Snapshot) Defaults(projectKey wire.Key) Set {
	if p, ok := s.projects.get(projectKey); ok {
		return p.defaults
	}
	return 0
}

func build(p Project) *project {
	b := &project{key: p.Key, revision: p.Revision, defaults: Of(p.Defaults...)}
	at := func(principal wire.Key) *holder {
		h, ok := b.holders.get(principal)
		if !ok {
			h = &holder{}
			b.holders.fill(principal, h)
		}
		return h
	}
	for _, o := range p.Owners {
		at(o).owner = true
	}
	for _, m := range p.Members {
		at(m.Principal).join(m)
	}
	for _, o := range p.Apps {
		h := at(o.Principal)
		h.apps = append(h.apps, o.App)
	}
	for i := range p.Grants {
		at(p.Grants[i].Principal).give(p.Key, &p.Grants[i])
	}
	for _, d := range p.Devices {
		in, _ := b.groups.get(d.Device)
		b.groups.fill(d.Device, append(in, d.Group))
	}
	for _, h := range b.holders.all {
		b.timed = append(b.timed, h.times()...)
	}
	slices.Sort(b.timed)
	return b
}

// fill takes what one principal has from a project.
func (h *holder) fill(p Project, principal wire.Key) {
	h.owner = slices.Contains(p.Owners, principal)
	for _, m := range p.Members {
		if m.Principal == principal {
			h.join(m)
		}
	}
	for _, o := range p.Apps {
		if o.Principal == principal {
			h.apps = append(h.apps, o.App)
		}
	}
	for i := range p.Grants {
		if p.Grants[i].Principal == principal {
			h.give(p.Key, &p.Grants[i])
		}
	}
}

func (h *holder) join(m Member) { h.member, h.limited, h.groups = true, m.Limited, m.Groups }

// give adds a grant. One of another project's asset is none here.
func (h *holder) give(project wire.Key, g *Grant) {
	if g.Asset.Project != project {
		return
	}
	one := given{flags: Of(g.Flags...) & Grantable(g.Asset.Kind), from: math.MinInt64, until: math.MaxInt64, grant: g}
	if !g.From.IsZero() {
		one.from = g.From.UnixMicro()
	}
	if !g.Until.IsZero() {
		one.until = g.Until.UnixMicro()
	}
	if g.Asset.Kind == wire.AssetProject {
		h.wide = append(h.wide, one)
		return
	}
	if h.direct == nil {
		h.direct = map[ref][]given{}
	}
	h.onGroups = h.onGroups || g.Asset.Kind == wire.AssetGroup
	at := refOf(g.Asset)
	h.direct[at] = append(h.direct[at], one)
}

func (h *holder) empty() bool {
	return !h.owner && !h.member && len(h.apps) == 0 && len(h.wide) == 0 && len(h.direct) == 0
}

// grants yields all of a holder's grants.
func (h *holder) grants(yield func(given) bool) {
	for _, g := range h.wide {
		if !yield(g) {
			return
		}
	}
	for _, list := range h.direct {
		for _, g := range list {
			if !yield(g) {
				return
			}
		}
	}
}

// times lists when a holder's grants begin and end.
func (h *holder) times() (list []int64) {
	for g := range h.grants {
		if g.from != math.MinInt64 {
			list = append(list, g.from)
		}
		if g.until != math.MaxInt64 {
			list = append(list, g.until)
		}
	}
	return list
}

// retimed replaces the times of one holder.
func retimed(list []int64, old, now *holder) []int64 {
	var gone, come []int64
	if old != nil {
		gone = old.times()
	}
	come = now.times()
	if len(gone) == 0 && len(come) == 0 {
		return list
	}
	next := slices.Clone(list)
	for _, t := range gone {
		if at, ok := slices.BinarySearch(next, t); ok {
			next = slices.Delete(next, at, at+1)
		}
	}
	for _, t := range come {
		at, _ := slices.BinarySearch(next, t)
		next = slices.Insert(next, at, t)
	}
	return next
}

// Turns reports whether a grant begins or ends in the time after from, up to and with to: decisions may be others then.
func (s *Snapshot) Turns(from, to time.Time) bool {
	after, until := from.UnixMicro(), to.UnixMicro()
	for _, p := range s.projects.all {
		if at, _ := slices.BinarySearch(p.timed, after+1); at < len(p.timed) && p.timed[at] <= until {
			return true
		}
	}
	return false
}
