package db_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/backend/privilege/granting"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/wire"
)

// deeds is a database with a project, two devices, a group and three people: ann, who owns the project, bob and cid.
type deeds struct {
	*dbtest.Database
	t             *testing.T
	g             *granting.Granting
	live          *granting.Live
	project       wire.Key
	press, oven   wire.Key
	hall          asset.Group
	ann, bob, cid wire.Key
}

func newDeeds(t *testing.T) *deeds {
	t.Helper()
	d := &deeds{Database: dbtest.New(t), t: t, project: wire.NewKey(), press: wire.NewKey(), oven: wire.NewKey()}
	for _, who := range []*wire.Key{&d.ann, &d.bob, &d.cid} {
		*who = wire.NewKey()
		d.sql(`INSERT INTO principal (key, kind, name, created_at) VALUES ($1, 'user', 'p' || $2::text, now())`, *who, who.String())
	}
	assets := db.NewAssets(d.DB)
	p := asset.Project{Key: d.project, Name: "plant-a", Revision: 1, CreatedAt: time.Now().UTC()}
	if err := assets.InsertProject(t.Context(), p, audit.New(tester, audit.ProjectCreate, p.Key, audit.Asset{Kind: "project", Key: p.Key}), d.ann); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]wire.Key{"press": d.press, "oven": d.oven} {
		d.sql(`INSERT INTO device (key, project_key, name, serial, created_at) VALUES ($1, $2, $3, gen_random_uuid(), now())`, key, d.project, name)
	}
	d.hall = asset.Group{Key: wire.NewKey(), Project: d.project, Name: "hall", Revision: 1, CreatedAt: time.Now().UTC()}
	on := audit.Asset{Kind: "group", Key: d.hall.Key, Name: "hall"}
	if err := assets.InsertGroup(t.Context(), d.hall, audit.New(tester, audit.GroupCreate, d.project, on)); err != nil {
		t.Fatal(err)
	}
	if err := assets.AddToGroup(t.Context(), d.hall, d.press, audit.New(tester, audit.GroupAddDevice, d.project, on)); err != nil {
		t.Fatal(err)
	}
	store := db.NewPrivileges(d.DB)
	d.live = granting.NewLive(store, time.Now, slog.New(slog.DiscardHandler))
	d.g = granting.New(store, d.live, time.Now, slog.New(slog.DiscardHandler))
	if err := d.live.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *deeds) sql(text string, args ...any) {
	d.t.Helper()
	if _, err := d.Pool().Exec(d.t.Context(), text, args...); err != nil {
		d.t.Fatal(err)
	}
}

func by(who wire.Key) granting.By {
	return granting.By{Subject: privilege.Subject{Key: who}, Actor: audit.Actor{Kind: audit.User, ID: who.String()}}
}

func (d *deeds) member(who wire.Key) {
	d.t.Helper()
	if _, err := d.g.AddMember(d.t.Context(), by(d.ann), privilege.Member{Project: d.project, Principal: who}, "x"); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deeds) give(from, to wire.Key, on privilege.Asset, flags ...wire.Flag) (privilege.Grant, error) {
	return d.g.Give(d.t.Context(), by(from), granting.Request{Principal: to, Asset: on, Flags: flags})
}

func (d *deeds) may(who wire.Key, flag wire.Flag, on privilege.Asset) bool {
	return d.live.Snapshot().May(privilege.Subject{Key: who}, flag, on, time.Now())
}

func (d *deeds) folds() {
	d.t.Helper()
	differences, err := db.NewPrivileges(d.DB).Differences(d.t.Context())
	if err != nil || len(differences) > 0 {
		d.t.Errorf("the table of grants is not the fold of the log: %v %v", differences, err)
	}
}

func TestAGrantIsInForceWhenItIsGivenAndGoneWhenItIsRevoked(t *testing.T) {
	t.Parallel()
	d := newDeeds(t)
	press := privilege.DeviceAsset(d.project, d.press)
	if _, err := d.give(d.ann, d.bob, press, wire.DeviceRead); errs.KindOf(err) != wire.Conflict && errs.KindOf(err) != wire.NotFound && errs.KindOf(err) != wire.Invalid {
		t.Errorf("who is no member was granted something: %v", err)
	}
	d.member(d.bob)
	given, err := d.give(d.ann, d.bob, press, wire.DeviceRead, wire.DeviceTunnel)
	if err != nil || !d.may(d.bob, wire.DeviceTunnel, press) {
		t.Fatalf("%v", err)
	}
	if err := d.g.RevokeFlags(t.Context(), by(d.ann), d.bob, press, "x", []wire.Flag{wire.DeviceTunnel}); err != nil || d.may(d.bob, wire.DeviceTunnel, press) || !d.may(d.bob, wire.DeviceRead, press) {
		t.Errorf("%v", err)
	}
	d.folds()
	if given, err = d.g.Grant(t.Context(), given.Key); err != nil {
		t.Fatal(err)
	}
	if err := d.g.Revoke(t.Context(), by(d.ann), given, "x"); err != nil || d.may(d.bob, wire.DeviceRead, press) {
		t.Errorf("%v", err)
	}
	if err := d.g.RevokeFlags(t.Context(), by(d.ann), d.bob, press, "x", []wire.Flag{wire.DeviceRead}); errs.KindOf(err) != wire.NotFound {
		t.Errorf("what was not granted was revoked: %v", err)
	}
	d.folds()
}

func TestNobodyGivesOnWhatTheyDoNotHold(t *testing.T) {
	t.Parallel()
	d := newDeeds(t)
	d.member(d.bob)
	d.member(d.cid)
	press, oven := privilege.DeviceAsset(d.project, d.press), privilege.DeviceAsset(d.project, d.oven)
	if _, err := d.give(d.ann, d.bob, press, wire.DeviceRead, wire.DeviceGrant); err != nil {
		t.Fatal(err)
	}
	if _, err := d.give(d.bob, d.cid, press, wire.DeviceRead); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		on   privilege.Asset
		flag wire.Flag
	}{{press, wire.DeviceTunnel}, {oven, wire.DeviceRead}, {privilege.ProjectAsset(d.project), wire.DeviceRead}, {privilege.GroupAsset(d.project, d.hall.Key), wire.DeviceRead}} {
		if _, err := d.give(d.bob, d.cid, c.on, c.flag); errs.KindOf(err) != wire.Denied {
			t.Errorf("bob gave %s on %s: %v", c.flag, c.on, err)
		}
	}
	if _, err := d.g.SetDefaults(t.Context(), by(d.bob), d.project, "x", []wire.Flag{wire.DeviceRead}); errs.KindOf(err) != wire.Denied {
		t.Errorf("bob gave all members what he holds on one device: %v", err)
	}
	// A limited member is let into more by nobody who does not hold there what it has on the project.
	if _, err := d.give(d.ann, d.cid, privilege.ProjectAsset(d.project), wire.DeviceTerminal); err != nil {
		t.Fatal(err)
	}
	limited := privilege.Member{Project: d.project, Principal: d.cid, Limited: true, Groups: []wire.Key{d.hall.Key}}
	if _, err := d.g.LimitMember(t.Context(), by(d.bob), limited, "x"); err != nil || d.may(d.cid, wire.DeviceTerminal, oven) || !d.may(d.cid, wire.DeviceTerminal, press) {
		t.Errorf("limiting is not giving: %v", err)
	}
	limited.Limited, limited.Groups = false, nil
	if _, err := d.g.LimitMember(t.Context(), by(d.bob), limited, "x"); errs.KindOf(err) != wire.Denied {
		t.Errorf("bob let cid into the whole project: %v", err)
	}
}

// What a member was granted beyond its limits does not come back, unseen, when these are widened.
func TestAWiderLimitBringsNoOlderGrantBack(t *testing.T) {
	t.Parallel()
	d := newDeeds(t)
	d.member(d.cid)
	press, oven, hall := privilege.DeviceAsset(d.project, d.press), privilege.DeviceAsset(d.project, d.oven), privilege.GroupAsset(d.project, d.hall.Key)
	for _, on := range []privilege.Asset{press, oven, hall} {
		if _, err := d.give(d.ann, d.cid, on, wire.DeviceTerminal); err != nil {
			t.Fatal(err)
		}
	}
	limit := func(limited bool, groups ...wire.Key) {
		t.Helper()
		m := privilege.Member{Project: d.project, Principal: d.cid, Limited: limited, Groups: groups}
		if _, err := d.g.LimitMember(t.Context(), by(d.ann), m, "x"); err != nil {
			t.Fatal(err)
		}
		d.folds()
	}
	left := func(want ...privilege.Asset) {
		t.Helper()
		grants, err := d.g.Grants(t.Context(), granting.GrantQuery{Project: d.project, Principal: d.cid, Limit: 10})
		if err != nil || len(grants) != len(want) {
			t.Fatalf("%d grants, want %d: %v", len(grants), len(want), err)
		}
		for _, on := range want {
			if !slices.ContainsFunc(grants, func(g privilege.Grant) bool { return g.Asset == on }) {
				t.Errorf("the grant on %+v is gone", on)
			}
		}
	}
	limit(true, d.hall.Key)
	left(press, hall)
	if !d.may(d.cid, wire.DeviceTerminal, press) {
		t.Error("what is within the limits ended with what is not")
	}
	if _, err := d.give(d.ann, d.cid, oven, wire.DeviceTerminal); errs.KindOf(err) != wire.Conflict {
		t.Errorf("something beyond the limits was granted, to wait there: %v", err)
	}
	// A device that leaves the group is beyond the limits too, and what was granted there is gone before they are widened.
	on := audit.Asset{Kind: "group", Key: d.hall.Key, Name: "hall"}
	if err := db.NewAssets(d.DB).RemoveFromGroup(t.Context(), d.hall, d.press, audit.New(tester, audit.GroupRemoveDevice, d.project, on)); err != nil {
		t.Fatal(err)
	}
	if err := d.live.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	limit(false)
	left(hall)
	for _, on := range []privilege.Asset{press, oven} {
		if d.may(d.cid, wire.DeviceTerminal, on) {
			t.Errorf("an older grant on %+v came back", on)
		}
	}
	limit(true)
	limit(false)
	left()
}

func TestAProjectChangesHandsWhenTheNewOwnerAgreesAndIsNeverWithoutOne(t *testing.T) {
	t.Parallel()
	d := newDeeds(t)
	ctx := t.Context()
	if err := d.g.RemoveOwner(ctx, by(d.ann), d.project, "x", d.ann); errs.KindOf(err) != wire.Conflict {
		t.Errorf("the last owner left: %v", err)
	}
	if _, err := d.g.Offer(ctx, by(d.bob), d.project, "x", d.cid, false); errs.KindOf(err) != wire.Denied {
		t.Errorf("who owns nothing offered it: %v", err)
	}
	offer, err := d.g.Offer(ctx, by(d.ann), d.project, "x", d.bob, false)
	if err != nil || d.may(d.bob, wire.ProjectDelete, privilege.ProjectAsset(d.project)) {
		t.Fatalf("an offer alone made an owner: %v", err)
	}
	if _, err := d.g.Accept(ctx, by(d.cid), offer.Key); errs.KindOf(err) != wire.NotFound {
		t.Errorf("somebody else accepted: %v", err)
	}
	if _, err := d.g.Accept(ctx, by(d.bob), offer.Key); err != nil {
		t.Fatal(err)
	}
	if !d.may(d.bob, wire.ProjectDelete, privilege.ProjectAsset(d.project)) || d.may(d.ann, wire.ProjectRead, privilege.ProjectAsset(d.project)) {
		t.Error("the project did not change hands")
	}
	if _, err := d.g.Accept(ctx, by(d.bob), offer.Key); errs.KindOf(err) != wire.NotFound {
		t.Errorf("an offer was accepted twice: %v", err)
	}
}

func TestWhatEndsTakesItsGrantsAlongAndTheLogKnows(t *testing.T) {
	t.Parallel()
	d := newDeeds(t)
	ctx, assets := t.Context(), db.NewAssets(d.DB)
	d.member(d.bob)
	d.member(d.cid)
	press, oven, hall := privilege.DeviceAsset(d.project, d.press), privilege.DeviceAsset(d.project, d.oven), privilege.GroupAsset(d.project, d.hall.Key)
	for _, on := range []privilege.Asset{press, oven, hall, privilege.ProjectAsset(d.project)} {
		for _, who := range []wire.Key{d.bob, d.cid} {
			if _, err := d.give(d.ann, who, on, privilege.Grantable(on.Kind).Flags()[:2]...); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.folds()
	for name, end := range map[string]func() error{
		"device": func() error {
			return assets.DeleteDevice(ctx, d.press, audit.New(tester, audit.DeviceRevoke, d.project, audit.Asset{Kind: "device", Key: d.press}))
		},
		"group": func() error {
			return assets.DeleteGroup(ctx, d.hall.Key, audit.New(tester, audit.GroupDelete, d.project, audit.Asset{Kind: "group", Key: d.hall.Key}))
		},
		"member": func() error { return d.g.RemoveMember(ctx, by(d.ann), d.project, d.cid, "x") },
	} {
		if err := end(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d.folds()
	}
	// By hand in the database is noticed.
	d.sql(`UPDATE privilege_grant SET flags = flags || '{device.terminal}' WHERE asset_kind = 'device'`)
	differences, err := db.NewPrivileges(d.DB).Differences(ctx)
	if err != nil || len(differences) != 1 || !strings.Contains(differences[0], "another") {
		t.Errorf("%v %v", differences, err)
	}
	d.sql(`DELETE FROM privilege_grant WHERE asset_kind = 'device'`)
	if differences, _ := db.NewPrivileges(d.DB).Differences(ctx); len(differences) != 1 || !strings.Contains(differences[0], "not in the table") {
		t.Errorf("%v", differences)
	}
}

func TestAChangeByWhomeverIsFollowedWithinASecond(t *testing.T) {
	t.Parallel()
	d := newDeeds(t)
	d.member(d.bob)
	told := make(chan struct{}, 100)
	live := granting.NewLive(db.NewPrivileges(d.DB), time.Now, slog.New(slog.DiscardHandler))
	live.Watch(func() { told <- struct{}{} })
	if err := live.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	group := lifecycle.NewGroup(context.WithoutCancel(t.Context()))
	group.Go(live.Run)
	defer group.Stop()
	press := privilege.DeviceAsset(d.project, d.press)
	now := time.Now
	until := func(want bool, flag wire.Flag, who wire.Key, change func()) {
		t.Helper()
		change()
		limit := time.After(time.Minute)
		for live.Snapshot().May(privilege.Subject{Key: who}, flag, press, now()) != want {
			select {
			case <-told:
			case <-limit:
				t.Fatalf("after a minute %s is not %v", flag, want)
			}
		}
	}
	var given privilege.Grant
	until(true, wire.DeviceRead, d.bob, func() {
		var err error
		if given, err = d.give(d.ann, d.bob, press, wire.DeviceRead); err != nil {
			t.Fatal(err)
		}
	})
	until(false, wire.DeviceRead, d.bob, func() {
		if err := d.g.Revoke(t.Context(), by(d.ann), given, "x"); err != nil {
			t.Fatal(err)
		}
	})
	until(true, wire.DeviceWrite, d.bob, func() { d.sql(`INSERT INTO project_default VALUES ($1, '{device.write}')`, d.project) })
	until(false, wire.DeviceWrite, d.bob, func() { d.sql(`UPDATE principal SET suspended = true WHERE key = $1`, d.bob) })
	until(true, wire.DeviceWrite, d.bob, func() { d.sql(`UPDATE principal SET suspended = false WHERE key = $1`, d.bob) })
	ends := time.Now().Add(3 * time.Second)
	now = func() time.Time { return ends.Add(-time.Millisecond) } // when it is granted still, however long it takes to be known
	until(true, wire.DeviceTunnel, d.bob, func() {
		_, err := d.g.Give(t.Context(), by(d.ann), granting.Request{
			Principal: d.bob, Asset: press, Flags: []wire.Flag{wire.DeviceTunnel}, Until: ends,
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	now = time.Now
	limit := time.After(time.Minute)
	for live.Snapshot().May(privilege.Subject{Key: d.bob}, wire.DeviceTunnel, press, now()) {
		select {
		case <-told: // a grant that ends is told of, although nothing changed in the database
		case <-limit:
			t.Fatal("nobody was told that the grant has ended")
		}
	}
	until(false, wire.ProjectRead, d.ann, func() { d.sql(`DELETE FROM project WHERE key = $1`, d.project) })
}

func TestPeopleOfAnotherProjectDoNotExist(t *testing.T) {
	t.Parallel()
	d := newDeeds(t)
	other := wire.NewKey()
	d.sql(`INSERT INTO project (key, name, title, created_at) VALUES ($1, 'plant-b', '', now())`, other)
	d.sql(`INSERT INTO app_user (key, issuer, subject, provider_key, project_key) VALUES ($1, 'https://idp', 'cid', 5, $2)`, d.cid, other)
	for _, text := range []string{"cid", d.cid.String(), "p" + d.cid.String()} {
		if _, err := d.g.Person(t.Context(), d.project, text); errs.KindOf(err) != wire.NotFound {
			t.Errorf("%s is known to another project: %v", text, err)
		}
		if p, err := d.g.Person(t.Context(), other, text); err != nil || p.Key != d.cid {
			t.Errorf("%s is not known to its own project: %+v %v", text, p, err)
		}
	}
	if p, err := d.g.Person(t.Context(), d.project, "p"+d.bob.String()); err != nil || p.Key != d.bob {
		t.Errorf("%+v %v", p, err)
	}
}

func TestChangesAtTheSameTimeAreDecidedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	d := newDeeds(t)
	d.member(d.bob)
	done := make(chan error)
	for range 8 {
		go func() {
			_, err := d.give(d.ann, d.bob, privilege.DeviceAsset(d.project, d.press), wire.DeviceRead)
			done <- err
		}()
	}
	made := 0
	for range 8 {
		if err := <-done; err == nil {
			made++
		} else if !slices.Contains([]wire.Kind{wire.Unavailable}, errs.KindOf(err)) {
			t.Error(err)
		}
	}
	list, err := d.g.Grants(t.Context(), granting.GrantQuery{Project: d.project, Limit: 100})
	if err != nil || len(list) != made || made == 0 {
		t.Errorf("%d were made and %d are there: %v", made, len(list), err)
	}
	d.folds()
}
