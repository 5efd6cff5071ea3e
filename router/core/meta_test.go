package core

import (
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func TestSessionMetaAPI(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann", func(_ *realms.Principal, d *Details) { d.Transport = message.Dict{"type": "websocket"} })
	bob, con := g.join("bob"), g.join("con", as(realms.RoleConsole))
	for _, c := range []struct {
		procedure string
		args      []any
		want      string
	}{
		{"wamp.session.count", nil, "3"},
		{"wamp.session.count", []any{nil}, "3"},
		{"wamp.session.count", []any{[]any{"console"}}, "1"},
		{"wamp.session.count", []any{[]any{}}, "0"},
		{"wamp.session.count", []any{"console"}, "wamp.error.invalid_argument"},
		{"wamp.session.count", []any{[]any{1}}, "wamp.error.invalid_argument"},
		{"wamp.session.list", nil, "[ann bob con]"},
		{"wamp.session.list", []any{[]any{"service", "device"}}, "[ann bob]"},
		{"wamp.session.get", []any{ann.ID()}, "{authid=ann authmethod=wampcra authprovider=test authrole=service session=ann transport={type=websocket}}"},
		{"wamp.session.get", []any{con.ID()}, "{authid=con authmethod=wampcra authprovider=test authrole=console session=con}"},
		{"wamp.session.get", []any{4711}, "wamp.error.no_such_session"},
		{"wamp.session.get", []any{0}, "wamp.error.invalid_argument"},
		{"wamp.session.get", []any{-1}, "wamp.error.invalid_argument"},
		{"wamp.session.get", []any{"1"}, "wamp.error.invalid_argument"},
		{"wamp.session.get", nil, "wamp.error.invalid_argument"},
		{"wamp.session.modify_details", []any{ann.ID()}, "wamp.error.no_such_procedure"},
	} {
		if got := g.meta(bob, c.procedure, c.args...); got != c.want {
			t.Errorf("%s%v: %s, want %s", c.procedure, c.args, got, c.want)
		}
	}
}

func TestSubscriptionMetaAPI(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	exact, prefix, wildcard := g.subscribe(ann, "a.b"), g.subscribe(bob, "prefix:a"), g.subscribe(bob, "wildcard:.b")
	g.subscribe(bob, "a.b")
	for id := range g.realm.subscriptionByID {
		g.subscription(id) // learn the names
	}
	for _, c := range []struct {
		procedure string
		args      []any
		want      string
	}{
		{"list", nil, "{exact=[a.b] prefix=[prefix:a] wildcard=[wildcard:.b]}"},
		{"lookup", []any{"a.b"}, "a.b"},
		{"lookup", []any{"a"}, "null"},
		{"lookup", []any{"a", message.Dict{"match": "prefix"}}, "prefix:a"},
		{"lookup", []any{"a", message.Dict{"match": 1}}, "wamp.error.invalid_argument"},
		{"lookup", nil, "wamp.error.invalid_argument"},
		{"match", []any{"a.b"}, "[a.b prefix:a wildcard:.b]"},
		{"match", []any{"z"}, "null"},
		{"match", []any{7}, "wamp.error.invalid_argument"},
		{"get", []any{prefix}, "{created=2026-03-04T05:06:07.000Z id=prefix:a match=prefix uri=a}"},
		{"get", []any{exact}, "{created=2026-03-04T05:06:07.000Z id=a.b match=exact uri=a.b}"},
		{"get", []any{wildcard}, "{created=2026-03-04T05:06:07.000Z id=wildcard:.b match=wildcard uri=.b}"},
		{"get", []any{4711}, "wamp.error.no_such_subscription"},
		{"list_subscribers", []any{exact}, "[ann bob]"},
		{"list_subscribers", []any{4711}, "wamp.error.no_such_subscription"},
		{"count_subscribers", []any{exact}, "2"},
		{"count_subscribers", []any{4711}, "wamp.error.no_such_subscription"},
	} {
		if got := g.meta(ann, "wamp.subscription."+c.procedure, c.args...); got != c.want {
			t.Errorf("%s%v: %s, want %s", c.procedure, c.args, got, c.want)
		}
	}
}

func TestRegistrationMetaAPI(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	shared, prefix := g.register(ann, "a.b", invoke("last")), g.register(bob, "prefix:a")
	g.register(bob, "a.b", invoke("last"))
	g.register(bob, "wildcard:.b")
	for id := range g.realm.registrationByID {
		g.registration(id) // learn the names
	}
	for _, c := range []struct {
		procedure string
		args      []any
		want      string
	}{
		{"list", nil, "{exact=[a.b] prefix=[prefix:a] wildcard=[wildcard:.b]}"},
		{"lookup", []any{"a.b"}, "a.b"},
		{"lookup", []any{"a"}, "null"},
		{"lookup", []any{".b", message.Dict{"match": "wildcard"}}, "wildcard:.b"},
		{"match", []any{"a.b"}, "a.b"},
		{"match", []any{"a.c"}, "prefix:a"},
		{"match", []any{"z"}, "null"},
		{"get", []any{shared}, "{created=2026-03-04T05:06:07.000Z id=a.b invoke=last match=exact uri=a.b}"},
		{"get", []any{prefix}, "{created=2026-03-04T05:06:07.000Z id=prefix:a invoke=single match=prefix uri=a}"},
		{"get", []any{4711}, "wamp.error.no_such_registration"},
		{"list_callees", []any{shared}, "[ann bob]"},
		{"list_callees", []any{4711}, "wamp.error.no_such_registration"},
		{"count_callees", []any{shared}, "2"},
		{"count_callees", []any{4711}, "wamp.error.no_such_registration"},
	} {
		if got := g.meta(ann, "wamp.registration."+c.procedure, c.args...); got != c.want {
			t.Errorf("%s%v: %s, want %s", c.procedure, c.args, got, c.want)
		}
	}
}

// ruled is a realm under the rules of realms.May, with a device, a service, a console and a session of the server's.
func ruled(t *testing.T, change ...func(*Config)) (g *rig, device, service, console, backend *Session) {
	t.Helper()
	realm := realms.OfInstallation(11, 22, "prod")
	change = append(change, func(c *Config) {
		c.MayKnow = nil
		c.Authorize = func(s *Session, a realms.Action, uri string, m realms.Match) bool {
			return realms.May(realm, s.Principal(), a, uri, m)
		}
	})
	g = newRig(t, change...)
	member := func(name string, role realms.Role) *Session {
		return g.join(name, func(p *realms.Principal, _ *Details) { p.Role, p.Project, p.Device = role, 11, 33 })
	}
	return g, member("device", realms.RoleDevice), member("service", realms.RoleService),
		member("console", realms.RoleConsole), member("backend", realms.RoleBackend)
}

func TestEverybodySeesOnlyWhatTheyMayKnow(t *testing.T) {
	t.Parallel()
	g, device, service, console, backend := ruled(t)
	const denied = "wamp.error.not_authorized"
	for _, c := range []struct {
		who       *Session
		procedure string
		args      []any
		want      string
	}{
		{device, "wamp.session.get", []any{device.ID()}, "{authid=device authmethod=wampcra authprovider=test authrole=device session=device}"},
		{device, "wamp.session.get", []any{service.ID()}, "wamp.error.no_such_session"},
		{device, "wamp.session.get", []any{backend.ID()}, "wamp.error.no_such_session"},
		{device, "wamp.session.list", nil, denied},
		{device, "wamp.session.count", nil, denied},
		{device, "wamp.session.kill", []any{service.ID()}, denied},
		{device, "wamp.session.kill_all", nil, denied},
		{device, "wamp.subscription.list", nil, denied},
		{device, "wamp.subscription.get_events", []any{1}, denied},
		{device, "wamp.registration.list", nil, denied},
		{service, "wamp.session.list", nil, "[device service console]"},
		{service, "wamp.session.get", []any{backend.ID()}, "wamp.error.no_such_session"},
		{console, "wamp.session.count", nil, "3"},
		{backend, "wamp.session.list", nil, "[device service console backend]"},
	} {
		if got := g.meta(c.who, c.procedure, c.args...); got != c.want {
			t.Errorf("%s calls %s%v: %s, want %s", g.names[c.who.ID()], c.procedure, c.args, got, c.want)
		}
	}
}

func TestWhatMayNotBeSubscribedToIsNotShown(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) {
		c.Authorize = func(s *Session, a realms.Action, uri string, _ realms.Match) bool {
			return s.principal.AuthID != "eve" || uri != "secret"
		}
	})
	ann, eve := g.join("ann"), g.join("eve")
	sub, reg := g.subscribe(ann, "secret"), g.register(ann, "secret")
	for _, c := range []struct {
		procedure string
		arg       any
		want      string
	}{
		{"subscription.list", nil, "{exact=[] prefix=[] wildcard=[]}"},
		{"subscription.lookup", "secret", "null"},
		{"subscription.match", "secret", "null"},
		{"subscription.get", sub, "wamp.error.no_such_subscription"},
		{"subscription.list_subscribers", sub, "wamp.error.no_such_subscription"},
		{"subscription.count_subscribers", sub, "wamp.error.no_such_subscription"},
		{"registration.list", nil, "{exact=[] prefix=[] wildcard=[]}"},
		{"registration.lookup", "secret", "null"},
		{"registration.match", "secret", "null"},
		{"registration.get", reg, "wamp.error.no_such_registration"},
		{"registration.list_callees", reg, "wamp.error.no_such_registration"},
		{"registration.count_callees", reg, "wamp.error.no_such_registration"},
	} {
		if got := g.meta(eve, "wamp."+c.procedure, c.arg); got != c.want {
			t.Errorf("%s: %s, want %s", c.procedure, got, c.want)
		}
	}
}

func TestTheRoutersProceduresTakeNoPartsAndNoPassthru(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	g.call(ann, "wamp.session.count", func(o *message.CallOptions) { o.Progress = true })
	g.expect(ann, "ERROR CALL 1 wamp.error.feature_not_supported")
	g.call(ann, "wamp.session.count", func(o *message.CallOptions) { o.Passthru = &message.Passthru{Scheme: "mqtt"} })
	g.expect(ann, "ERROR CALL 2 wamp.error.feature_not_supported")
}
