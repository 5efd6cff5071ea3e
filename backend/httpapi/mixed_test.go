package httpapi_test

import (
	"strings"
	"testing"

	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

// The administrator of one project names, in it, what is another's: in paths and in bodies. It answers as what does not exist.
func TestWhatAnotherProjectOwnsIsNotNamedInOnesOwn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, d, in := s.plant("plant-a")
	_, _, mine := s.plant("plant-b")
	own := must[httpapi.App](s, 201, "POST", "/apps", httpapi.AppCreate{Name: "own", Owner: "plant-a"})
	hall := must[httpapi.Group](s, 201, "POST", "/projects/plant-a/groups", httpapi.GroupCreate{Name: "hall"})
	must[httpapi.Group](s, 201, "POST", "/projects/plant-b/groups", httpapi.GroupCreate{Name: "room"})
	who, as := s.somebody("stranger", "*")
	s.join("plant-b", who, wire.SetAdministrator)
	friend, _ := s.somebody("friend", "*")
	before := len(auditActions(t, s))

	type thing struct{ device, serial, group, app, realm string }
	theirs := thing{d.Device.Key.String(), string(d.Device.Serial), hall.Key.String(), own.Key.String(), in.Realm}
	none := thing{"88", string(wire.NewSerial()), "89", "90", "realm-5-6-prod"}
	same := func(method, path string, body string) {
		t.Helper()
		fill := func(n thing, text string) string {
			return strings.NewReplacer("{device}", n.device, "{serial}", n.serial, "{group}", n.group, "{app}", n.app, "{realm}", n.realm).Replace(text)
		}
		send := func(n thing) answer {
			var sent any
			if body != "" {
				sent = fill(n, body)
			}
			return s.do(method, httpapi.Prefix+fill(n, path), sent, as, header("If-Match", "*"))
		}
		real, made := s.sameTime(method+" "+path+" "+body, func() answer { return send(theirs) }, func() answer { return send(none) })
		if real.status != 404 || told(real) != told(made) {
			t.Errorf("%s %s %s: %s, and of none: %s", method, path, body, told(real), told(made))
		}
	}
	for _, op := range operations(t, s) {
		rest := strings.Replace(op.path, "{project}", "plant-b", 1)
		for from, to := range map[string][]string{"{device}": {"{device}", "{serial}"}, "{group}": {"{group}"}, "{installation}": {"{realm}"}} {
			if rest == op.path || !strings.Contains(rest, from) || strings.Count(rest, "{") != 1 {
				continue
			}
			text, _ := bodyOf(op.id).(string)
			for _, name := range to {
				same(op.method, strings.Replace(rest, from, name, 1), text)
			}
		}
	}
	for _, name := range []string{"{device}", "{serial}"} {
		same("PUT", "/projects/plant-b/groups/room/devices/"+name, "")
		same("DELETE", "/projects/plant-b/groups/room/devices/"+name, "")
		same("POST", "/realms/"+mine.Realm+"/app-credential", `{"device":"`+name+`"}`)
	}
	for _, asset := range []string{"device:plant-b/{device}", "device:plant-b/{serial}", "device:{device}", "group:plant-b/{group}", "group:{group}", "app:{app}", "data_backend:{realm}"} {
		flag, _, _ := strings.Cut(asset, ":")
		same("POST", "/grants", `{"principal":"stranger","asset":"`+asset+`","flags":["`+flag+`.read"]}`)
		same("POST", "/grants/revoke", `{"principal":"stranger","asset":"`+asset+`","flags":["`+flag+`.read"]}`)
	}
	same("POST", "/projects/plant-b/members", `{"principal":"friend","groups":["{group}"]}`)
	same("PATCH", "/projects/plant-b/members/stranger", `{"limited":true,"groups":["{group}"]}`)
	same("POST", "/projects/plant-b/installations", `{"app":"{app}","stage":"dev","template":"template"}`)
	if after := len(auditActions(t, s)); after != before {
		t.Errorf("what was refused changed something: %d entries more", after-before)
	}
	// The same in one's own project is done, so that the test can fail.
	must[struct{}](s, 204, "PUT", "/projects/plant-b/groups/room/devices/press-1", nil, as)
	must[httpapi.Member](s, 201, "POST", "/projects/plant-b/members", httpapi.MemberCreate{Principal: friend.String(), Groups: []string{"room"}}, as)
	if m := must[httpapi.Member](s, 200, "PATCH", "/projects/plant-b/members/friend", `{"limited":false}`, as); m.Limited || len(m.Groups) != 0 {
		t.Errorf("%+v", m)
	}
	if m := must[httpapi.Member](s, 200, "PATCH", "/projects/plant-b/members/friend", `{"limited":true,"groups":["room"]}`, as); !m.Limited || len(m.Groups) != 1 {
		t.Errorf("%+v", m)
	}
}

// What somebody without the privilege to grant tries in order to have more, or to give it to others.
func TestAnOperatorGainsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	_, _, in := s.plant("plant-a")
	s.hall()
	who, as := s.somebody("operator", "*")
	s.join("plant-a", who, wire.SetOperator)
	friend, _ := s.somebody("friend", "*")
	s.join("plant-a", friend, wire.SetViewer)
	s.somebody("outsider", "*")
	grants := must[httpapi.List[httpapi.Grant]](s, 200, "GET", "/projects/plant-a/grants", nil)
	offer := must[httpapi.Transfer](s, 201, "POST", "/projects/plant-a/transfers", map[string]any{"to": "friend"})
	before := len(auditActions(t, s))
	for _, b := range []bad{
		{"POST", "/grants", `{"principal":"operator","asset":"device:plant-a/press-1","flags":["device.terminal"]}`, 403, "denied"},
		{"POST", "/grants", `{"principal":"operator","asset":"project:plant-a","set":"administrator"}`, 403, "denied"},
		{"POST", "/grants", `{"principal":"friend","asset":"device:plant-a/press-1","flags":["device.read"]}`, 403, "denied"}, // not even what one holds
		{"POST", "/grants", `{"principal":"operator","asset":"data_backend:` + in.Realm + `","flags":["data_backend.sql"]}`, 403, "denied"},
		{"DELETE", "/grants/" + grants.Items[0].Key.String(), "", 403, "denied"},
		{"POST", "/grants/revoke", `{"principal":"friend","asset":"project:plant-a","set":"viewer"}`, 403, "denied"},
		{"POST", "/projects/plant-a/members", `{"principal":"outsider"}`, 403, "denied"},
		{"PATCH", "/projects/plant-a/members/friend", `{"limited":true,"groups":["hall"]}`, 403, "denied"},
		{"DELETE", "/projects/plant-a/members/friend", "", 403, "denied"},
		{"PUT", "/projects/plant-a/defaults", `{"flags":["device.terminal"]}`, 403, "denied"},
		{"POST", "/projects/plant-a/transfers", `{"to":"operator"}`, 403, "denied"},
		{"DELETE", "/projects/plant-a/transfers/" + offer.Key.String(), "", 403, "denied"},
		{"POST", "/transfers/" + offer.Key.String() + "/accept", "", 404, "not_found"}, // it is offered to somebody else
		{"DELETE", "/transfers/" + offer.Key.String(), "", 404, "not_found"},
		{"DELETE", "/projects/plant-a/owners/" + "bootstrap%20owner", "", 403, "denied"},
		{"PUT", "/projects/plant-a/groups/hall/devices/press-1", "", 403, "denied"},
		{"POST", "/service-accounts", `{"name":"mine"}`, 403, "denied"},
		{"POST", "/apikeys", `{"name":"theirs","service_account":"friend"}`, 403, "denied"},
		{"POST", "/apikeys", `{"name":"theirs","service_account":"bootstrap owner"}`, 403, "denied"},
		{"GET", "/realms/" + in.Realm + "/database-credentials", "", 403, "denied"},
		{"POST", "/projects/plant-a/devices/press-1/tunnels", `{"target":"127.0.0.1:22"}`, 403, "denied"},
		{"GET", "/audit?project=plant-a", "", 403, "denied"},
	} {
		var body any
		if b.body != "" {
			body = b.body
		}
		s.refused(b.status, b.code, b.method, b.path, body, as, header("If-Match", "*"))
	}
	if after := len(auditActions(t, s)); after != before {
		t.Errorf("what was refused changed something: %d entries more", after-before)
	}
}

// A key makes keys that reach as far as itself, and none that reach farther.
func TestAKeyMakesNoKeyThatReachesFarther(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant("plant-a")
	who, as := s.somebody("maker", wire.PlatformKeys, wire.DeviceRead)
	s.join("plant-a", who, wire.SetAdministrator)
	for _, scopes := range []string{`["*"]`, `["device.read","device.write"]`, `["platform.users"]`} {
		s.refused(403, "denied", "POST", "/apikeys", `{"name":"more","scopes":`+scopes+`}`, as)
	}
	s.refused(403, "denied", "POST", "/apikeys", `{"name":"all"}`, as)
	made := must[httpapi.APIKeySecret](s, 201, "POST", "/apikeys", `{"name":"less","scopes":["device.read"]}`, as)
	less := header("Authorization", "Bearer "+made.Key)
	must[httpapi.Device](s, 200, "GET", "/projects/plant-a/devices/press-1", nil, less)
	s.refused(403, "denied", "POST", "/apikeys", `{"name":"again","scopes":["device.read"]}`, less)
	must[struct{}](s, 204, "DELETE", "/projects/plant-a/members/maker", nil)
	s.refused(404, "not_found", "GET", "/projects/plant-a/devices/press-1", nil, less) // never above its holder
}
