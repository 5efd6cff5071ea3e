package asset_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/db"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

func kind(t testing.TB, err error, want wire.Kind) {
	t.Helper()
	if got := errs.KindOf(err); got != want {
		t.Errorf("error is %q (%v), want %q", got, err, want)
	}
}

func TestAProjectHasADeviceRealmFromItsFirstMoment(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.project("plant-a")
	for where, d := range map[string]*realms.Directory{"memory": s.Directory(), "router": s.router.last(), "database": s.reloaded()} {
		if !has(d, realms.OfProject(p.Key)) {
			t.Errorf("%s: no device realm", where)
		}
	}
	if found, err := s.FindProject(t.Context(), "plant-a"); err != nil || found != p {
		t.Errorf("found %+v, %v, want %+v", found, err, p)
	}
	if found, err := s.FindProject(t.Context(), p.Key.String()); err != nil || found != p {
		t.Errorf("by key: %+v, %v", found, err)
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.project("taken")
	for _, name := range []string{"", "A", "1a", "-a", "a_b", "a b", "ä", "a/b", "a.b", strings.Repeat("a", 64), "a\n",
		"abcdefab-1234-4234-8234-123456789abc"} {
		_, err := s.CreateProject(t.Context(), someone, name, "")
		kind(t, err, wire.Invalid)
		_, err = s.CreateApp(t.Context(), someone, name, "", 0)
		kind(t, err, wire.Invalid)
		_, _, err = s.CreateDevice(t.Context(), someone, p.Key, name)
		kind(t, err, wire.Invalid)
	}
	_, err := s.CreateProject(t.Context(), someone, "taken", "")
	kind(t, err, wire.Conflict)
	if !strings.Contains(errs.UserText(err), "exists already") {
		t.Errorf("a taken name is told as %q", errs.UserText(err))
	}
	for _, title := range []string{"a\nb", "\x00", "\xff", strings.Repeat("ä", 201)} {
		_, err := s.CreateProject(t.Context(), someone, "fine", title)
		kind(t, err, wire.Invalid)
	}
	if _, err := s.CreateProject(t.Context(), someone, "fine", strings.Repeat("ä", 200)); err != nil {
		t.Error(err)
	}
}

func TestNobodyChangesAnything(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, err := s.CreateProject(t.Context(), audit.Actor{}, "plant-a", "")
	if err == nil {
		t.Error("a change without an actor was made")
	}
	if _, err := s.FindProject(t.Context(), "plant-a"); errs.KindOf(err) != wire.NotFound {
		t.Errorf("it is there: %v", err)
	}
}

func TestTwoPeopleDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.project("plant-a")
	title := func(s string) asset.ProjectChange { return asset.ProjectChange{Title: &s} }
	first, err := s.UpdateProject(t.Context(), someone, p.Key, p.Revision, title("one"))
	if err != nil || first.Title != "one" || first.Revision != 2 {
		t.Fatalf("%+v, %v", first, err)
	}
	_, err = s.UpdateProject(t.Context(), someone, p.Key, p.Revision, title("two"))
	if !errors.Is(err, asset.ErrRevision) {
		t.Errorf("got %v", err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		all.Go(func() {
			if _, err := s.UpdateProject(t.Context(), someone, p.Key, first.Revision, title("race")); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Errorf("%d of 8 changes of one revision were made", won)
	}
}

func TestARenamedProjectIsFoundByItsNewNameOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.project("old")
	name := "new"
	if _, err := s.UpdateProject(t.Context(), someone, p.Key, 0, asset.ProjectChange{Name: &name}); err != nil {
		t.Fatal(err)
	}
	_, err := s.FindProject(t.Context(), "old")
	kind(t, err, wire.NotFound)
	if got := s.NameRealm(realms.OfProject(p.Key)).ProjectName; got != "new" {
		t.Errorf("the realm is said to be of %q", got)
	}
}

func TestADeviceJoinsWithTheSecretOfItsFlashFile(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.project("plant-a")
	d, flash := s.device(p, "press-1")
	want := wire.Flash{
		Version: wire.Version, Router: "wss://bulkhead.test/ws-agent", CA: "PEM", Project: p.Key, Device: d.Key, Name: "press-1",
		Serial: d.Serial, DeviceRealm: realms.OfProject(p.Key).Name(), Secret: flash.Secret, GrantKey: flash.GrantKey,
	}
	if diff := cmp.Diff(want, flash); diff != "" || len(flash.Secret) != 44 {
		t.Errorf("flash file: %s", diff)
	}
	for where, directory := range map[string]*realms.Directory{"router": s.router.last(), "database": s.reloaded()} {
		known, ok := directory.Device(d.Serial)
		if !ok || known.Key != d.Key || known.Project != p.Key || len(known.Secrets) != 1 || string(known.Secrets[0].Reveal()) != flash.Secret {
			t.Errorf("%s knows %+v", where, known)
		}
	}
}

func TestADeviceIsFoundByEachOfItsNames(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a, b := s.project("plant-a"), s.project("plant-b")
	d, _ := s.device(a, "press-1")
	for _, ref := range []string{"plant-a/press-1", a.Key.String() + "/press-1", string(d.Serial), d.Key.String(), "plant-a/" + string(d.Serial), "plant-a/" + d.Key.String()} {
		if found, err := s.FindDevice(t.Context(), ref); err != nil || found != d {
			t.Errorf("%s: %+v, %v", ref, found, err)
		}
	}
	for _, ref := range []string{"press-1", "plant-b/press-1", "plant-b/" + string(d.Serial), "plant-b/" + d.Key.String(), "", "/", "plant-a/", "plant-a/x/y",
		"plant-a/plant-a/press-1", "0", "00000000-0000-4000-8000-000000000000", "plant-a/%", "nowhere/press-1"} {
		_, err := s.FindDevice(t.Context(), ref)
		if errs.KindOf(err) != wire.NotFound {
			t.Errorf("%q: %v", ref, err)
		}
	}
	_, err := s.FindDeviceOf(t.Context(), b.Key, d.Key.String())
	kind(t, err, wire.NotFound)
}

func TestASuspendedDeviceIsSuspendedEverywhereAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d, flash := s.device(s.project("plant-a"), "press-1")
	if _, err := s.SuspendDevice(t.Context(), someone, d.Key); err != nil {
		t.Fatal(err)
	}
	for where, directory := range map[string]*realms.Directory{"router": s.router.last(), "database": s.reloaded()} {
		if known, ok := directory.Device(d.Serial); !ok || !known.Suspended {
			t.Errorf("%s: %+v", where, known)
		}
	}
	if _, err := s.Assignments(t.Context(), d.Serial); errs.KindOf(err) != wire.Denied {
		t.Errorf("it is told its assignments: %v", err)
	}
	if _, err := s.ResumeDevice(t.Context(), someone, d.Key); err != nil {
		t.Fatal(err)
	}
	known, _ := s.router.last().Device(d.Serial)
	if known.Suspended || string(known.Secrets[0].Reveal()) != flash.Secret {
		t.Errorf("after resume: %+v", known)
	}
	if err := s.RevokeDevice(t.Context(), someone, d.Key); err != nil {
		t.Fatal(err)
	}
	for where, directory := range map[string]*realms.Directory{"router": s.router.last(), "database": s.reloaded()} {
		if _, ok := directory.Device(d.Serial); ok {
			t.Errorf("%s still knows a revoked device", where)
		}
	}
}

func secretsOf(d *realms.Directory, serial wire.Serial) []string {
	known, _ := d.Device(serial)
	list := []string{}
	for _, s := range known.Secrets {
		list = append(list, string(s.Reveal()))
	}
	return list
}

func TestTheOldSecretDiesWhenTheGraceIsOver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d, first := s.device(s.project("plant-a"), "press-1")
	_, second, err := s.RotateDevice(t.Context(), someone, d.Key, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	both := []string{second.Secret, first.Secret}
	if diff := cmp.Diff(both, secretsOf(s.router.last(), d.Serial)); diff != "" {
		t.Errorf("during the grace: %s", diff)
	}
	if diff := cmp.Diff(both, secretsOf(s.reloaded(), d.Serial)); diff != "" {
		t.Errorf("during the grace, after a restart: %s", diff)
	}
	if _, err := s.SuspendDevice(t.Context(), someone, d.Key); err != nil { // a change meanwhile keeps both
		t.Fatal(err)
	}
	_, _, err = s.RotateDevice(t.Context(), someone, d.Key, time.Minute)
	kind(t, err, wire.Conflict)
	s.clock.Pass(time.Hour - time.Second)
	if err := s.Retire(t.Context()); err != nil || len(secretsOf(s.router.last(), d.Serial)) != 2 {
		t.Errorf("a second before its end: %v, %v", secretsOf(s.router.last(), d.Serial), err)
	}
	s.clock.Pass(time.Second)
	if got := secretsOf(s.reloaded(), d.Serial); len(got) != 1 {
		t.Errorf("a process that starts then takes %v", got)
	}
	if err := s.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{second.Secret}, secretsOf(s.router.last(), d.Serial)); diff != "" {
		t.Errorf("after the grace: %s", diff)
	}
	if left, err := s.store.DeviceSecrets(t.Context(), d.Key); err != nil || len(left) != 1 || left[0].Version != 2 {
		t.Errorf("in the database: %+v, %v", left, err)
	}
	if known, _ := s.router.last().Device(d.Serial); !known.Suspended {
		t.Error("the suspension was forgotten")
	}
}

func TestARotationWithoutGraceEndsAllOlderSecrets(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	d, _ := s.device(s.project("plant-a"), "press-1")
	if _, _, err := s.RotateDevice(t.Context(), someone, d.Key, time.Hour); err != nil {
		t.Fatal(err)
	}
	_, last, err := s.RotateDevice(t.Context(), someone, d.Key, 0)
	if err != nil {
		t.Fatal(err)
	}
	for where, directory := range map[string]*realms.Directory{"router": s.router.last(), "database": s.reloaded()} {
		if diff := cmp.Diff([]string{last.Secret}, secretsOf(directory, d.Serial)); diff != "" {
			t.Errorf("%s: %s", where, diff)
		}
	}
	for _, grace := range []time.Duration{-1, time.Hour + 1} {
		_, _, err := s.RotateDevice(t.Context(), someone, d.Key, grace)
		kind(t, err, wire.Invalid)
	}
}

func TestAnAppOnADeviceJoinsWithADerivedSecretAndTheEpochBeforeForAWhile(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, app := s.project("plant-a"), s.app("host-metrics")
	in := s.install(p, app)
	d, _ := s.device(p, "press-1")
	before, err := s.AppSecret(in.Realm, d.Serial)
	if err != nil {
		t.Fatal(err)
	}
	id, ok := realms.ParseAppAuthID(before.AuthID)
	if !ok || id.App != app.Key || id.Epoch != 1 || id.Serial != d.Serial {
		t.Errorf("authid is %q", before.AuthID)
	}
	if _, err := s.RotateApp(t.Context(), someone, app.Key); err != nil {
		t.Fatal(err)
	}
	after, err := s.AppSecret(in.Realm, d.Serial)
	if err != nil || after.Secret.Equal(before.Secret) || !strings.Contains(after.AuthID, "-e2@") {
		t.Errorf("after a rotation: %q, %v", after.AuthID, err)
	}
	for where, directory := range map[string]*realms.Directory{"router": s.router.last(), "database": s.reloaded()} {
		entry, _ := directory.Realm(in.Realm.Name())
		if len(entry.Apps) != 2 || entry.Apps[0].Epoch != 2 || !entry.Apps[0].Until.IsZero() ||
			!id.Secret(entry.Apps[1].Key).Equal(before.Secret) || entry.Apps[1].Until.Sub(s.clock.Now()) > 15*time.Minute {
			t.Errorf("%s: %+v", where, entry.Apps)
		}
	}
	s.clock.Pass(15 * time.Minute)
	if _, err := s.RotateApp(t.Context(), someone, app.Key); err != nil {
		t.Fatal(err)
	}
	entry, _ := s.router.last().Realm(in.Realm.Name())
	if len(entry.Apps) != 2 || entry.Apps[1].Epoch != 2 {
		t.Errorf("an ended epoch is kept: %+v", entry.Apps)
	}
	other, _ := s.device(s.project("plant-b"), "press-1")
	_, err = s.AppSecret(in.Realm, other.Serial)
	kind(t, err, wire.NotFound)
}

func TestAgentsAreToldTheInstallationsOfTheirOwnProject(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a, b, app := s.project("plant-a"), s.project("plant-b"), s.app("host-metrics")
	d, _ := s.device(a, "press-1")
	s.install(b, app)
	reply, err := s.Assignments(t.Context(), d.Serial)
	if err != nil || len(reply.Assignments) != 0 {
		t.Errorf("before: %+v, %v", reply, err)
	}
	in := s.install(a, app)
	want := []wire.Assignment{{
		Realm: in.Realm.Name(), Project: a.Key, App: app.Key, AppName: "host-metrics", Stage: wire.Prod,
		Publish: []wire.AgentPublication{{Source: wire.SourceHost, Table: "metrics", IntervalMs: 1000}},
	}}
	reply, err = s.Assignments(t.Context(), d.Serial)
	if diff := cmp.Diff(want, reply.Assignments); diff != "" || err != nil {
		t.Errorf("%v, %s", err, diff)
	}
	if s.watched.told[len(s.watched.told)-1] != a.Key {
		t.Errorf("the devices of project %v were told", s.watched.told)
	}
	if _, err := s.Uninstall(t.Context(), someone, in.Realm, false); err != nil {
		t.Fatal(err)
	}
	if reply, _ := s.Assignments(t.Context(), d.Serial); len(reply.Assignments) != 0 {
		t.Errorf("after: %+v", reply)
	}
	_, err = s.Assignments(t.Context(), wire.NewSerial())
	kind(t, err, wire.Denied)
}

func TestAServiceJoinsTheRealmOfItsInstallationOnly(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, app := s.project("plant-a"), s.app("host-metrics")
	in := s.install(p, app)
	made, value, err := s.CreateService(t.Context(), someone, in.Realm, "dashboard")
	if err != nil || made.AuthID() != "service:dashboard" {
		t.Fatal(made, err)
	}
	for where, directory := range map[string]*realms.Directory{"router": s.router.last(), "database": s.reloaded()} {
		if known, ok := directory.Service(in.Realm.Name(), "dashboard"); !ok || !known.Equal(value) {
			t.Errorf("%s does not know it", where)
		}
	}
	_, _, err = s.CreateService(t.Context(), someone, in.Realm, "dashboard")
	kind(t, err, wire.Conflict)
	_, _, err = s.CreateService(t.Context(), someone, realms.OfProject(p.Key), "x")
	kind(t, err, wire.Invalid)
	_, _, err = s.CreateService(t.Context(), someone, realms.OfInstallation(p.Key, app.Key, wire.Dev), "x")
	kind(t, err, wire.NotFound)
	if err := s.DeleteService(t.Context(), someone, in.Realm, "dashboard"); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.router.last().Service(in.Realm.Name(), "dashboard"); ok {
		t.Error("the router still knows a deleted service")
	}
	kind(t, s.DeleteService(t.Context(), someone, in.Realm, "dashboard"), wire.NotFound)
}

func TestAnotherProjectsAppDoesNotExistHere(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a, b := s.project("plant-a"), s.project("plant-b")
	own, err := s.CreateApp(t.Context(), someone, "secret-sauce", "", a.Key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Install(t.Context(), someone, b.Key, own.Key, wire.Prod, []byte(goodTemplate))
	kind(t, err, wire.NotFound)
	if _, err := s.Install(t.Context(), someone, a.Key, own.Key, wire.Prod, []byte(goodTemplate)); err != nil {
		t.Error(err)
	}
	_, err = s.CreateApp(t.Context(), someone, "orphan", "", wire.NewKey())
	kind(t, err, wire.NotFound)
}

func TestAnInstalledAppIsNotDeleted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, app := s.project("plant-a"), s.app("host-metrics")
	in := s.install(p, app)
	kind(t, s.DeleteApp(t.Context(), someone, app.Key), wire.Conflict)
	if _, err := s.Uninstall(t.Context(), someone, in.Realm, false); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteApp(t.Context(), someone, app.Key); err != nil {
		t.Error(err)
	}
	kind(t, s.DeleteApp(t.Context(), someone, app.Key), wire.NotFound)
}

func TestADeletedProjectTakesAllWithIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, other, app := s.project("plant-a"), s.project("plant-b"), s.app("host-metrics")
	in, kept := s.install(p, app), s.install(other, app)
	d, _ := s.device(p, "press-1")
	own, err := s.CreateApp(t.Context(), someone, "own", "", p.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteProject(t.Context(), someone, p.Key); err != nil {
		t.Fatal(err)
	}
	for where, directory := range map[string]*realms.Directory{"router": s.router.last(), "database": s.reloaded()} {
		_, device := directory.Device(d.Serial)
		if has(directory, in.Realm) || has(directory, realms.OfProject(p.Key)) || device || !has(directory, kept.Realm) {
			t.Errorf("%s: something is left, or too much is gone", where)
		}
	}
	if s.backends.exists(t, in.Realm) || !s.backends.exists(t, kept.Realm) {
		t.Error("the wrong schemas are there")
	}
	_, err = s.FindApp(t.Context(), own.Key.String())
	kind(t, err, wire.NotFound)
	kind(t, s.DeleteProject(t.Context(), someone, p.Key), wire.NotFound)
	_, _, err = s.CreateDevice(t.Context(), someone, p.Key, "late")
	kind(t, err, wire.NotFound)
}

func TestRealmsAreFoundAndListedInPages(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, app := s.project("plant-a"), s.app("host-metrics")
	in := s.install(p, app)
	for _, ref := range []string{in.Realm.Name(), "plant-a/host-metrics@prod", p.Key.String() + "/" + app.Key.String() + "@prod"} {
		if r, err := s.FindRealm(t.Context(), ref); err != nil || r != in.Realm {
			t.Errorf("%s: %+v, %v", ref, r, err)
		}
	}
	for _, ref := range []string{"", "plant-a/host-metrics@dev", "plant-a/host-metrics", "plant-a/other@prod", "plant-b/host-metrics@prod", "realm-1-2-prod", "device-1",
		"plant-a/host-metrics@PROD", "/@prod"} {
		_, err := s.FindRealm(t.Context(), ref)
		if errs.KindOf(err) != wire.NotFound {
			t.Errorf("%q: %v", ref, err)
		}
	}
	all := func(realms.Realm) bool { return true }
	first := s.Realms("", 1, all)
	rest := s.Realms(first[0].Name(), 10, all)
	if len(first) != 1 || len(rest) != 1 || first[0].Name() != realms.OfProject(p.Key).Name() || rest[0].AppName != "host-metrics" || rest[0].ProjectName != "plant-a" {
		t.Errorf("%+v, %+v", first, rest)
	}
	if none := s.Realms("", 10, func(realms.Realm) bool { return false }); len(none) != 0 {
		t.Errorf("what may not be seen is listed: %+v", none)
	}
}

func TestEveryChangeHasItsAuditEntry(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, app := s.project("plant-a"), s.app("host-metrics")
	in := s.install(p, app)
	d, flash := s.device(p, "press-1")
	_, _, err := s.RotateDevice(t.Context(), someone, d.Key, 0)
	_, errSuspend := s.SuspendDevice(t.Context(), someone, d.Key)
	_, errSame := s.SuspendDevice(t.Context(), someone, d.Key) // changes nothing and tells nothing
	_, errUninstall := s.Uninstall(t.Context(), someone, in.Realm, true)
	errDelete := s.DeleteProject(t.Context(), someone, p.Key)
	if err := errors.Join(err, errSuspend, errSame, errUninstall, errDelete); err != nil {
		t.Fatal(err)
	}
	entries, err := db.NewAudit(s.database.DB).Entries(t.Context(), audit.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var actions []audit.Action
	for _, e := range entries {
		actions = append([]audit.Action{e.Action}, actions...)
		text, _ := json.Marshal(e)
		if e.Actor != someone || e.Outcome != audit.Done || strings.Contains(string(text), flash.Secret) {
			t.Errorf("entry %s", text)
		}
	}
	want := []audit.Action{
		audit.ProjectCreate, audit.AppCreate, audit.InstallationProvision, audit.InstallationReady, audit.DeviceCreate, audit.DeviceRotate,
		audit.DeviceSuspend, audit.InstallationRemove, audit.InstallationExport, audit.InstallationDelete, audit.ProjectRemove, audit.ProjectDelete,
	}
	if diff := cmp.Diff(want, actions); diff != "" {
		t.Error(diff)
	}
}

func TestTheWrongKeyFileIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.device(s.project("plant-a"), "press-1")
	if _, err := s.database.Pool().Exec(t.Context(), "UPDATE device_secret SET sealed = '\\x01'"); err != nil {
		t.Fatal(err)
	}
	err := s.Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "key file") {
		t.Errorf("got %v", err)
	}
	if s.Healthy(t.Context()) == nil {
		t.Error("readiness does not tell")
	}
}

func TestOneBrokenSecretKeepsNobodyElseOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.project("plant-a")
	broken, _ := s.device(p, "press-1")
	fine, flash := s.device(p, "press-2")
	// The other device's sealed secret does not open in this row.
	if _, err := s.database.Pool().Exec(t.Context(), `UPDATE device_secret SET sealed = (SELECT sealed FROM device_secret WHERE device_key = $2) WHERE device_key = $1`, broken.Key, fine.Key); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.router.last().Device(broken.Serial); ok {
		t.Error("a device with another device's secret is let in")
	}
	if diff := cmp.Diff([]string{flash.Secret}, secretsOf(s.router.last(), fine.Serial)); diff != "" {
		t.Error(diff)
	}
	if _, err := s.SuspendDevice(t.Context(), someone, broken.Key); err != nil {
		t.Error(err)
	}
	if _, ok := s.router.last().Device(broken.Serial); ok {
		t.Error("a device without a secret is let in")
	}
}
