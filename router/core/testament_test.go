package core

import (
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

const addProcedure, flushProcedure = "wamp.session.add_testament", "wamp.session.flush_testaments"

func TestTestamentsArePublishedWhenTheSessionLeaves(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Disclose = true })
	ann, bob := g.join("ann"), g.join("bob")
	g.subscribe(ann, "gone")
	for _, step := range []struct {
		kwargs message.Dict
		args   []any
	}{
		{nil, []any{"gone", []any{"last"}, message.Dict{"k": 1}}},
		{message.Dict{"scope": "destroyed"}, []any{"gone", []any{"words"}}},
		{message.Dict{"scope": "detached"}, []any{"gone", []any{"first"}, nil}},
		{message.Dict{"publish_options": message.Dict{"eligible_authid": []any{}}}, []any{"gone", []any{"to nobody"}}},
	} {
		if got := g.metaKw(bob, addProcedure, step.kwargs, step.args...); got != "" {
			t.Errorf("%v %v: %s", step.kwargs, step.args, got)
		}
	}
	g.realm.Leave(bob, g.now)
	who := " publisher=bob,bob,service"
	g.expect(ann, "EVENT gone first"+who, "EVENT gone last k=1"+who, "EVENT gone words"+who)
	g.realm.Leave(bob, g.now)
	g.expect(ann)
	if c := g.realm.Counts(); c.Testaments != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestTestamentsAreFlushedByScope(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string][]string{
		"":          {"EVENT gone detached"},
		"destroyed": {"EVENT gone detached"},
		"detached":  {"EVENT gone destroyed"},
	} {
		g := newRig(t)
		ann, bob := g.join("ann"), g.join("bob")
		g.subscribe(ann, "gone")
		for _, s := range scopeNames {
			g.metaKw(bob, addProcedure, message.Dict{"scope": s}, "gone", []any{s})
		}
		var kwargs message.Dict
		if scope != "" {
			kwargs = message.Dict{"scope": scope}
		}
		if got := g.metaKw(bob, flushProcedure, kwargs); got != "" {
			t.Errorf("flush: %s", got)
		}
		g.realm.Leave(bob, g.now)
		g.expect(ann, want...)
	}
}

func TestTestamentsThatAreRefused(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) {
		c.Authorize = func(_ *Session, _ realms.Action, uri string, _ realms.Match) bool { return uri != "secret" }
	})
	ann, old := g.join("ann"), g.join("old", announcing(ClientFeatures{}))
	const invalid = "wamp.error.invalid_argument"
	for _, c := range []struct {
		kwargs message.Dict
		args   []any
		want   string
	}{
		{nil, nil, invalid},
		{nil, []any{1}, invalid},
		{nil, []any{"a", "no list"}, invalid},
		{nil, []any{"a", []any{}, []any{}}, invalid},
		{message.Dict{"scope": "later"}, []any{"a"}, invalid},
		{message.Dict{"scope": 1}, []any{"a"}, invalid},
		{message.Dict{"publish_options": 1}, []any{"a"}, invalid},
		{message.Dict{"publish_options": message.Dict{"exclude": "all"}}, []any{"a"}, invalid},
		{message.Dict{"publish_options": message.Dict{"eligible": []any{"x"}}}, []any{"a"}, invalid},
		{message.Dict{"publish_options": message.Dict{"exclude_me": 1}}, []any{"a"}, invalid},
		{message.Dict{"publish_options": message.Dict{"ppt_scheme": 1}}, []any{"a"}, invalid},
		{nil, []any{"wamp.session.on_leave"}, "wamp.error.invalid_uri"},
		{nil, []any{"not a uri"}, "wamp.error.invalid_uri"},
		{nil, []any{"secret"}, "wamp.error.not_authorized"},
	} {
		if got := g.metaKw(ann, addProcedure, c.kwargs, c.args...); got != c.want {
			t.Errorf("%v %v: %s, want %s", c.kwargs, c.args, got, c.want)
		}
	}
	options := message.Dict{"publish_options": message.Dict{"ppt_scheme": "mqtt"}}
	if got := g.metaKw(old, addProcedure, options, "a"); got != invalid {
		t.Errorf("passthru that was not announced: %s", got)
	}
	if n := g.realm.Counts().Testaments; n != 0 {
		t.Errorf("%d testaments are kept", n)
	}
}

// A device may call none of the router's procedures but wamp.session.get; its testaments are its own affair.
func TestADeviceMaySetItsTestament(t *testing.T) {
	t.Parallel()
	realm := realms.OfInstallation(11, 22, "prod")
	g := newRig(t, func(c *Config) {
		c.Authorize = func(s *Session, a realms.Action, uri string, m realms.Match) bool {
			return realms.May(realm, s.Principal(), a, uri, m)
		}
	})
	device := g.join("device", func(p *realms.Principal, _ *Details) { p.Role, p.Project, p.Device = realms.RoleDevice, 11, 33 })
	for topic, want := range map[string]string{
		"11.22.metrics": "", "12.22.metrics": "wamp.error.not_authorized", "transformed.metrics": "wamp.error.not_authorized",
	} {
		if got := g.meta(device, addProcedure, topic, []any{"x"}); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	if got := g.meta(device, flushProcedure); got != "" {
		t.Errorf("flush: %s", got)
	}
}
