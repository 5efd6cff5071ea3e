package privilege_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bulkhead/backend/privilege"
	"bulkhead/wire"
)

// graph is a random world of two projects, small enough that everything meets.
type graph struct {
	principals []privilege.Principal
	projects   []privilege.Project
}

var (
	people  = []wire.Key{1, 2, 3, 4}
	devices = []wire.Key{11, 12, 13}
	groups  = []wire.Key{21, 22}
)

func (g graph) snapshot() *privilege.Snapshot { return privilege.NewSnapshot(g.principals, g.projects) }

func drawAsset(t *rapid.T, project wire.Key) privilege.Asset {
	return rapid.SampledFrom([]privilege.Asset{
		privilege.ProjectAsset(project), privilege.DeviceAsset(project, rapid.SampledFrom(devices).Draw(t, "device")),
		privilege.GroupAsset(project, rapid.SampledFrom(groups).Draw(t, "group")),
		privilege.AppAsset(project, 31), privilege.DataAsset(project, 31, wire.Prod), privilege.DataAsset(project, 31, wire.Dev),
	}).Draw(t, "asset")
}

func drawFlag(t *rapid.T) wire.Flag {
	return rapid.SampledFrom(wire.Catalogue).Draw(t, "flag").Flag
}

func drawTime(t *rapid.T) time.Time {
	hours := rapid.IntRange(-3, 3).Draw(t, "hours")
	if hours == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(hours) * time.Hour)
}

func drawGrant(t *rapid.T, project wire.Key) privilege.Grant {
	return privilege.Grant{
		Key: wire.Key(rapid.IntRange(1, 1<<40).Draw(t, "key")), Principal: rapid.SampledFrom(people).Draw(t, "to"), Asset: drawAsset(t, project),
		Flags: rapid.SliceOfN(rapid.Custom(drawFlag), 1, 4).Draw(t, "flags"), From: drawTime(t), Until: drawTime(t),
	}
}

func drawProject(t *rapid.T, key wire.Key) privilege.Project {
	p := privilege.Project{Key: key, Revision: 1, Defaults: rapid.SliceOfN(rapid.Custom(drawFlag), 0, 3).Draw(t, "defaults")}
	for _, who := range people {
		switch rapid.IntRange(0, 4).Draw(t, "place") {
		case 0:
			p.Owners = append(p.Owners, who)
		case 1, 2:
			p.Members = append(p.Members, privilege.Member{Project: key, Principal: who})
		case 3:
			p.Members = append(p.Members, privilege.Member{
				Project: key, Principal: who, Limited: true, Groups: rapid.SliceOfDistinct(rapid.SampledFrom(groups), func(k wire.Key) wire.Key { return k }).Draw(t, "limits"),
			})
		}
	}
	for _, d := range devices {
		for _, g := range groups {
			if rapid.Bool().Draw(t, "in") {
				p.Devices = append(p.Devices, privilege.GroupDevice{Group: g, Device: d})
			}
		}
	}
	for range rapid.IntRange(0, 8).Draw(t, "grants") {
		p.Grants = append(p.Grants, drawGrant(t, key))
	}
	return p
}

func drawGraph(t *rapid.T) graph {
	var g graph
	for _, who := range people {
		g.principals = append(g.principals, privilege.Principal{
			Key: who, Name: "x", Owner: rapid.IntRange(0, 4).Draw(t, "platform") == 0, Suspended: rapid.IntRange(0, 6).Draw(t, "suspended") == 0,
		})
	}
	g.projects = []privilege.Project{drawProject(t, 1000), drawProject(t, 2000)}
	return g
}

type asked struct {
	by   privilege.Subject
	flag wire.Flag
	on   privilege.Asset
}

// everything yields each question about a project that there is.
func everything(project wire.Key, yield func(asked) bool) {
	assets := []privilege.Asset{privilege.ProjectAsset(project), privilege.AppAsset(project, 31), privilege.DataAsset(project, 31, wire.Prod), privilege.DataAsset(project, 31, wire.Dev)}
	for _, d := range devices {
		assets = append(assets, privilege.DeviceAsset(project, d))
	}
	for _, g := range groups {
		assets = append(assets, privilege.GroupAsset(project, g))
	}
	for _, who := range people {
		for _, on := range assets {
			for _, p := range wire.Catalogue {
				if !yield(asked{privilege.Subject{Key: who}, p.Flag, on}) {
					return
				}
			}
		}
	}
}

func answers(s *privilege.Snapshot, project wire.Key) map[asked]bool {
	m := map[asked]bool{}
	for q := range func(yield func(asked) bool) { everything(project, yield) } {
		m[q] = s.May(q.by, q.flag, q.on, now)
	}
	return m
}

func TestAddingAGrantTakesNothingAwayAndReachesNoOtherProject(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		before, beforeOther := answers(g.snapshot(), 1000), answers(g.snapshot(), 2000)
		g.projects[0].Grants = append(slices.Clone(g.projects[0].Grants), drawGrant(t, 1000))
		after := answers(g.snapshot(), 1000)
		for q, was := range before {
			if was && !after[q] {
				t.Fatalf("a grant took away %+v", q)
			}
		}
		for q, was := range beforeOther {
			if got := g.snapshot().May(q.by, q.flag, q.on, now); got != was {
				t.Fatalf("a grant in one project changed %+v in another", q)
			}
		}
	})
}

func TestNothingIsAllowedWithoutAReason(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		for i := range g.projects {
			g.projects[i].Grants, g.projects[i].Defaults, g.projects[i].Owners = nil, nil, nil
		}
		s := g.snapshot()
		for q, may := range answers(s, 1000) {
			member := slices.ContainsFunc(g.projects[0].Members, func(m privilege.Member) bool { return m.Principal == q.by.Key })
			if may && !(member && q.flag == wire.ProjectRead) {
				t.Fatalf("%+v is allowed by nothing", q)
			}
		}
		for q := range answers(s, 3000) { // a project that is not there
			if s.May(q.by, q.flag, q.on, now) {
				t.Fatalf("%+v is allowed in a project that does not exist", q)
			}
		}
	})
}

func TestAnExplanationNamesWhatAllows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawGraph(t).snapshot()
		for q, may := range answers(s, 1000) {
			told := s.Explain(q.by, q.flag, q.on, now)
			allows := slices.ContainsFunc(told.Reasons, func(r privilege.Reason) bool { return r.Says == "allow" })
			denies := slices.ContainsFunc(told.Reasons, func(r privilege.Reason) bool { return r.Says == "deny" })
			if told.Allowed != may || allows != may || denies && may {
				t.Fatalf("%+v is %v and explained by %+v", q, may, told)
			}
		}
	})
}

func TestWhatMayBeGivenGivesNobodyMoreThanTheGiverHas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		s := g.snapshot()
		giver := privilege.Subject{Key: rapid.SampledFrom(people).Draw(t, "giver")}
		given := drawGrant(t, 1000)
		if lacks := s.Lacks(giver, given, now); len(lacks) > 0 {
			return
		}
		g.projects[0].Grants = append(slices.Clone(g.projects[0].Grants), given)
		next := g.snapshot()
		for _, at := range []time.Time{now, now.Add(30 * time.Minute), now.Add(90 * time.Minute), now.Add(150 * time.Minute), now.Add(1000 * time.Hour)} {
			for q := range answers(s, 1000) {
				gained := next.May(q.by, q.flag, q.on, at) && !s.May(q.by, q.flag, q.on, at)
				if gained && !s.May(giver, q.flag, q.on, at) {
					t.Fatalf("%+v gave %+v, and so %+v at %s, which the giver does not have then", giver, given, q, at)
				}
			}
		}
	})
}

func TestAChangeOfOneHolderMakesTheSnapshotThatReadingAllAgainMakes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		s, before := g.snapshot(), answers(g.snapshot(), 1000)
		given := drawGrant(t, 1000)
		g.projects[0].Grants = append(slices.Clone(g.projects[0].Grants), given)
		g.projects[0].Revision++
		changed := s.WithHolder(g.projects[0], given.Principal)
		want := g.snapshot()
		for q, was := range before {
			if changed.May(q.by, q.flag, q.on, now) != want.May(q.by, q.flag, q.on, now) {
				t.Fatalf("%+v differs", q)
			}
			if s.May(q.by, q.flag, q.on, now) != was {
				t.Fatalf("the snapshot that was has changed: %+v", q)
			}
		}
		for hours := -4; hours < 4; hours++ {
			from := now.Add(time.Duration(hours)*time.Hour - time.Minute)
			if changed.Turns(from, from.Add(2*time.Minute)) != want.Turns(from, from.Add(2*time.Minute)) {
				t.Fatalf("turns at %d h differ", hours)
			}
		}
		if changed.Revision(1000) != g.projects[0].Revision {
			t.Fatal("the revision stayed")
		}
	})
}
