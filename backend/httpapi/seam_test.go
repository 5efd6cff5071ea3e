package httpapi_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"context"

	"bulkhead/backend/account"
	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

// watching lets everything through and remembers what it was asked.
type watching struct {
	mu    sync.Mutex // guards asked
	asked []question
}

type question struct {
	flag wire.Flag
	on   httpapi.Target
}

func (w *watching) May(_ context.Context, by account.Principal, flag wire.Flag, on httpapi.Target) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, question{flag, on})
	return by.Valid() && by.Owner
}

func (*watching) Sees(_ context.Context, by account.Principal, _ httpapi.Target) bool {
	return by.Owner
}

func (*watching) Belongs(_ context.Context, by account.Principal, _ wire.Key) bool { return by.Owner }

func (w *watching) take() []question {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	return asked
}

// example fills the path of an operation with what exists.
func example(path, realm string) string {
	return strings.NewReplacer("{project}", "plant-a", "{app}", "host-metrics", "{installation}", "host-metrics@prod", "{realm}", realm, "{session}", "5",
		"{service}", "dashboard", "{table}", "metrics", "{id}", "aaaaaaaaaaaaaaaa", "{provider}", "company", "{group}", "hall", "{member}", "77", "{owner}", "77",
		"{transfer}", "77", "{grant}", "77", "{user}", "77", "{account}", "77", "{login}", "aaaaaaaaaaaaaaaa", "{log}", "platform", "{path}", "0/000", "{sequence}", "1", "{tunnel}", "77", "{recording}", "77.1").Replace(
		strings.Replace(path, "/devices/{device}", "/devices/"+map[bool]string{true: "press-1", false: "plant-a%2Fpress-1"}[strings.HasPrefix(path, "/projects")], 1))
}

// elsewhere are operations that ask for another flag by what they are asked, or for none because they are about the caller:
// tests beside this one show what they refuse.
var elsewhere = map[string]bool{}

// exampleBody is a body that each operation accepts.
var exampleBody = map[string]string{
	"create-project": `{"name":"x"}`, "create-app": `{"name":"x"}`, "create-device": `{"name":"x"}`, "create-service": `{"name":"x"}`, "create-apikey": `{"name":"x"}`,
	"install-app": `{"app":"host-metrics","stage":"dev","template":"template"}`, "reveal-app-credential": `{"device":"press-1"}`,
	"create-provider": `{"name":"x","issuer":"https://idp.example","client_id":"x"}`, "create-project-provider": `{"name":"y","issuer":"https://other.example","client_id":"x"}`,
	"set-demanded-provider": `{"provider":"company"}`, "update-provider": `{"title":"x"}`, "update-project-provider": `{"title":"x"}`,
	"update-project": `{"title":"x"}`, "update-app": `{"title":"x"}`, "update-device": `{"name":"x"}`,
	"create-grant": `{"principal":"77","asset":"device:plant-a/press-1","flags":["device.read"]}`, "revoke-flags": `{"principal":"77","asset":"group:plant-a/hall","flags":["device.read"]}`,
	"add-member": `{"principal":"77"}`, "limit-member": `{"limited":false}`, "set-defaults": `{"flags":[]}`, "create-transfer": `{"to":"77"}`,
	"create-group": `{"name":"x"}`, "update-group": `{"title":"x"}`,
	"set-own-password":   `{"password":"correct horse battery"}`,
	"show-second-factor": `{"code":"123456"}`, "confirm-enrolment": `{"code":"123456"}`,
	"create-tunnel": `{"target":"127.0.0.1:22"}`, "set-tunnel-policy": `{"approval":true}`, "set-storage-quota": `{"quota_bytes":1048576}`,
}

func bodyOf(id string) any {
	if text, ok := exampleBody[id]; ok {
		return text
	}
	return nil
}

func TestEveryOperationAsksForThePrivilegeThatItNames(t *testing.T) {
	t.Parallel()
	w := &watching{}
	s := newStage(t, func(c *httpapi.Config) { c.Authorizer = w })
	p, _, in := s.plant("plant-a")
	s.hall()
	w.take()
	ops := operations(t, s)
	for _, op := range ops {
		if op.method == "DELETE" || elsewhere[op.id] {
			continue // those below, which take away what the others need
		}
		checkAsked(t, s, w, op, p, in)
	}
	for _, id := range []string{"delete-service", "end-session", "revoke-device", "uninstall-app", "delete-app", "delete-project"} {
		for _, op := range ops {
			if op.id == id {
				checkAsked(t, s, w, op, p, in)
			}
		}
	}
}

func checkAsked(t *testing.T, s *stage, w *watching, op operation, p httpapi.Project, in httpapi.Installation) {
	t.Helper()
	a := s.do(op.method, httpapi.Prefix+example(op.path, in.Realm), bodyOf(op.id), header("If-Match", "*"))
	asked := slices.Compact(w.take()) // a target may ask before it looks further
	listing := op.id == "list-projects" || op.id == "list-apps" || op.id == "list-realms"
	if listing {
		if len(asked) != 0 || a.status != 200 {
			t.Errorf("%s: asked %v, %d", op.id, asked, a.status)
		}
		return
	}
	if len(asked) == 2 && asked[1].flag == wire.AppInstall { // to install asks two things: of the project, and of the app
		asked = asked[:1]
	}
	if len(asked) != 1 || string(asked[0].flag) != op.Privilege || a.status >= 500 {
		t.Errorf("%s names %s and asked %v: %d %s", op.id, op.Privilege, asked, a.status, a.body)
		return
	}
	on := asked[0].on
	if inProject := strings.Contains(op.path, "{project}") || strings.Contains(op.path, "{realm}") || op.path == "/devices/{device}"; inProject && on.Project != p.Key {
		t.Errorf("%s is about %+v", op.id, on)
	}
	if on.Kind == "" || on.Kind != "platform" && on.Kind != "self" && on.Project == 0 && on.Key == 0 {
		t.Errorf("%s is about %+v", op.id, on)
	}
}

func TestWhatOneMayNotSeeDoesNotExist(t *testing.T) {
	t.Parallel()
	owner := newStage(t)
	_, _, in := owner.plant("plant-a")
	owner.hall()
	before := len(auditActions(t, owner))
	for sees, want := range map[bool]struct {
		status int
		code   string
	}{false: {404, "not_found"}, true: {403, "denied"}} {
		s := *owner
		s.config.Authorizer, s.config.Metrics = nobody{sees}, nil
		s.start()
		for _, op := range operations(t, &s) {
			if elsewhere[op.id] {
				continue
			}
			switch op.id {
			case "whoami", "version":
				must[struct{ Version, Kind string }](&s, 200, op.method, op.path, nil)
			case "list-projects", "list-apps", "list-realms":
				list := must[httpapi.List[struct{ Key wire.Key }]](&s, 200, op.method, op.path, nil)
				if seen := len(list.Items) > 0; seen != sees {
					t.Errorf("%s shows %v", op.id, list.Items)
				}
			default:
				s.refused(want.status, want.code, op.method, example(op.path, in.Realm), bodyOf(op.id), header("If-Match", "*"))
			}
		}
	}
	if after := len(auditActions(t, owner)); after != before {
		t.Errorf("what was refused left %d entries", after-before)
	}
}

func TestAKeyWithoutThePrivilegesOfAnOwnerMayNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	must[httpapi.ServiceAccount](s, 201, "POST", "/service-accounts", httpapi.ServiceAccountCreate{Name: "poor"})
	made := must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", httpapi.APIKeyCreate{Name: "poor", ServiceAccount: "poor"})
	s.project("plant-a")
	if err := s.live.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	as := header("Authorization", "Bearer "+made.Key)
	s.refused(404, "not_found", "GET", "/projects/plant-a", nil, as)
	s.refused(403, "denied", "GET", "/apikeys?all=true", nil, as)
	s.refused(403, "denied", "POST", "/projects", httpapi.ProjectCreate{Name: "x"}, as)
	if list := must[httpapi.List[httpapi.Project]](s, 200, "GET", "/projects", nil, as); len(list.Items) != 0 {
		t.Errorf("%+v", list)
	}
	if me := must[httpapi.Whoami](s, 200, "GET", "/whoami", nil, as); me.Owner {
		t.Errorf("%+v", me)
	}
}
