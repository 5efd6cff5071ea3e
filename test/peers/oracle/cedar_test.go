// Package oracle compares decisions about privileges with those of Cedar, an independent implementation, on random graphs.
package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go"

	"bulkhead/backend/privilege"
	"bulkhead/wire"
)

const project wire.Key = 1000

var (
	people  = []wire.Key{1, 2, 3, 4, 5}
	devices = []wire.Key{11, 12, 13, 14}
	groups  = []wire.Key{21, 22, 23}
	now     = time.Unix(1_800_000_000, 0)
)

func assets() []privilege.Asset {
	list := []privilege.Asset{
		privilege.ProjectAsset(project), privilege.AppAsset(project, 31), privilege.DataAsset(project, 31, wire.Prod), privilege.DataAsset(project, 31, wire.Dev),
	}
	for _, d := range devices {
		list = append(list, privilege.DeviceAsset(project, d))
	}
	for _, g := range groups {
		list = append(list, privilege.GroupAsset(project, g))
	}
	return list
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// draw makes a project, and who is suspended.
func draw(r *rand.Rand) (p privilege.Project, suspended []wire.Key) {
	p = privilege.Project{Key: project, Revision: 1}
	for range r.IntN(4) {
		p.Defaults = append(p.Defaults, pick(r, wire.Catalogue).Flag)
	}
	for _, who := range people {
		if r.IntN(6) == 0 {
			suspended = append(suspended, who)
		}
		m := privilege.Member{Project: project, Principal: who}
		switch r.IntN(5) {
		case 0:
			p.Owners = append(p.Owners, who)
			continue
		case 1:
			continue // nobody here
		case 2:
			m.Limited = true
			for _, g := range groups {
				if r.IntN(2) == 0 {
					m.Groups = append(m.Groups, g)
				}
			}
		}
		p.Members = append(p.Members, m)
	}
	for _, d := range devices {
		for _, g := range groups {
			if r.IntN(2) == 0 {
				p.Devices = append(p.Devices, privilege.GroupDevice{Group: g, Device: d})
			}
		}
	}
	for i := range r.IntN(30) {
		g := privilege.Grant{Key: wire.Key(i + 1), Principal: pick(r, people), Asset: pick(r, assets())}
		for range 1 + r.IntN(4) {
			g.Flags = append(g.Flags, pick(r, wire.Catalogue).Flag)
		}
		switch r.IntN(4) {
		case 0:
			g.From = now.Add(time.Duration(r.IntN(7)-3) * time.Hour)
		case 1:
			g.Until = now.Add(time.Duration(r.IntN(7)-3) * time.Hour)
		}
		p.Grants = append(p.Grants, g)
	}
	return p, suspended
}

func person(k wire.Key) cedar.EntityUID { return cedar.NewEntityUID("P", cedar.String(k.String())) }

func thing(a privilege.Asset) cedar.EntityUID {
	return cedar.NewEntityUID(cedar.EntityType("A"), cedar.String(a.String()))
}

// entities are the assets: all are in the project, devices in their groups.
func entities(p privilege.Project) cedar.EntityMap {
	all := cedar.EntityMap{}
	for _, a := range assets() {
		var parents []cedar.EntityUID
		if a.Kind != wire.AssetProject {
			parents = append(parents, thing(privilege.ProjectAsset(project)))
		}
		for _, in := range p.Devices {
			if a.Kind == wire.AssetDevice && in.Device == a.Key {
				parents = append(parents, thing(privilege.GroupAsset(project, in.Group)))
			}
		}
		kind := cedar.NewRecord(cedar.RecordMap{"kind": cedar.String(a.Kind)})
		all[thing(a)] = cedar.Entity{UID: thing(a), Parents: cedar.NewEntityUIDSet(parents...), Attributes: kind}
	}
	return all
}

// policies words the rule of privileges in Cedar.
func policies(p privilege.Project, suspended []wire.Key) string {
	var out strings.Builder
	permit := func(who wire.Key, flag wire.Flag, on privilege.Asset, when string) {
		fmt.Fprintf(&out, "permit(principal == %s, action == F::%q, resource in %s) when { resource.kind == %q && (%s) };\n",
			person(who), flag, thing(on), flag.Kind(), when)
	}
	for _, who := range suspended {
		fmt.Fprintf(&out, "forbid(principal == %s, action, resource);\n", person(who))
	}
	for _, who := range p.Owners {
		for _, f := range wire.Catalogue {
			permit(who, f.Flag, privilege.ProjectAsset(project), "true")
		}
	}
	for _, m := range p.Members {
		permit(m.Principal, wire.ProjectRead, privilege.ProjectAsset(project), "true")
		reach, wide := "true", "true"
		if m.Limited {
			in := []string{"false"}
			for _, g := range m.Groups {
				in = append(in, "resource in "+thing(privilege.GroupAsset(project, g)).String())
			}
			inside := strings.Join(in, " || ")
			field := `(resource.kind == "device" || resource.kind == "group")`
			reach = "!" + field + " || " + inside
			wide = field + " && (" + inside + ")"
		}
		for _, f := range p.Defaults {
			permit(m.Principal, f, privilege.ProjectAsset(project), wide)
		}
		for _, g := range p.Grants {
			if g.Principal != m.Principal {
				continue
			}
			at := fmt.Sprintf("context.now >= %d", from(g))
			if !g.Until.IsZero() {
				at += fmt.Sprintf(" && context.now < %d", g.Until.UnixMicro())
			}
			where := reach
			if g.Asset.Kind == wire.AssetProject {
				where = wide + ` || resource.kind == "project"`
			}
			for _, f := range g.Flags {
				permit(m.Principal, f, g.Asset, "("+where+") && "+at)
			}
		}
	}
	return out.String()
}

func from(g privilege.Grant) int64 {
	if g.From.IsZero() {
		return 0
	}
	return g.From.UnixMicro()
}

func TestDecisionsAgreeWithCedar(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	allowed, asked := 0, 0
	for range 60 {
		p, suspended := draw(r)
		var principals []privilege.Principal
		for _, who := range people {
			principals = append(principals, privilege.Principal{Key: who, Suspended: slices.Contains(suspended, who)})
		}
		ours := privilege.NewSnapshot(principals, []privilege.Project{p})
		theirs, err := cedar.NewPolicySetFromBytes("graph", []byte(policies(p, suspended)))
		if err != nil {
			t.Fatal(err)
		}
		world := entities(p)
		for range 600 {
			who, f, on := pick(r, people), pick(r, wire.Catalogue).Flag, pick(r, assets())
			for f.Kind() != on.Kind && r.IntN(8) != 0 { // mostly questions that can be answered with yes
				f = pick(r, wire.Catalogue).Flag
			}
			decision, _ := cedar.Authorize(theirs, world, cedar.Request{
				Principal: person(who), Action: cedar.NewEntityUID("F", cedar.String(f)), Resource: thing(on),
				Context: cedar.NewRecord(cedar.RecordMap{"now": cedar.Long(now.UnixMicro())}),
			})
			got, want := ours.May(privilege.Subject{Key: who}, f, on, now), decision == cedar.Allow
			if got != want {
				t.Fatalf("%s %s on %s: %v, Cedar says %v\n%+v", who, f, on, got, want, p)
			}
			asked++
			if got {
				allowed++
			}
		}
	}
	if allowed < asked/20 {
		t.Errorf("only %d of %d questions were answered with yes", allowed, asked)
	}
}
