package router_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// attempt joins and gives the reason of the refusal, "" for a welcome, and whether there was a challenge.
func attempt(p *peer, h *message.Hello, proof func(*message.Challenge) string) (reason string, challenged bool) {
	p.t.Helper()
	p.send(h)
	m, err := p.next()
	if err != nil {
		p.t.Fatal(err)
	}
	if c, ok := m.(*message.Challenge); ok {
		challenged = true
		p.send(&message.Authenticate{Signature: proof(c), Extra: message.Dict{}})
		if m, err = p.next(); err != nil {
			p.t.Fatal(err)
		}
	}
	switch m := m.(type) {
	case *message.Welcome:
		return "", challenged
	case *message.Abort:
		p.ended()
		return m.Reason, challenged
	default:
		p.t.Fatalf("got %s", m.Code())
		return "", false
	}
}

func signedBy(s secret.Value) func(*message.Challenge) string {
	return func(c *message.Challenge) string { return answer(c, s).Signature }
}

func TestWhoJoinsWhichRealm(t *testing.T) {
	t.Parallel()
	tickets := ticketsFunc(func(realm, authid, ticket string) (realms.Principal, error) {
		if ticket != "good" {
			return realms.Principal{}, errs.E(wire.Unauthenticated, "no such ticket")
		}
		return realms.Principal{Role: realms.RoleConsole, AuthID: authid, Project: projectA}, nil
	})
	s := newStage(t, router.Config{Tickets: tickets})
	device := realms.OfProject(projectA).Name()
	var everyone []realms.Device
	fresh := func() realms.Device { // a device for each case: failures slow a device down
		d := newDevice(projectA, wire.Key(100+len(everyone)))
		everyone = append(everyone, d)
		return d
	}
	on := func(d realms.Device, app wire.Key, epoch int) realms.AppIdentity {
		return realms.AppIdentity{App: app, Stage: wire.Dev, Epoch: epoch, Serial: d.Serial}
	}
	type proof = func(*message.Challenge) string
	ticket := func(t string) proof { return func(*message.Challenge) string { return t } }
	const refused, unknown = "wamp.error.authentication_failed", "wamp.error.no_such_realm"
	type attempted struct {
		who, realm, authid, method string
		proof                      proof
		want                       string
	}
	byDevice := func(who, realm, want string, key func(realms.Device) secret.Value) attempted {
		d := fresh()
		return attempted{who, realm, string(d.Serial), "wampcra", signedBy(key(d)), want}
	}
	byApp := func(who, realm, want string, app wire.Key, epoch int) attempted {
		id := on(fresh(), app, epoch)
		return attempted{who, realm, id.AuthID(), "wampcra", signedBy(id.Secret(appKey)), want}
	}
	own := func(d realms.Device) secret.Value { return d.Secrets[0] }
	onDevice := on(fresh(), app, 1)
	stranger := wire.NewSerial()
	cases := []attempted{
		byDevice("a device in its project's data realm", realmA.Name(), "", own),
		byDevice("an agent in its project's device realm", device, "", own),
		byDevice("a device with another's secret", realmA.Name(), refused, func(realms.Device) secret.Value { return own(a2) }),
		byDevice("a device in another project's realm", realmB.Name(), refused, own),
		byDevice("a device in another project's device realm", realms.OfProject(projectB).Name(), refused, own),
		byDevice("a device in a realm that is not there", "realm-5-5-dev", unknown, own),
		byDevice("a device in a realm without a name", "", unknown, own),
		byDevice("a device whose secret is its serial", realmA.Name(), refused, func(d realms.Device) secret.Value {
			return secret.FromString(string(d.Serial))
		}),
		byDevice("a device without a secret", realmA.Name(), refused, func(realms.Device) secret.Value { return secret.Value{} }),
		{"a stranger", realmA.Name(), string(stranger), "wampcra", signedBy(own(a1)), refused},
		{"nobody", realmA.Name(), "", "wampcra", signedBy(own(a1)), refused},
		byApp("an app on a device", realmA.Name(), "", app, 1),
		byApp("an app in the device realm", device, refused, app, 1),
		byApp("an app in another project", realmB.Name(), refused, app, 1),
		byApp("another app", realmA.Name(), refused, 78, 1),
		byApp("an app of an epoch that is not", realmA.Name(), refused, app, 2),
		{"an app with its app's key", realmA.Name(), onDevice.AuthID(), "wampcra", signedBy(appKey), refused},
		{"a service", realmA.Name(), "service:ingest", "wampcra", signedBy(serviceSecret), ""},
		{"a service that is not", realmA.Name(), "service:other", "wampcra", signedBy(serviceSecret), refused},
		{"the backend's role by name", realmA.Name(), "backend", "wampcra", signedBy(own(a1)), refused},
		{"a person with a ticket", realmA.Name(), "42", "ticket", ticket("good"), ""},
		{"a person with a bad ticket", realmA.Name(), "43", "ticket", ticket("bad"), refused},
		{"a person without a ticket", realmA.Name(), "44", "ticket", ticket(""), refused},
		{"a person with a ticket of another project", realmB.Name(), "45", "ticket", ticket("good"), refused},
		{"anonymous", realmA.Name(), "", "anonymous", ticket(""), "wamp.error.no_auth_method"},
	}
	s.Apply(tenants().Edit(func(e *realms.Editor) {
		for _, d := range everyone {
			e.PutDevice(d)
		}
	}))
	for _, c := range cases {
		t.Run(c.who, func(t *testing.T) {
			t.Parallel()
			p := s.dial(t, message.JSON)
			got, _ := attempt(p, hello(c.realm, c.authid, c.method), c.proof)
			if got != c.want {
				t.Errorf("%s: got %q, want %q", c.who, got, c.want)
			}
		})
	}
}

type ticketsFunc func(realm, authid, ticket string) (realms.Principal, error)

func (f ticketsFunc) Redeem(realm, authid, ticket string) (realms.Principal, error) {
	return f(realm, authid, ticket)
}

// F14
func TestTheChallengeDoesNotShowWhichPrincipalsExist(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	s.Apply(tenants().Edit(func(e *realms.Editor) {
		suspended := a2
		suspended.Suspended = true
		e.PutDevice(suspended)
	}))
	shape := func(realm, authid string) map[string]any {
		p := s.dial(t, message.JSON)
		p.send(hello(realm, authid, "wampcra"))
		c := expect[*message.Challenge](p)
		var fields map[string]any
		if err := json.Unmarshal([]byte(c.Extra["challenge"].(string)), &fields); err != nil {
			t.Fatal(err)
		}
		if len(c.Extra) != 1 || fields["authid"] != authid {
			t.Errorf("challenge %v", c.Extra)
		}
		p.send(answer(c, secret.FromString("wrong")))
		fields["abort"] = fmt.Sprintf("%+v", *expect[*message.Abort](p))
		for _, k := range []string{"nonce", "timestamp", "session", "authid"} {
			delete(fields, k)
		}
		return fields
	}
	want := shape(realmA.Name(), string(a1.Serial))
	for who, got := range map[string]map[string]any{
		"unknown":         shape(realmA.Name(), string(wire.NewSerial())),
		"suspended":       shape(realmA.Name(), string(a2.Serial)),
		"another project": shape(realmA.Name(), string(b1.Serial)),
	} {
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", who, d)
		}
	}
}

// F14
func TestAnAuthIDCannotAddAFieldToTheChallenge(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	p := s.dial(t, message.JSON)
	authid := `x", "authrole":"backend", "y":"`
	p.send(hello(realmA.Name(), authid, "wampcra"))
	var fields map[string]any
	if err := json.Unmarshal([]byte(expect[*message.Challenge](p).Extra["challenge"].(string)), &fields); err != nil {
		t.Fatal(err)
	}
	if fields["authid"] != authid || fields["authrole"] != "device" || fields["y"] != nil {
		t.Errorf("challenge %v", fields)
	}
}

// F13
func TestWhatAClientSaysOfItselfIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	p := s.dial(t, message.JSON)
	h := hello(realmA.Name(), string(a1.Serial), "wampcra")
	for k, v := range map[string]any{
		"authrole": "backend", "authprovider": "me", "session": 1, "device_key": 12, "x_attribute": "vip",
		"transport": message.Dict{"auth": "all"}, "authextra": message.Dict{"role": "backend"},
	} {
		h.Details[k] = v
	}
	p.send(h)
	p.send(answer(expect[*message.Challenge](p), a1.Secrets[0]))
	w := expect[*message.Welcome](p)
	p.send(&message.Call{Request: p.id(), Procedure: "wamp.session.get", Payload: payload(t, message.JSON, []any{uint64(w.Session)})})
	got, _ := args(t, expect[*message.Result](p).Payload)[0].(message.Dict)
	for _, details := range []message.Dict{w.Details, got} {
		if details["authid"] != string(a1.Serial) || details["authrole"] != "device" || details["authprovider"] != "bulkhead" {
			t.Errorf("details %v", details)
		}
		for k := range details {
			if strings.HasPrefix(k, "x_") || k == "device_key" || k == "authextra" {
				t.Errorf("%s is the client's word", k)
			}
		}
	}
}
