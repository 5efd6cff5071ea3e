package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

// somebody makes a service account with a key that has the scopes.
func (s *stage) somebody(name string, scopes ...wire.Flag) (key wire.Key, as change) {
	s.t.Helper()
	account := must[struct {
		Key wire.Key `json:"key"`
	}](s, 201, "POST", "/service-accounts", map[string]any{"name": name})
	made := must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", httpapi.APIKeyCreate{Name: name, ServiceAccount: name, Scopes: scopes})
	if err := s.live.Refresh(s.t.Context(), 0); err != nil { // nobody follows the database here
		s.t.Fatal(err)
	}
	return account.Key, header("Authorization", "Bearer "+made.Key)
}

// join lets somebody into a project with a set.
func (s *stage) join(project string, who wire.Key, set string) {
	s.t.Helper()
	must[httpapi.Member](s, 201, "POST", "/projects/"+project+"/members", httpapi.MemberCreate{Principal: who.String()})
	if set != "" {
		must[httpapi.Grant](s, 201, "POST", "/grants", httpapi.GrantCreate{Principal: who.String(), Asset: "project:" + project, Set: set})
	}
}

// names are the words with which an operation names something.
type names struct{ project, device, group, app, realm, installation, grant, member, session string }

func (n names) fill(path string) string {
	device := n.device
	if !strings.HasPrefix(path, "/projects") {
		device = strings.ReplaceAll(n.project+"/"+n.device, "/", "%2F")
		if wireKey, err := wire.ParseKey(n.device); err == nil {
			device = wireKey.String()
		}
	}
	return strings.NewReplacer("{project}", n.project, "{device}", device, "{group}", n.group, "{app}", n.app, "{realm}", n.realm,
		"{installation}", n.installation, "{grant}", n.grant, "{member}", n.member, "{owner}", n.member, "{session}", n.session, "{log}", n.project,
		"{service}", "dashboard", "{table}", "metrics", "{provider}", "company", "{transfer}", "77", "{path...}", "0/000", "{tunnel}", "77", "{recording}", "77.1",
		"{sequence}", "1", "{user}", "77", "{service_account}", "77", "{login}", "aaaaaaaaaaaaaaaa", "{id}", "aaaaaaaaaaaaaaaa", "{key}", "77").Replace(path)
}

func (n names) body(id string) any {
	switch id {
	case "create-grant":
		return httpapi.GrantCreate{Principal: n.member, Asset: "device:" + n.project + "/" + n.device, Flags: []wire.Flag{wire.DeviceRead}}
	case "revoke-flags":
		return httpapi.GrantRevoke{Principal: n.member, Asset: "group:" + n.project + "/" + n.group, Flags: []wire.Flag{wire.GroupRead}}
	case "create-app":
		return httpapi.AppCreate{Name: "other", Owner: n.project}
	case "install-app":
		return httpapi.InstallationCreate{App: n.app, Stage: wire.Dev, Template: template}
	default:
		return bodyOf(id)
	}
}

// These ask by what they are asked, or need parameters or bodies of which the tests beside this one do not know; the tests of
// this file ask them all.
var _ = func() bool {
	for _, id := range []string{
		"create-grant", "revoke-flags", "delete-grant", "explain-privilege", "list-privileges", "list-transfers", "accept-transfer", "decline-transfer",
		"limit-member", "list-audit", "list-audit-logs", "prove-audit-consistency", "prove-audit-entry", "show-audit-checkpoint", "show-audit-tile",
		"show-audit-key", "list-sealing-keys", "rotate-sealing-keys", "drop-sealing-key",
	} {
		elsewhere[id] = true
	}
	return true
}()

// hall makes a group with the device of plant-a.
func (s *stage) hall() {
	s.t.Helper()
	must[httpapi.Group](s, 201, "POST", "/projects/plant-a/groups", httpapi.GroupCreate{Name: "hall"})
	must[struct{}](s, 204, "PUT", "/projects/plant-a/groups/hall/devices/press-1", nil)
}

var _ = alsoBad(map[string][]bad{
	"create-grant": {
		{"POST", "/grants", `{"principal":"bootstrap owner","asset":"device:","flags":["device.read"]}`, 404, "not_found"}, {"POST", "/grants", `{"principal":"bootstrap owner","asset":"press-1","flags":["device.read"]}`, 422, "invalid"},
		{"POST", "/grants", `{"principal":"bootstrap owner","asset":"project:plant-a","flags":["device.fly"]}`, 422, "invalid"}, {"POST", "/grants", `{"principal":"bootstrap owner","asset":"project:plant-a"}`, 422, "invalid"},
		{"POST", "/grants", `{"principal":"bootstrap owner","asset":"project:plant-a","set":"god"}`, 422, "invalid"}, {"POST", "/grants", `{"principal":"bootstrap owner","asset":"device:plant-a/press-1","flags":["project.delete"]}`, 422, "invalid"},
		{"POST", "/grants", `{"principal":"bootstrap owner","asset":"project:plant-a","set":"viewer","until":"2001-01-01T00:00:00Z"}`, 422, "invalid"}, {"POST", "/grants", `{"principal":"nobody","asset":"project:plant-a","set":"viewer"}`, 404, "not_found"},
		{"POST", "/grants", `{"principal":"bootstrap owner","asset":"project:plant-a","set":"viewer","flags":["device.read"]}`, 422, "invalid"},
	},
	"revoke-flags":           {{"POST", "/grants/revoke", `{"principal":"bootstrap owner","asset":"project:plant-a","flags":["device.read"]}`, 404, "not_found"}},
	"delete-grant":           {{"DELETE", "/grants/0", "", 404, "not_found"}, {"DELETE", "/grants/x", "", 404, "not_found"}},
	"list-grants":            {{"GET", "/projects/plant-a/grants?limit=0", "", 422, "invalid"}, {"GET", "/projects/plant-a/grants?principal=nobody", "", 404, "not_found"}},
	"list-privileges":        {{"GET", "/privileges?x=1", "", 422, "invalid"}},
	"explain-privilege":      {{"GET", "/explain", "", 422, "invalid"}, {"GET", "/explain?flag=device.fly&asset=project:plant-a", "", 422, "invalid"}, {"GET", "/explain?flag=device.read&asset=realm:x", "", 422, "invalid"}},
	"list-members":           {{"GET", "/projects/plant-a/members?limit=0", "", 422, "invalid"}},
	"add-member":             {{"POST", "/projects/plant-a/members", `{"principal":"nobody"}`, 404, "not_found"}, {"POST", "/projects/plant-a/members", `{"principal":"bootstrap owner","groups":["none"]}`, 404, "not_found"}, {"POST", "/projects/plant-a/members", `{}`, 422, "invalid"}},
	"limit-member":           {{"PATCH", "/projects/plant-a/members/nobody", `{"limited":false}`, 404, "not_found"}},
	"remove-member":          {{"DELETE", "/projects/plant-a/members/nobody", "", 404, "not_found"}},
	"leave-project":          {{"DELETE", "/projects/plant-a/membership", "", 404, "not_found"}},
	"get-defaults":           {{"GET", "/projects/none/defaults", "", 404, "not_found"}},
	"set-defaults":           {{"PUT", "/projects/plant-a/defaults", `{"flags":["platform.apikeys"]}`, 422, "invalid"}, {"PUT", "/projects/plant-a/defaults", `{}`, 422, "invalid"}},
	"get-demanded-provider":  {{"GET", "/projects/none/demanded-provider", "", 404, "not_found"}},
	"set-demanded-provider":  {{"PUT", "/projects/plant-a/demanded-provider", `{"provider":"none"}`, 404, "not_found"}, {"PUT", "/projects/plant-a/demanded-provider", `{}`, 422, "invalid"}},
	"list-owners":            {{"GET", "/projects/none/owners", "", 404, "not_found"}},
	"remove-owner":           {{"DELETE", "/projects/plant-a/owners/nobody", "", 404, "not_found"}, {"DELETE", "/projects/plant-a/owners/bootstrap%20owner", "", 409, "conflict"}},
	"list-project-transfers": {{"GET", "/projects/none/transfers", "", 404, "not_found"}},
	"create-transfer":        {{"POST", "/projects/plant-a/transfers", `{"to":"nobody"}`, 404, "not_found"}, {"POST", "/projects/plant-a/transfers", `{"to":"bootstrap owner"}`, 422, "invalid"}},
	"withdraw-transfer":      {{"DELETE", "/projects/plant-a/transfers/5", "", 404, "not_found"}},
	"list-transfers":         {{"GET", "/transfers?x=1", "", 422, "invalid"}},
	"accept-transfer":        {{"POST", "/transfers/5/accept", "", 404, "not_found"}},
	"decline-transfer":       {{"DELETE", "/transfers/x", "", 404, "not_found"}},
	"list-groups":            {{"GET", "/projects/plant-a/groups?limit=0", "", 422, "invalid"}},
	"create-group":           {{"POST", "/projects/plant-a/groups", `{"name":"Hall"}`, 422, "invalid"}},
	"get-group":              {{"GET", "/projects/plant-a/groups/none", "", 404, "not_found"}},
	"update-group":           {{"PATCH", "/projects/plant-a/groups/none", `{"title":"x"}`, 404, "not_found"}},
	"delete-group":           {{"DELETE", "/projects/plant-a/groups/none", "", 404, "not_found"}},
	"list-group-devices":     {{"GET", "/projects/plant-a/groups/none/devices", "", 404, "not_found"}},
	"add-group-device":       {{"PUT", "/projects/plant-a/groups/none/devices/press-1", "", 404, "not_found"}},
	"remove-group-device":    {{"DELETE", "/projects/plant-a/groups/none/devices/press-1", "", 404, "not_found"}},
})

// told is all of an answer but what differs between any two.
func told(a answer) string {
	var p map[string]any
	_ = json.Unmarshal(a.body, &p)
	delete(p, "request_id")
	text, _ := json.Marshal(p)
	return http.StatusText(a.status) + " " + string(text)
}

func (s *stage) ask(op operation, n names, as ...change) answer {
	s.t.Helper()
	path := n.fill(op.path)
	switch op.id {
	case "explain-privilege":
		path += "?flag=device.read&asset=device:" + n.project + "/" + n.device
	case "list-audit":
		path += "?project=" + n.project
	case "prove-audit-consistency":
		path += "?from=1"
	}
	s.clock.Pass(10 * time.Millisecond) // a key may ask so often, by this clock
	return s.do(op.method, httpapi.Prefix+path, n.body(op.id), append([]change{header("If-Match", "*")}, as...)...)
}

// abroad are the operations that name nothing of a project.
var abroad = []string{"platform.", "self."}

// The administrator of one project asks for everything of another, by names and by keys, and for what does not exist: the
// answers are the same, and so is what the database is asked for them. What is asked comes from the API's own description, so that no operation is missed.
func TestWhatAnotherProjectOwnsAnswersAsIfItDidNotExist(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a, d, in := s.plant("plant-a")
	s.plant("plant-b")
	own := must[httpapi.App](s, 201, "POST", "/apps", httpapi.AppCreate{Name: "own", Owner: "plant-a"})
	group := must[httpapi.Group](s, 201, "POST", "/projects/plant-a/groups", httpapi.GroupCreate{Name: "hall"})
	must[struct{}](s, 204, "PUT", "/projects/plant-a/groups/hall/devices/press-1", nil)
	victim, _ := s.somebody("victim", "*")
	s.join("plant-a", victim, "viewer")
	grants := must[httpapi.List[httpapi.Grant]](s, 200, "GET", "/projects/plant-a/grants", nil)
	stranger, as := s.somebody("stranger", "*")
	s.join("plant-b", stranger, wire.SetAdministrator)

	theirs := []names{
		{"plant-a", "press-1", "hall", "own", in.Realm, "host-metrics@prod", grants.Items[0].Key.String(), "victim", "5"},
		{a.Key.String(), d.Device.Key.String(), group.Key.String(), own.Key.String(), "plant-a%2Fhost-metrics@prod", in.Realm, grants.Items[0].Key.String(), victim.String(), "5"},
		{"plant-a", string(d.Device.Serial), "hall", "own", a.DeviceRealm, "host-metrics@prod", grants.Items[0].Key.String(), "victim", "5"},
	}
	none := []names{
		{"plant-x", "press-1", "hall", "none", "realm-5-6-prod", "host-metrics@prod", "88", "victim", "5"},
		{"5", "88", "89", "90", "plant-x%2Fhost-metrics@prod", "realm-5-6-prod", "88", victim.String(), "5"},
		{"plant-x", string(wire.NewSerial()), "hall", "none", "device-5", "host-metrics@prod", "88", "victim", "5"},
	}
	before := len(auditActions(t, s))
	for _, op := range operations(t, s) {
		if !wire.Flag(op.Privilege).Known() {
			t.Errorf("%s asks for %s, which is not in the catalogue", op.id, op.Privilege)
		}
		if !namesSomething(op) {
			continue
		}
		for i := range theirs {
			real, made := s.sameTime(op.id, func() answer { return s.ask(op, theirs[i], as) }, func() answer { return s.ask(op, none[i], as) })
			if told(real) != told(made) {
				t.Errorf("%s: what is another's is told from what does not exist:\n%s\n%s", op.id, told(real), told(made))
			}
			if abroad := slices.ContainsFunc(abroad, func(p string) bool { return strings.HasPrefix(op.Privilege, p) }); real.status != 404 && !abroad && real.status != 422 {
				t.Errorf("%s of another project: %d %s", op.id, real.status, real.body)
			}
		}
	}
	for _, list := range []string{"/projects", "/apps", "/realms"} {
		shown := s.do("GET", httpapi.Prefix+list, nil, as)
		for _, secret := range []string{"plant-a", a.Key.String(), "own\""} {
			if strings.Contains(string(shown.body), secret) {
				t.Errorf("%s shows %s: %s", list, secret, shown.body)
			}
		}
	}
	if after := len(auditActions(t, s)); after != before {
		t.Errorf("what was refused changed something: %d entries more", after-before)
	}
	// The same requests of the owner are answered, so that the test can fail.
	for _, op := range operations(t, s) {
		if op.method == "GET" && strings.Contains(op.path, "{project}") && !strings.Contains(op.path, "{provider}") {
			if r := s.ask(op, theirs[0]); r.status != 200 {
				t.Errorf("%s of the owner: %d %s", op.id, r.status, r.body)
			}
		}
	}
}

// Each flag alone opens the operations that name it, and nothing else; without any, a member reads the project.
func TestAMemberMayWhatItsGrantsSayAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	must[httpapi.Group](s, 201, "POST", "/projects/plant-a/groups", httpapi.GroupCreate{Name: "hall"})
	who, as := s.somebody("member", "*")
	s.join("plant-a", who, "viewer")
	n := names{"plant-a", "press-1", "hall", "host-metrics", in.Realm, "host-metrics@prod", "88", "member", "5"}
	viewer, _ := wire.Set(wire.SetViewer)
	statuses := map[string]int{}
	for _, op := range operations(t, s) {
		flag := wire.Flag(op.Privilege)
		if flag.Kind() == wire.AssetSelf || elsewhere[op.id] && !strings.HasPrefix(op.path, "/grants") || strings.Contains(op.path, "{provider}") || strings.Contains(op.path, "{tunnel}") || op.id == "leave-project" || op.id == "end-session" {
			continue
		}
		r := s.ask(op, n, as)
		statuses[op.id] = r.status
		if allowed := slices.Contains(viewer, flag); !allowed && r.status != 403 && r.status != 404 {
			t.Errorf("%s, which asks for %s, of a viewer: %d %s", op.id, flag, r.status, r.body)
		} else if allowed && r.status == 403 {
			t.Errorf("%s is a viewer's: %d %s", op.id, r.status, r.body)
		}
	}
	if denied := slices.DeleteFunc(slices.Collect(maps.Values(statuses)), func(v int) bool { return v != 403 }); len(denied) < 30 {
		t.Errorf("only %d operations were refused: %v", len(denied), statuses)
	}
	must[httpapi.Grant](s, 201, "POST", "/grants", httpapi.GrantCreate{Principal: "member", Asset: "device:plant-a/press-1", Flags: []wire.Flag{wire.DeviceUpdate}})
	must[httpapi.Device](s, 200, "POST", "/projects/plant-a/devices/press-1/suspend", nil, as)
	must[struct{}](s, 204, "POST", "/grants/revoke", httpapi.GrantRevoke{Principal: "member", Asset: "device:plant-a/press-1", Flags: []wire.Flag{wire.DeviceUpdate}})
	s.refused(403, "denied", "POST", "/projects/plant-a/devices/press-1/resume", nil, as)
	told := must[httpapi.Explanation](s, 200, "GET", "/explain?flag=device.read&asset=device:plant-a/press-1&principal=member", nil)
	if at := slices.IndexFunc(told.Reasons, func(r httpapi.Reason) bool { return r.Grant != nil }); !told.Allowed || at < 0 || told.Reasons[at].Grant.GivenBy.Name == "" {
		t.Errorf("%+v", told)
	}
	must[struct{}](s, 204, "DELETE", "/projects/plant-a/members/member", nil)
	s.refused(404, "not_found", "GET", "/projects/plant-a", nil, as)
}

func TestAKeyWithFewScopesMayNoMoreThanItsHolder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	who, as := s.somebody("reader", wire.ProjectRead, wire.DeviceRead, wire.DeviceTunnel)
	s.join("plant-a", who, wire.SetAdministrator)
	must[httpapi.Device](s, 200, "GET", "/projects/plant-a/devices/press-1", nil, as)
	s.refused(403, "denied", "POST", "/projects/plant-a/devices/press-1/suspend", nil, as)
	s.refused(403, "denied", "POST", "/grants", httpapi.GrantCreate{Principal: "reader", Asset: "device:plant-a/press-1", Flags: []wire.Flag{wire.DeviceRead}}, as)
	s.refused(403, "denied", "GET", "/projects/plant-a/members", nil, as)
	if list := must[httpapi.List[httpapi.Group]](s, 200, "GET", "/projects/plant-a/groups", nil, as); len(list.Items) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestAddingADeviceToAGroupIsGranting(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	must[httpapi.Group](s, 201, "POST", "/projects/plant-a/groups", httpapi.GroupCreate{Name: "mine"})
	who, as := s.somebody("sly", "*")
	s.join("plant-a", who, wire.SetViewer)
	must[httpapi.Grant](s, 201, "POST", "/grants", httpapi.GrantCreate{
		Principal: "sly", Asset: "group:plant-a/mine", Flags: []wire.Flag{wire.GroupAddDevice, wire.DeviceTerminal, wire.DeviceTunnel},
	})
	s.refused(403, "denied", "PUT", "/projects/plant-a/groups/mine/devices/press-1", nil, as)
	must[struct{}](s, 204, "PUT", "/projects/plant-a/groups/mine/devices/press-1", nil)
}
