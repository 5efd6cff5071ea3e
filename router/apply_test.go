package router_test

import (
	"testing"
	"time"

	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/router/message"
	"bulkhead/wire"
)

func TestAChangeOfTheDirectoryEndsTheSessionsThatItTakesAwayAndNoOthers(t *testing.T) {
	t.Parallel()
	service := func(s *stage, t *testing.T) *peer {
		p := s.dial(t, message.JSON)
		p.join(realmA.Name(), "service:ingest", serviceSecret)
		return p
	}
	device := func(s *stage, t *testing.T) *peer { return s.device(t, message.JSON, a1) }
	onDevice := func(s *stage, t *testing.T) *peer {
		id := realms.AppIdentity{App: app, Stage: wire.Dev, Epoch: 1, Serial: a1.Serial}
		p := s.dial(t, message.JSON)
		p.join(realmA.Name(), id.AuthID(), id.Secret(appKey))
		return p
	}
	put := func(change func(*realms.Device)) func(*realms.Editor) {
		return func(e *realms.Editor) {
			d := a1
			change(&d)
			e.PutDevice(d)
		}
	}
	epochs := func(apps ...realms.AppCredential) func(*realms.Editor) {
		return func(e *realms.Editor) { e.PutRealm(realms.Entry{Realm: realmA, Apps: apps}) }
	}
	const killed = "wamp.close.killed"
	for _, c := range []struct {
		name   string
		joined func(*stage, *testing.T) *peer
		edit   func(*realms.Editor)
		want   string // "" where it stays
	}{
		{"a device that is removed", device, func(e *realms.Editor) { e.DeleteDevice(a1.Serial) }, killed},
		{"a device that is suspended", device, put(func(d *realms.Device) { d.Suspended = true }), killed},
		{"a device with another secret", device, put(func(d *realms.Device) { d.Secrets = []secret.Value{secret.Random()} }), killed},
		{"a device without a secret", device, put(func(d *realms.Device) { d.Secrets = nil }), killed},
		{"a device that moved to another project", device, put(func(d *realms.Device) { d.Project = projectB }), killed},
		{"a device during a rotation", device, put(func(d *realms.Device) {
			d.Secrets = []secret.Value{secret.Random(), d.Secrets[0]}
		}), ""},
		{"a device with another name", device, put(func(d *realms.Device) { d.Name = "other" }), ""},
		{"a device beside one that is removed", device, func(e *realms.Editor) { e.DeleteDevice(a2.Serial) }, ""},
		{"an app on a device that is removed", onDevice, func(e *realms.Editor) { e.DeleteDevice(a1.Serial) }, killed},
		{"an app with a new key", onDevice, epochs(realms.AppCredential{Epoch: 2, Key: secret.Random()}), killed},
		{"an app during a rotation", onDevice, epochs(realms.AppCredential{Epoch: 2, Key: secret.Random()},
			realms.AppCredential{Epoch: 1, Key: appKey, Until: time.Now().Add(time.Minute)}), ""},
		{"a service that is removed", service, func(e *realms.Editor) { e.DeleteService(realmA, "ingest") }, killed},
		{"a service with another secret", service, func(e *realms.Editor) { e.PutService(realmA, "ingest", secret.Random()) }, killed},
		{"a device whose realm is removed", device, func(e *realms.Editor) { e.DeleteRealm(realmA) }, "wamp.close.close_realm"},
		{"a device beside a realm that is removed", device, func(e *realms.Editor) { e.DeleteRealm(realmB) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, router.Config{})
			p := c.joined(s, t)
			within(t, "Apply", func() { s.Apply(tenants().Edit(c.edit)) })
			if c.want == "" {
				p.subscribe("still.here")
				return
			}
			within(t, "the end", func() {
				if got := expect[*message.Goodbye](p); got.Reason != c.want {
					t.Errorf("got %s, want %s", got.Reason, c.want)
				}
				p.ended()
			})
		})
	}
}

func TestARealmAppearsAndDisappearsAtRunTime(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	late := realms.OfInstallation(projectA, 500, wire.Prod)
	join := func() string {
		p := s.dial(t, message.JSON)
		reason, _ := attempt(p, hello(late.Name(), string(a1.Serial), "wampcra"), signedBy(a1.Secrets[0]))
		return reason
	}
	if got := join(); got != "wamp.error.no_such_realm" {
		t.Errorf("before: %q", got)
	}
	s.Apply(tenants().Edit(func(e *realms.Editor) { e.PutRealm(realms.Entry{Realm: late}) }))
	if got := join(); got != "" {
		t.Errorf("there: %q", got)
	}
	s.Apply(tenants())
	if got := join(); got != "wamp.error.no_such_realm" {
		t.Errorf("after: %q", got)
	}
}

func TestACredentialThatIsWithdrawnDuringTheJoinDoesNotLetIn(t *testing.T) {
	t.Parallel()
	s := newStage(t, router.Config{})
	p := s.dial(t, message.JSON)
	p.send(hello(realmA.Name(), string(a1.Serial), "wampcra"))
	c := expect[*message.Challenge](p)
	s.Apply(tenants().Edit(func(e *realms.Editor) { e.DeleteDevice(a1.Serial) }))
	p.send(answer(c, a1.Secrets[0]))
	if got := expect[*message.Abort](p); got.Reason != "wamp.error.authentication_failed" {
		t.Errorf("got %s", got.Reason)
	}
}
