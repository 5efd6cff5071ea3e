package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/backend/audit"
	"bulkhead/backend/httpapi"
	"bulkhead/realms"
	"bulkhead/wire"
)

func TestAnOwnerMakesAPlantAndTakesItDown(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, d, in := s.plant("plant-a")
	if p.DeviceRealm != realms.OfProject(p.Key).Name() || d.Device.DeviceRealm != p.DeviceRealm || d.Flash.Project != p.Key {
		t.Errorf("project %+v, device %+v", p, d.Device)
	}
	want := httpapi.Installation{
		Realm: realms.OfInstallation(p.Key, in.AppKey, wire.Prod).Name(), ProjectKey: p.Key, Project: "plant-a", AppKey: in.AppKey, App: "host-metrics",
		Stage: wire.Prod, State: "ready", Schema: "p_x", Tables: []string{"metrics"}, TemplateVersion: 1, CreatedAt: in.CreatedAt,
	}
	if diff := cmp.Diff(want, in); diff != "" {
		t.Error(diff)
	}
	for _, ref := range []string{"host-metrics@prod", in.Realm} {
		if diff := cmp.Diff(want, must[httpapi.Installation](s, 200, "GET", "/projects/plant-a/installations/"+ref, nil)); diff != "" {
			t.Errorf("%s: %s", ref, diff)
		}
	}
	realm := must[httpapi.Realm](s, 200, "GET", "/realms/"+url.PathEscape("plant-a/host-metrics@prod"), nil)
	if diff := cmp.Diff(httpapi.Realm{Realm: in.Realm, Kind: "data", ProjectKey: p.Key, Project: "plant-a", AppKey: in.AppKey, App: "host-metrics", Stage: wire.Prod}, realm); diff != "" {
		t.Error(diff)
	}
	gone := must[httpapi.InstallationDeleted](s, 200, "DELETE", "/projects/plant-a/installations/host-metrics@prod?export=true", nil)
	if gone.ExportedTo != "exports/"+in.Realm {
		t.Errorf("exported to %q", gone.ExportedTo)
	}
	s.refused(404, "not_found", "GET", "/realms/"+in.Realm, nil)
	must[struct{}](s, 204, "DELETE", "/projects/plant-a/devices/press-1", nil)
	must[struct{}](s, 204, "DELETE", "/projects/plant-a", nil)
	must[struct{}](s, 204, "DELETE", "/apps/host-metrics", nil)
	s.refused(404, "not_found", "GET", "/projects/plant-a", nil)
	wantActions := []audit.Action{
		audit.KeyCreate, audit.ProjectCreate, audit.AppCreate, audit.DeviceCreate, audit.InstallationProvision, audit.InstallationReady,
		audit.InstallationRemove, audit.InstallationExport, audit.InstallationDelete, audit.DeviceRevoke, audit.ProjectRemove, audit.ProjectDelete, audit.AppDelete,
	}
	if diff := cmp.Diff(wantActions, auditActions(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestTheAuditLogNamesTheKeyTheAddressAndTheRequest(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	made := s.do("POST", httpapi.Prefix+"/projects", httpapi.ProjectCreate{Name: "plant-a"})
	list := must[httpapi.List[httpapi.AuditEntry]](s, 200, "GET", "/audit?project=plant-a", nil)
	if len(list.Items) != 1 {
		t.Fatalf("%+v", list)
	}
	me := must[httpapi.Whoami](s, 200, "GET", "/whoami", nil)
	e := list.Items[0]
	if e.Actor.ID != me.ID || e.Actor.Address != "127.0.0.1" || e.Actor.RequestID != made.header.Get("X-Request-Id") || e.Severity != audit.Info {
		t.Errorf("%+v", e)
	}
	all := must[httpapi.List[httpapi.AuditEntry]](s, 200, "GET", "/audit?limit=1", nil)
	rest := must[httpapi.List[httpapi.AuditEntry]](s, 200, "GET", "/audit?limit=1&cursor="+all.Next, nil)
	if len(all.Items) != 1 || len(rest.Items) != 1 || rest.Next != "" || rest.Items[0].Action != audit.KeyCreate {
		t.Errorf("%+v, then %+v", all, rest)
	}
}

func TestListsComeInPagesWithoutGapsOrDoubles(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	want := []string{"a", "a-b", "ab", "b", "z9"}
	for _, name := range []string{"z9", "a", "b", "ab", "a-b"} {
		must[httpapi.Project](s, 201, "POST", "/projects", httpapi.ProjectCreate{Name: name})
	}
	var got []string
	for cursor := ""; ; {
		page := must[httpapi.List[httpapi.Project]](s, 200, "GET", "/projects?limit=2&cursor="+cursor, nil)
		for _, p := range page.Items {
			got = append(got, p.Name)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	realmsList := must[httpapi.List[httpapi.Realm]](s, 200, "GET", "/realms?limit=3", nil)
	rest := must[httpapi.List[httpapi.Realm]](s, 200, "GET", "/realms?cursor="+realmsList.Next, nil)
	if len(realmsList.Items) != 3 || len(rest.Items) != 2 || rest.Next != "" {
		t.Errorf("%+v, then %+v", realmsList, rest)
	}
}

func TestAnInstallationListGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	must[httpapi.Installation](s, 201, "POST", "/projects/plant-a/installations", httpapi.InstallationCreate{App: "host-metrics", Stage: wire.Dev, Template: template})
	first := must[httpapi.List[httpapi.Installation]](s, 200, "GET", "/projects/plant-a/installations?limit=1", nil)
	rest := must[httpapi.List[httpapi.Installation]](s, 200, "GET", "/projects/plant-a/installations?limit=1&cursor="+first.Next, nil)
	if len(first.Items) != 1 || len(rest.Items) != 1 || rest.Next != "" || first.Items[0].Stage != wire.Dev || rest.Items[0].Stage != wire.Prod {
		t.Errorf("%+v, then %+v", first, rest)
	}
}

func TestAChangeIsMadeOnlyToWhatOneHasSeen(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	title := "New"
	body := httpapi.ProjectUpdate{Title: &title}
	shown := s.do("GET", httpapi.Prefix+"/projects/plant-a", nil)
	etag := shown.header.Get("ETag")
	s.refused(428, "precondition_required", "PATCH", "/projects/plant-a", body)
	for _, wrong := range []string{`"7"`, `W/` + etag, `1`, `""`, `"01"`, `"1", "2"`, `x`} {
		s.refused(412, "precondition_failed", "PATCH", "/projects/plant-a", body, header("If-Match", wrong))
	}
	changed := must[httpapi.Project](s, 200, "PATCH", "/projects/plant-a", body, header("If-Match", etag))
	if changed.Title != "New" || changed.ETag == etag {
		t.Errorf("%+v", changed)
	}
	s.refused(412, "precondition_failed", "PATCH", "/projects/plant-a", body, header("If-Match", etag))
	must[httpapi.Project](s, 200, "PATCH", "/projects/plant-a", body, header("If-Match", "*"))
	name := "press-2"
	must[httpapi.Device](s, 200, "PATCH", "/projects/plant-a/devices/press-1", httpapi.DeviceUpdate{Name: &name}, header("If-Match", `"1"`))
	must[httpapi.App](s, 200, "PATCH", "/apps/host-metrics", httpapi.AppUpdate{Title: &title}, header("If-Match", `"1"`))
	s.refused(422, "invalid", "PATCH", "/projects/plant-a/devices/press-2", httpapi.DeviceUpdate{}, header("If-Match", "*"))
	if log := s.log.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("a caller's mistakes are logged as the server's: %s", log)
	}
}

func TestADeviceIsSuspendedResumedAndRotated(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, made, _ := s.plant("plant-a")
	const one = "/projects/plant-a/devices/press-1"
	if d := must[httpapi.Device](s, 200, "POST", one+"/suspend", nil); !d.Suspended {
		t.Error("not suspended")
	}
	if d := must[httpapi.Device](s, 200, "POST", one+"/resume", nil); d.Suspended {
		t.Error("not resumed")
	}
	rotated := must[httpapi.DeviceFlash](s, 200, "POST", one+"/rotate", nil)
	if rotated.Flash.Secret == made.Flash.Secret || rotated.Flash.Serial != made.Flash.Serial {
		t.Errorf("%+v", rotated.Device)
	}
	known, _ := s.assets.Directory().Device(made.Flash.Serial)
	if len(known.Secrets) != 2 {
		t.Errorf("%d secrets are accepted", len(known.Secrets))
	}
	s.refused(409, "conflict", "POST", one+"/rotate", nil)
	zero := 0
	must[httpapi.DeviceFlash](s, 200, "POST", one+"/rotate", httpapi.DeviceRotate{GraceSeconds: &zero})
	if known, _ := s.assets.Directory().Device(made.Flash.Serial); len(known.Secrets) != 1 {
		t.Errorf("%d secrets are accepted after a rotation without grace", len(known.Secrets))
	}
	for _, ref := range []string{"plant-a/press-1", string(made.Flash.Serial), made.Flash.Device.String()} {
		if d := must[httpapi.Device](s, 200, "GET", "/devices/"+url.PathEscape(ref), nil); d.Key != made.Flash.Device {
			t.Errorf("%s is %+v", ref, d)
		}
	}
}

func TestATicketOpensItsRealmForTheKey(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, _, in := s.plant("plant-a")
	for _, ref := range []string{in.Realm, "plant-a/host-metrics@prod", p.DeviceRealm} {
		ticket := must[httpapi.Ticket](s, 200, "POST", "/realms/"+url.PathEscape(ref)+"/ticket", nil)
		me := must[httpapi.Whoami](s, 200, "GET", "/whoami", nil)
		if left := ticket.ExpiresAt.Sub(s.clock.Now()); ticket.AuthID != me.ID || left > time.Minute || left < 59*time.Second {
			t.Errorf("%+v", ticket)
		}
		got, err := s.tickets.Redeem(ticket.Realm, ticket.AuthID, ticket.Ticket)
		if want := (realms.Principal{Role: realms.RoleConsole, AuthID: me.ID, Project: p.Key, Login: me.Login, Scopes: "*"}); err != nil || got != want {
			t.Errorf("%+v, %v", got, err)
		}
	}
	s.refused(404, "not_found", "POST", "/realms/realm-1-2-prod/ticket", nil)
	s.refused(404, "not_found", "POST", "/realms/nonsense/ticket", nil)
}

func TestAServiceGetsItsSecretOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, _, in := s.plant("plant-a")
	path := "/realms/" + in.Realm + "/services"
	made := must[httpapi.ServiceSecret](s, 201, "POST", path, httpapi.ServiceCreate{Name: "dashboard"})
	known, ok := s.assets.Directory().Service(in.Realm, "dashboard")
	if !ok || string(known.Reveal()) != made.Secret || made.Service.AuthID != "service:dashboard" {
		t.Errorf("%+v", made.Service)
	}
	list := s.do("GET", httpapi.Prefix+path, nil)
	if !strings.Contains(string(list.body), "service:dashboard") || strings.Contains(string(list.body), made.Secret) {
		t.Errorf("the list is %s", list.body)
	}
	s.refused(409, "conflict", "POST", path, httpapi.ServiceCreate{Name: "dashboard"})
	s.refused(404, "not_found", "POST", "/realms/"+p.DeviceRealm+"/services", httpapi.ServiceCreate{Name: "x"})
	must[struct{}](s, 204, "DELETE", path+"/dashboard", nil)
	s.refused(404, "not_found", "DELETE", path+"/dashboard", nil)
}

func TestAnAppsCredentialIsThatOfOneDeviceOfTheProject(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, d, in := s.plant("plant-a")
	_, other, _ := s.plant("plant-b")
	path := "/realms/" + in.Realm + "/app-credential"
	got := must[httpapi.AppCredential](s, 200, "POST", path, httpapi.AppCredentialCreate{Device: "press-1"})
	id, ok := realms.ParseAppAuthID(got.AuthID)
	entry, _ := s.assets.Directory().Realm(in.Realm)
	if !ok || id.Serial != d.Device.Serial || string(id.Secret(entry.Apps[0].Key).Reveal()) != got.Secret {
		t.Errorf("%s", got.AuthID)
	}
	for _, ref := range []string{other.Device.Key.String(), string(other.Device.Serial), "plant-b/press-1", "nobody"} {
		s.refused(404, "not_found", "POST", path, httpapi.AppCredentialCreate{Device: ref})
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	s.sessions.list = map[string][]httpapi.Session{in.Realm: {{Session: 9, AuthID: "b"}, {Session: 3, AuthID: "a"}, {Session: 1 << 52, AuthID: "c", Role: "backend"}}}
	path := "/realms/" + in.Realm + "/sessions"
	first := must[httpapi.List[httpapi.Session]](s, 200, "GET", path+"?limit=2", nil)
	rest := must[httpapi.List[httpapi.Session]](s, 200, "GET", path+"?cursor="+first.Next, nil)
	if len(first.Items) != 2 || first.Items[0].Session != 3 || len(rest.Items) != 1 || rest.Items[0].Session != 1<<52 || rest.Next != "" {
		t.Errorf("%+v, then %+v", first, rest)
	}
	must[struct{}](s, 204, "DELETE", path+"/9", nil)
	s.refused(404, "not_found", "DELETE", path+"/10", nil)
	s.refused(403, "denied", "DELETE", path+"/4503599627370496", nil)
	for _, wrong := range []string{"0", "x", "-1", "9007199254740994"} {
		s.refused(422, "invalid", "DELETE", path+"/"+wrong, nil)
	}
	if diff := cmp.Diff([]uint64{9}, s.sessions.ended); diff != "" {
		t.Error(diff)
	}
}

func TestADatabaseLoginIsRevealedAndThatIsRecorded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	got := must[httpapi.DatabaseCredential](s, 200, "GET", "/realms/"+in.Realm+"/database-credentials", nil)
	if got.Password != canaryPassword {
		t.Errorf("%+v", got)
	}
	if actions := auditActions(t, s); actions[len(actions)-1] != audit.CredentialReveal {
		t.Errorf("%v", actions)
	}
	if _, err := s.database.Pool().Exec(t.Context(), "ALTER TABLE audit_entry ADD CONSTRAINT full_disk CHECK (false) NOT VALID"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct{ method, path string }{
		{"GET", "/realms/" + in.Realm + "/database-credentials"}, {"POST", "/realms/" + in.Realm + "/ticket"},
		{"GET", "/realms/" + in.Realm + "/tables/metrics/export"}, {"POST", "/projects/plant-a/devices/press-1/rotate"},
	} {
		if p := s.refused(503, "unavailable", r.method, r.path, nil); strings.Contains(p.Detail, "full_disk") {
			t.Errorf("it tells %q", p.Detail)
		}
	}
}

func TestAKeyMadeByTheAPIWorksUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	made := must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "ci", ExpiresInSeconds: 3600})
	as := header("Authorization", "bearer "+made.Key)
	if me := must[httpapi.Whoami](s, 200, "GET", "/whoami", nil, as); me.Login != made.APIKey.ID || me.ID != made.APIKey.HolderKey.String() || !me.Owner {
		t.Errorf("%+v", me)
	}
	ticket := must[httpapi.Ticket](s, 200, "POST", "/realms/"+s.project("plant-a").DeviceRealm+"/ticket", nil, as)
	must[struct{}](s, 204, "DELETE", "/apikeys/"+made.APIKey.ID, nil)
	s.refused(401, "unauthenticated", "GET", "/whoami", nil, as)
	if _, err := s.tickets.Redeem(ticket.Realm, ticket.AuthID, ticket.Ticket); err == nil {
		t.Error("a ticket of a revoked key opened a session")
	}
	list := s.do("GET", httpapi.Prefix+"/apikeys", nil)
	if strings.Contains(string(list.body), made.Key[21:40]) || !strings.Contains(string(list.body), `"revoked_at"`) {
		t.Errorf("%s", list.body)
	}
	s.refused(404, "not_found", "DELETE", "/apikeys/aaaaaaaaaaaaaaaa", nil)
}

func (s *stage) project(name string) httpapi.Project {
	s.t.Helper()
	return must[httpapi.Project](s, 201, "POST", "/projects", httpapi.ProjectCreate{Name: name})
}

func TestAnAppIsOwnedByThePlatformOrAProject(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.project("plant-a")
	s.project("plant-b")
	own := must[httpapi.App](s, 201, "POST", "/apps", httpapi.AppCreate{Name: "own", Owner: "plant-a"})
	if own.OwnerKey != p.Key || own.Epoch != 1 {
		t.Errorf("%+v", own)
	}
	s.refused(404, "not_found", "POST", "/apps", httpapi.AppCreate{Name: "x", Owner: "nowhere"})
	s.refused(404, "not_found", "POST", "/projects/plant-b/installations", httpapi.InstallationCreate{App: "own", Stage: wire.Dev, Template: template})
	if rotated := must[httpapi.App](s, 200, "POST", "/apps/own/rotate", nil); rotated.Epoch != 2 {
		t.Errorf("%+v", rotated)
	}
	list := must[httpapi.List[httpapi.App]](s, 200, "GET", "/apps", nil)
	if len(list.Items) != 1 {
		t.Errorf("%+v", list)
	}
}

func TestTheServerTellsItsVersion(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	v := must[httpapi.Version](s, 200, "GET", "/version", nil)
	if v.Version != "1.2.3" || v.Contract != wire.Version || v.Go == "" {
		t.Errorf("%+v", v)
	}
	if a := s.do(http.MethodHead, httpapi.Prefix+"/version", nil); a.status != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d %s", a.status, a.body)
	}
}
