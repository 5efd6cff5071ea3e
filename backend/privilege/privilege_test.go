package privilege_test

import (
	"slices"
	"testing"
	"time"

	"bulkhead/backend/privilege"
	"bulkhead/wire"
)

// The people of the table.
const (
	ann   wire.Key = 1 + iota // owns project A
	bob                       // member of A, limited to the hall, with the set operator
	cid                       // member of A with single grants
	dan                       // member of B
	eve                       // owner of the platform
	fay                       // owns project A too, and is suspended
	gus                       // member of A without anything
	nobod                     // is not known
)

const (
	projectA wire.Key = 100
	projectB wire.Key = 200

	pressA wire.Key = 101 // in the hall
	ovenA  wire.Key = 102
	pressB wire.Key = 201
	hallA  wire.Key = 103
	yardA  wire.Key = 104

	appA        wire.Key = 110 // A's
	appPlatform wire.Key = 111 // the platform's
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func grant(key, to wire.Key, on privilege.Asset, flags ...wire.Flag) privilege.Grant {
	return privilege.Grant{Key: key, Principal: to, Asset: on, Flags: flags, GivenBy: ann}
}

func operator() []wire.Flag { flags, _ := wire.Set(wire.SetOperator); return flags }

// world is the graph of the table.
func world() *privilege.Snapshot {
	later := grant(6, cid, privilege.DeviceAsset(projectA, ovenA), wire.DeviceTerminal)
	later.From = now.Add(time.Hour)
	over := grant(7, cid, privilege.DeviceAsset(projectA, ovenA), wire.DeviceNetwork)
	over.Until = now
	return privilege.NewSnapshot([]privilege.Principal{
		{Key: ann, Name: "ann"},
		{Key: bob, Name: "bob"},
		{Key: cid, Name: "cid"},
		{Key: dan, Name: "dan"},
		{Key: eve, Name: "eve", Owner: true},
		{Key: fay, Name: "fay", Suspended: true},
		{Key: gus, Name: "gus"},
	}, []privilege.Project{
		{
			Key: projectA, Revision: 1, Owners: []wire.Key{ann, fay}, Defaults: []wire.Flag{wire.DashboardRead},
			Members: []privilege.Member{
				{Project: projectA, Principal: bob, Limited: true, Groups: []wire.Key{hallA}},
				{Project: projectA, Principal: cid},
				{Project: projectA, Principal: gus},
			},
			Grants: []privilege.Grant{
				grant(1, bob, privilege.ProjectAsset(projectA), operator()...),
				grant(2, cid, privilege.DeviceAsset(projectA, pressA), wire.DeviceRead, wire.DeviceTunnel),
				grant(3, cid, privilege.GroupAsset(projectA, hallA), wire.GroupRead, wire.DeviceWrite),
				grant(4, cid, privilege.DataAsset(projectA, appA, wire.Prod), wire.DataBackendRead),
				grant(5, bob, privilege.DataAsset(projectA, appA, wire.Dev), wire.DataBackendRead),
				later, over,
				// What may not be: of another project, of another kind, to somebody who is no member.
				grant(8, cid, privilege.DeviceAsset(projectB, pressB), wire.DeviceRead),
				grant(9, cid, privilege.DeviceAsset(projectA, ovenA), wire.ProjectDelete, wire.GroupRead, "device.fly"),
				grant(10, dan, privilege.ProjectAsset(projectA), wire.DeviceRead),
			},
			Devices: []privilege.GroupDevice{{Group: hallA, Device: pressA}, {Group: yardA, Device: ovenA}},
		},
		{
			Key: projectB, Revision: 1, Owners: []wire.Key{eve},
			Members: []privilege.Member{{Project: projectB, Principal: dan}},
			Grants:  []privilege.Grant{grant(20, dan, privilege.ProjectAsset(projectB), operator()...)},
		},
		{Key: 0, Apps: []privilege.AppOwner{{App: appPlatform, Principal: cid}}, Grants: []privilege.Grant{
			grant(30, dan, privilege.AppAsset(0, appPlatform), wire.AppUpdate),
		}},
	})
}

// The table of decisions, written by hand.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	var (
		a, b        = privilege.ProjectAsset(projectA), privilege.ProjectAsset(projectB)
		press, oven = privilege.DeviceAsset(projectA, pressA), privilege.DeviceAsset(projectA, ovenA)
		otherPress  = privilege.DeviceAsset(projectB, pressB)
		hall, yard  = privilege.GroupAsset(projectA, hallA), privilege.GroupAsset(projectA, yardA)
		own, shared = privilege.AppAsset(projectA, appA), privilege.AppAsset(0, appPlatform)
		prod, dev   = privilege.DataAsset(projectA, appA, wire.Prod), privilege.DataAsset(projectA, appA, wire.Dev)
		board       = privilege.Asset{Kind: wire.AssetDashboard, Project: projectA, Key: 120}
		server      = privilege.PlatformAsset
	)
	for _, c := range []struct {
		who  wire.Key
		flag wire.Flag
		on   privilege.Asset
		want bool
	}{
		// An owner has all of the project and nothing of another.
		{ann, wire.ProjectDelete, a, true}, {ann, wire.DeviceTerminal, press, true}, {ann, wire.DeviceTerminal, privilege.DeviceAsset(projectA, 999), true},
		{ann, wire.AppRelease, own, true}, {ann, wire.DataBackendRevealSecret, prod, true}, {ann, wire.DashboardDelete, board, true},
		{ann, wire.ProjectRead, b, false}, {ann, wire.DeviceRead, otherPress, false}, {ann, wire.AppUpdate, shared, false}, {ann, wire.PlatformKeys, server, false},
		// Who owns the project and is suspended has nothing, nor has who is not known.
		{fay, wire.ProjectRead, a, false}, {fay, wire.DeviceRead, press, false}, {fay, wire.AppRead, shared, false},
		{nobod, wire.ProjectRead, a, false}, {nobod, wire.AppRead, shared, false}, {0, wire.ProjectRead, a, false}, {0, wire.Self, privilege.Asset{Kind: wire.AssetSelf}, false},
		// A member reads the project and has its defaults, and no more.
		{gus, wire.ProjectRead, a, true}, {gus, wire.DashboardRead, board, true}, {gus, wire.DashboardWrite, board, false}, {gus, wire.DeviceRead, press, false},
		{gus, wire.ProjectRead, b, false}, {gus, wire.ProjectMembers, a, false},
		// A limited member has what the project gives in the groups alone, and of the rest what is granted by name.
		{bob, wire.DeviceRead, press, true}, {bob, wire.DeviceWrite, press, true}, {bob, wire.DeviceTunnel, press, false},
		{bob, wire.DeviceRead, oven, false}, {bob, wire.GroupRead, hall, true}, {bob, wire.GroupRead, yard, false},
		{bob, wire.DataBackendRead, prod, false}, {bob, wire.DataBackendRead, dev, true}, {bob, wire.DataBackendWrite, dev, false}, {bob, wire.DashboardRead, board, false},
		{bob, wire.ProjectRead, a, true}, {bob, wire.ProjectUpdate, a, false}, {bob, wire.AppRead, own, false},
		// Single grants reach what they name.
		{cid, wire.DeviceTunnel, press, true}, {cid, wire.DeviceTunnel, oven, false}, {cid, wire.DeviceWrite, press, true}, {cid, wire.DeviceWrite, oven, false},
		{cid, wire.GroupRead, hall, true}, {cid, wire.GroupAddDevice, hall, false}, {cid, wire.DataBackendRead, prod, true}, {cid, wire.DataBackendRead, dev, false},
		// Times are kept, and what cannot be granted was not.
		{cid, wire.DeviceTerminal, oven, false}, {cid, wire.DeviceNetwork, oven, false}, {cid, wire.ProjectDelete, a, false}, {cid, wire.GroupRead, yard, false},
		{cid, wire.DeviceRead, otherPress, false}, {cid, "device.fly", oven, false}, {ann, "device.fly", oven, false}, {ann, "", oven, false},
		// A grant without membership gives nothing; a member of B has nothing of A.
		{dan, wire.DeviceRead, press, false}, {dan, wire.ProjectRead, a, false}, {dan, wire.DeviceRead, otherPress, true}, {dan, wire.DeviceTunnel, otherPress, false},
		// Everybody sees and installs the platform's apps; their owners and the platform's have all of them.
		{dan, wire.AppRead, shared, true}, {dan, wire.AppInstall, shared, true}, {dan, wire.AppUpdate, shared, true}, {dan, wire.AppRelease, shared, false},
		{cid, wire.AppRelease, shared, true}, {eve, wire.AppDelete, shared, true}, {gus, wire.AppUpdate, shared, false},
		// An owner of the platform administers the server and has nothing in a project by that.
		{eve, wire.PlatformKeys, server, true}, {eve, wire.ProjectRead, a, false}, {eve, wire.DeviceRead, press, false}, {eve, wire.AppRead, own, false},
		{eve, wire.ProjectDelete, b, true}, {dan, wire.PlatformCreateProject, server, false},
		// Flags are asked of their own kind of asset.
		{ann, wire.ProjectDelete, press, false}, {ann, wire.DeviceRead, a, false}, {eve, wire.PlatformKeys, a, false}, {ann, wire.DeviceRead, privilege.Asset{}, false},
		{ann, wire.ProjectRead, privilege.Asset{Kind: wire.AssetProject, Project: projectA, Key: projectB}, false},
		{gus, wire.Self, privilege.Asset{Kind: wire.AssetSelf}, true},
	} {
		by := privilege.Subject{Key: c.who}
		if got := world().May(by, c.flag, c.on, now); got != c.want {
			t.Errorf("%d %s on %+v: %v, want %v", c.who, c.flag, c.on, got, c.want)
		}
		told := world().Explain(by, c.flag, c.on, now)
		if told.Allowed != c.want || len(told.Reasons) == 0 {
			t.Errorf("%d %s on %+v is explained as %+v", c.who, c.flag, c.on, told)
		}
	}
	if (&privilege.Snapshot{}).May(privilege.Subject{Key: ann}, wire.ProjectRead, a, now) {
		t.Error("the zero snapshot allows")
	}
}

func TestAGrantHoldsFromItsBeginningToItsEnd(t *testing.T) {
	t.Parallel()
	oven := privilege.DeviceAsset(projectA, ovenA)
	by := privilege.Subject{Key: cid}
	for _, c := range []struct {
		flag wire.Flag
		at   time.Time
		want bool
	}{
		{wire.DeviceTerminal, now.Add(time.Hour - time.Microsecond), false},
		{wire.DeviceTerminal, now.Add(time.Hour), true},
		{wire.DeviceNetwork, now.Add(-time.Microsecond), true},
		{wire.DeviceNetwork, now, false},
	} {
		if got := world().May(by, c.flag, oven, c.at); got != c.want {
			t.Errorf("%s at %s: %v", c.flag, c.at, got)
		}
	}
	if s := world(); s.Turns(now, now.Add(time.Minute)) || !s.Turns(now, now.Add(time.Hour)) || !s.Turns(now.Add(-time.Second), now) || s.Turns(now.Add(time.Hour), now.Add(2*time.Hour)) {
		t.Error("the snapshot does not know when grants begin and end")
	}
}

func TestAnAPIKeyReachesNoFartherThanItsScopesAndItsHolder(t *testing.T) {
	t.Parallel()
	press := privilege.DeviceAsset(projectA, pressA)
	key := func(who wire.Key, scopes ...wire.Flag) privilege.Subject {
		return privilege.Subject{Key: who, Scoped: true, Scopes: privilege.Scopes(scopes)}
	}
	for _, c := range []struct {
		by   privilege.Subject
		flag wire.Flag
		want bool
	}{
		{key(ann, wire.DeviceRead), wire.DeviceRead, true},
		{key(ann, wire.DeviceRead), wire.DeviceTunnel, false},
		{key(ann, "*"), wire.DeviceTunnel, true},
		{key(gus, "*"), wire.DeviceRead, false},
		{key(fay, "*"), wire.DeviceRead, false},
		{key(ann), wire.DeviceRead, false},
		{key(ann, "device.fly"), wire.DeviceRead, false},
	} {
		if got := world().May(c.by, c.flag, press, now); got != c.want {
			t.Errorf("%+v %s: %v", c.by, c.flag, got)
		}
	}
	if world().Owns(key(ann, wire.ProjectGrant), projectA) || !world().Owns(key(ann, "*"), projectA) || world().Owns(key(gus, "*"), projectA) || world().Owns(key(ann, "*"), projectB) {
		t.Error("who owns a project is told wrongly")
	}
}

func TestNobodyGivesWhatTheyDoNotHoldThereForAsLong(t *testing.T) {
	t.Parallel()
	s := world()
	short := func(g privilege.Grant, until time.Time) privilege.Grant { g.Until = until; return g }
	press, a := privilege.DeviceAsset(projectA, pressA), privilege.ProjectAsset(projectA)
	for _, c := range []struct {
		who   wire.Key
		give  privilege.Grant
		lacks []wire.Flag
	}{
		{ann, grant(1, gus, a, wire.ProjectDelete, wire.DeviceTerminal), nil},
		{ann, grant(1, gus, privilege.ProjectAsset(projectB), wire.ProjectRead), []wire.Flag{wire.ProjectRead}},
		{cid, grant(1, gus, press, wire.DeviceTunnel), nil},
		{cid, grant(1, gus, press, wire.DeviceTunnel, wire.DeviceDelete), []wire.Flag{wire.DeviceDelete}},
		{cid, grant(1, gus, a, wire.DeviceTunnel), []wire.Flag{wire.DeviceTunnel}},                                     // on one device is not on all
		{cid, grant(1, gus, privilege.GroupAsset(projectA, hallA), wire.DeviceWrite), nil},                             // held on the group
		{cid, grant(1, gus, privilege.GroupAsset(projectA, hallA), wire.DeviceTunnel), []wire.Flag{wire.DeviceTunnel}}, // held on one device of it only
		{bob, grant(1, gus, a, wire.DeviceRead), []wire.Flag{wire.DeviceRead}},                                         // limited to the hall
		{bob, grant(1, gus, privilege.GroupAsset(projectA, hallA), wire.DeviceRead), nil},
		{fay, grant(1, gus, a, wire.DeviceRead), []wire.Flag{wire.DeviceRead}},
		{eve, grant(1, gus, a, wire.DeviceRead), []wire.Flag{wire.DeviceRead}},
	} {
		if got := s.Lacks(privilege.Subject{Key: c.who}, c.give, now); !slices.Equal(got, c.lacks) {
			t.Errorf("%d gives %+v and lacks %v, want %v", c.who, c.give, got, c.lacks)
		}
	}
	// Two grants with a pause between them are not a grant over the pause.
	oven := privilege.DeviceAsset(projectA, ovenA)
	first := short(grant(40, gus, oven, wire.DeviceRead), now.Add(time.Hour))
	second := grant(41, gus, oven, wire.DeviceRead)
	second.From, second.Until = now.Add(2*time.Hour), now.Add(3*time.Hour)
	paused := privilege.NewSnapshot([]privilege.Principal{{Key: gus}}, []privilege.Project{{
		Key: projectA, Members: []privilege.Member{{Project: projectA, Principal: gus}}, Grants: []privilege.Grant{first, second},
	}})
	by := privilege.Subject{Key: gus}
	if l := paused.Lacks(by, short(grant(42, cid, oven, wire.DeviceRead), now.Add(time.Hour)), now); len(l) != 0 {
		t.Errorf("what is held for an hour cannot be given for it: %v", l)
	}
	for _, until := range []time.Time{now.Add(time.Hour + time.Second), now.Add(150 * time.Minute), {}} {
		if l := paused.Lacks(by, short(grant(42, cid, oven, wire.DeviceRead), until), now); len(l) != 1 {
			t.Errorf("until %s more is given than held", until)
		}
	}
}

func TestAddingADeviceToAGroupGivesWhatIsGrantedOnIt(t *testing.T) {
	t.Parallel()
	if got, want := world().Conveys(projectA, hallA), privilege.Of(append(operator(), wire.DeviceWrite)...)&privilege.Grantable(wire.AssetDevice); got != want {
		t.Errorf("the hall conveys %v, want %v", got.Flags(), want.Flags())
	}
	if got := world().Conveys(projectA, yardA); got != 0 {
		t.Errorf("the yard conveys %v", got.Flags())
	}
}

func TestEverySetHasOnlyFlagsOfTheCatalogueAndGrowsOnTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	var before privilege.Set
	for _, name := range wire.Sets {
		set, ok := privilege.Named(name)
		if !ok || set.Without(privilege.Grantable(wire.AssetProject)) != 0 || before.Without(set) != 0 || set == before {
			t.Errorf("%s has %v", name, set.Flags())
		}
		before = set
	}
	if _, ok := privilege.Named("god"); ok || before.Has(wire.ProjectDelete) {
		t.Error("there is a set without bounds")
	}
	seen := map[wire.Flag]bool{}
	for _, p := range wire.Catalogue {
		if seen[p.Flag] || p.May == "" || !p.Flag.Known() || privilege.Of(p.Flag).Len() != 1 {
			t.Errorf("%+v", p)
		}
		seen[p.Flag] = true
	}
	if !wire.NeedsFresh("device.fly") || wire.Flag("device.fly").Known() {
		t.Error("a word that is no flag passes for one")
	}
}
