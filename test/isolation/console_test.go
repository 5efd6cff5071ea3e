package isolation

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/wire"
)

// offices are a server with two projects that have installed the same app, and each a device. Of plant-a, somebody may read the
// data, somebody may see the device, and somebody may maintain it.
type offices struct {
	*site
	data, device map[string]string // realms, by project
	keys         map[string]string // API keys, by who they are of
	names        *strings.Replacer
}

func newOffices(t *testing.T) *offices {
	t.Helper()
	o := &offices{site: newSite(t), data: map[string]string{}, device: map[string]string{}, keys: map[string]string{}}
	o.data["a"] = o.install()
	ask[httpapi.Project](o.site, o.key, "POST", "/projects", httpapi.ProjectCreate{Name: "plant-b"})
	o.data["b"] = ask[httpapi.Installation](o.site, o.key, "POST", "/projects/plant-b/installations", httpapi.InstallationCreate{App: "metrics", Stage: wire.Prod, Template: table}).Realm
	var flashes []wire.Flash
	for _, p := range []string{"a", "b"} {
		f := ask[httpapi.DeviceFlash](o.site, o.key, "POST", "/projects/plant-"+p+"/devices", httpapi.DeviceCreate{Name: "press-1"}).Flash
		o.device[p] = f.DeviceRealm
		flashes = append(flashes, f)
		o.agent(f)
	}
	r, err := realms.Parse(o.data["a"])
	if err != nil {
		t.Fatal(err)
	}
	o.names = strings.NewReplacer("{A}", flashes[0].Project.String(), "{a.1}", flashes[0].Device.String(), "{a.app}", r.App.String(),
		"{B}", flashes[1].Project.String(), "{b.1}", flashes[1].Device.String(), `""`, "")
	o.keys["reader"] = o.person("reader", "data_backend:"+o.data["a"], wire.DataBackendRead)
	o.keys["viewer"] = o.person("viewer", "device:plant-a/press-1", wire.DeviceRead)
	o.keys["keeper"] = o.person("keeper", "device:plant-a/press-1", wire.DeviceMaintain)
	return o
}

// person lets somebody into plant-a, and gives their API key.
func (o *offices) person(name, on string, flag wire.Flag) string {
	o.t.Helper()
	r := o.reader(name, o.data["a"])
	ask[httpapi.Grant](o.site, o.site.key, "POST", "/grants", httpapi.GrantCreate{Principal: name, Asset: on, Flags: []wire.Flag{flag}})
	return r.key
}

// agent has a device offer what agents offer.
func (o *offices) agent(f wire.Flash) {
	o.t.Helper()
	s, err := wampx.Dial(o.t.Context(), wampx.Config{
		URL: strings.TrimSuffix(o.Router(), "/ws") + "/ws-agent", Realm: f.DeviceRealm, AuthID: string(f.Serial), Secret: secret.FromString(f.Secret), TLS: &tls.Config{RootCAs: o.roots},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = s.Close(context.Background()) })
	for _, name := range []string{"ping", "update"} {
		_, err := s.RegisterURI(o.t.Context(), wire.AgentFunction(f.Project, f.Device, name), wampx.RegisterOptions{}, func(context.Context, *wampx.Invocation) (wampx.Result, error) {
			return wampx.Result{}, nil
		})
		if err != nil {
			o.t.Fatal(err)
		}
	}
}

// status asks for something and gives the answer, with what differs from request to request left out.
func (o *offices) status(key, method, path string) (int, string) {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), method, o.API()+httpapi.Prefix+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := o.http.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	var p httpapi.Problem
	if json.Unmarshal(text, &p) == nil && p.RequestID != "" {
		text = bytes.ReplaceAll(text, []byte(p.RequestID), nil)
	}
	return answer.StatusCode, string(text)
}

func (o *offices) ticket(who, realm string) httpapi.Ticket {
	o.t.Helper()
	return ask[httpapi.Ticket](o.site, o.keys[who], "POST", "/realms/"+realm+"/ticket", nil)
}

func (o *offices) redeem(t httpapi.Ticket) (*wampx.Session, error) {
	s, err := wampx.Dial(o.t.Context(), wampx.Config{
		URL: o.Router(), Realm: t.Realm, AuthID: t.AuthID, Ticket: secret.FromString(t.Ticket), TLS: &tls.Config{RootCAs: o.roots},
	})
	if err == nil {
		o.t.Cleanup(func() { _ = s.Close(context.Background()) })
	}
	return s, err
}

// What people do in realms, as WHO VERB URI [MATCH] [ARGUMENT...] in REALM -> OUTCOME.
const consoleTable = `
reader call history.transformed.metrics in a.data -> ok
reader subscribe "" prefix in a.data -> ok
reader call wamp.session.count in a.data -> ok
reader call append.{A}.{a.app}.metrics {} in a.data -> not_authorized
reader call append.{B}.{a.app}.metrics {} in a.data -> not_authorized
reader call history.transformed.metrics.more in a.data -> no_such_table
reader call historyx.transformed.metrics in a.data -> not_authorized
reader call databackend.errors.metrics in a.data -> ok
reader call databackend.erase.metrics in a.data -> not_authorized
reader call com.example.x in a.data -> not_authorized
reader call {A}.{a.1}.{a.app}.PROD.reboot in a.data -> not_authorized
reader call {A}.{a.1}.{a.app}.DEV.reboot in a.data -> not_authorized
reader call {A}.0{a.1}.{a.app}.PROD.reboot in a.data -> not_authorized
reader call {B}.{b.1}.{a.app}.PROD.reboot in a.data -> not_authorized
reader call {A}.{a.1}.ping in a.data -> not_authorized
reader call wamp.session.kill_all in a.data -> not_authorized
reader call wamp.session.add_testament "com.example.x" [] {} in a.data -> not_authorized
reader publish {A}.{a.app}.metrics in a.data -> not_authorized
reader publish bulk.{A}.{a.app}.metrics in a.data -> not_authorized
reader publish transformed.metrics in a.data -> not_authorized
reader publish com.example.x in a.data -> not_authorized
reader register com.example.x in a.data -> not_authorized
reader register {A}.{a.1}.{a.app}.PROD.reboot in a.data -> not_authorized
reader call {A}.{a.1}.ping in a.device -> not_authorized
reader subscribe {A}.{a.1}. prefix in a.device -> not_authorized
reader subscribe {A}. prefix in a.device -> not_authorized
reader subscribe wamp. prefix in a.device -> not_authorized
reader call wamp.session.list in a.device -> not_authorized
reader call wamp.registration.list in a.device -> not_authorized
reader call wamp.registration.match "{A}.{a.1}.ping" in a.device -> not_authorized
viewer call {A}.{a.1}.ping in a.device -> ok
viewer call {A}.{a.1}.update in a.device -> not_authorized
viewer call {A}.{a.1}.tunnel.open in a.device -> not_authorized
viewer call {B}.{b.1}.ping in a.device -> not_authorized
viewer call sys.agent.assignments in a.device -> not_authorized
viewer call sys.agent.recording in a.device -> not_authorized
viewer subscribe {A}.{a.1}. prefix in a.device -> ok
viewer subscribe {A}.{a.1} prefix in a.device -> not_authorized
viewer subscribe {A}. prefix in a.device -> not_authorized
viewer subscribe {A}..ping wildcard in a.device -> not_authorized
viewer subscribe sys.agent.{a.1}. prefix in a.device -> not_authorized
viewer subscribe wamp.session.on_join in a.device -> not_authorized
viewer call wamp.session.kill_all in a.device -> not_authorized
viewer publish {A}.{a.1}.presence in a.device -> not_authorized
viewer register {A}.{a.1}.other in a.device -> not_authorized
keeper call {A}.{a.1}.update in a.device -> ok
keeper call {B}.{b.1}.update in a.device -> not_authorized
keeper call wamp.session.kill_by_authid "backend" in a.device -> not_authorized
`

func TestWhatAConsoleReaches(t *testing.T) {
	t.Parallel()
	o := newOffices(t)
	for text := range strings.Lines(strings.TrimSpace(consoleTable)) {
		l, err := parseLine(strings.TrimSpace(text))
		if err != nil {
			t.Fatal(err)
		}
		realm := o.data["a"]
		if l.realm == "a.device" {
			realm = o.device["a"]
		}
		s, err := o.redeem(o.ticket(l.who, realm))
		if err == nil {
			l.uri = o.names.Replace(l.uri)
			err = (&world{}).do(t.Context(), s, l)
			_ = s.Close(t.Context())
		}
		if got := outcome(err); got != l.outcome {
			t.Errorf("%s\tcame of it: %s", text, got)
		}
	}
	// Realms of others are as unknown as those that do not exist.
	for _, kind := range []string{"/ticket", ""} {
		method := map[string]string{"/ticket": "POST", "": "GET"}[kind]
		status, text := o.status(o.keys["reader"], method, "/realms/realm-1-1-prod"+kind)
		for _, realm := range []string{o.data["b"], o.device["b"], "plant-b%2Fmetrics@prod", "device-1"} {
			if s, got := o.status(o.keys["reader"], method, "/realms/"+realm+kind); s != http.StatusNotFound || s != status || got != text {
				t.Errorf("%s %s%s: %d %s, want %d %s", method, realm, kind, s, got, status, text)
			}
		}
	}
}

func TestATicketOpensItsOwnRealmOnceAndOnlyWhileThatIsAllowed(t *testing.T) {
	t.Parallel()
	o := newOffices(t)
	for name, change := range map[string]func(*httpapi.Ticket){
		"another project's realm": func(t *httpapi.Ticket) { t.Realm = o.data["b"] },
		"another kind of realm":   func(t *httpapi.Ticket) { t.Realm = o.device["a"] },
		"another name":            func(t *httpapi.Ticket) { t.AuthID = "backend" },
	} {
		good := o.ticket("reader", o.data["a"])
		stolen := good
		change(&stolen)
		if _, err := o.redeem(stolen); err == nil {
			t.Errorf("%s: it opens", name)
		}
		if _, err := o.redeem(good); err == nil {
			t.Errorf("%s: it opens afterwards", name)
		}
	}
	once := o.ticket("reader", o.data["a"])
	open, err := o.redeem(once)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.redeem(once); err == nil {
		t.Error("it opens twice")
	}
	devices, err := o.redeem(o.ticket("reader", o.device["a"]))
	if err != nil {
		t.Fatal(err)
	}
	late := []httpapi.Ticket{o.ticket("reader", o.data["a"]), o.ticket("reader", o.device["a"])}
	ask[struct{}](o.site, o.key, "DELETE", "/projects/plant-a/members/reader", nil)
	<-open.Done()
	<-devices.Done()
	for _, ticket := range late {
		if s, err := o.redeem(ticket); err == nil {
			t.Errorf("a ticket from before opens %s", s.Realm())
		}
	}
}
