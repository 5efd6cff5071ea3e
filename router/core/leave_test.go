package core

import (
	"strings"
	"testing"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

func TestKillingSessions(t *testing.T) {
	t.Parallel()
	polite := message.Dict{"reason": "com.myapp.bye", "message": "so long"}
	const killed, said = "GOODBYE wamp.close.killed <nil>", "GOODBYE com.myapp.bye so long"
	for name, c := range map[string]struct {
		procedure string
		args      []any
		kwargs    message.Dict
		answer    string
		victims   string
		goodbye   string
	}{
		"one":                {"kill", []any{1002}, nil, "", "bob", killed},
		"with a reason":      {"kill", []any{1002}, polite, "", "bob", said},
		"oneself":            {"kill", []any{1001}, nil, "wamp.error.no_such_session", "", ""},
		"nobody":             {"kill", []any{4711}, nil, "wamp.error.no_such_session", "", ""},
		"the server's own":   {"kill", []any{1005}, nil, "wamp.error.no_such_session", "", ""},
		"no id":              {"kill", []any{"bob"}, nil, "wamp.error.invalid_argument", "", ""},
		"a bad reason":       {"kill", []any{1002}, message.Dict{"reason": "no uri"}, "wamp.error.invalid_uri", "", ""},
		"an empty reason":    {"kill_all", nil, message.Dict{"reason": ""}, "wamp.error.invalid_uri", "", ""},
		"a reason, no text":  {"kill_all", nil, message.Dict{"reason": 1}, "wamp.error.invalid_argument", "", ""},
		"by authid":          {"kill_by_authid", []any{"bob"}, polite, "[bob bob/2]", "bob bob/2", said},
		"by own authid":      {"kill_by_authid", []any{"ann"}, nil, "[]", "", ""},
		"by unknown authid":  {"kill_by_authid", []any{"zoe"}, nil, "[]", "", ""},
		"by server's authid": {"kill_by_authid", []any{"root"}, nil, "[]", "", ""},
		"by authrole":        {"kill_by_authrole", []any{"console"}, nil, "1", "con", killed},
		"by own authrole":    {"kill_by_authrole", []any{"service"}, nil, "2", "bob bob/2", killed},
		"by server's role":   {"kill_by_authrole", []any{"backend"}, nil, "0", "", ""},
		"all":                {"kill_all", nil, polite, "3", "bob bob/2 con", said},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			ann := g.join("ann")
			others := []*Session{
				g.join("bob"), g.join("bob/2"), g.join("con", as(realms.RoleConsole)), g.join("root", as(realms.RoleBackend)),
			}
			if got := g.metaKw(ann, "wamp.session."+c.procedure, c.kwargs, c.args...); got != c.answer {
				t.Errorf("answer %s, want %s", got, c.answer)
			}
			var victims words
			for _, s := range others {
				_, there := g.realm.Session(s.ID())
				if there == g.closed[s] {
					t.Errorf("%s: in the realm %v, closed %v", g.names[s.ID()], there, g.closed[s])
				}
				if !there {
					victims.add(g.names[s.ID()])
					g.expect(s, c.goodbye)
				}
			}
			if victims.String() != c.victims {
				t.Errorf("killed %q, want %q", victims, c.victims)
			}
		})
	}
}

func TestNobodyKillsWhomTheyMayNotKnow(t *testing.T) {
	t.Parallel()
	g, device, service, _, backend := ruled(t)
	if got := g.meta(service, "wamp.session.kill", backend.ID()); got != "wamp.error.no_such_session" {
		t.Errorf("kill the server's own session: %s", got)
	}
	if got := g.meta(service, "wamp.session.kill", device.ID()); got != "" {
		t.Errorf("kill a device's session: %s", got)
	}
	g.expect(device, "GOODBYE wamp.close.killed <nil>")
}

func TestTheRouterKillsAnybody(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	root := g.join("root", as(realms.RoleBackend))
	if !g.realm.Kill(root.ID(), "wamp.close.system_shutdown", "", g.now) {
		t.Error("nobody was killed")
	}
	g.expect(root, "GOODBYE wamp.close.system_shutdown <nil>")
	if g.realm.Kill(root.ID(), "wamp.close.system_shutdown", "", g.now) {
		t.Error("killed twice")
	}
	g.expect(root)
}

func TestAKilledSessionsWillIsDone(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.subscribe(ann, "gone")
	g.register(bob, "a")
	g.meta(bob, "wamp.session.add_testament", "gone", []any{"bob"})
	g.call(ann, "a")
	g.take(bob)
	g.meta(ann, "wamp.session.kill", bob.ID())
	g.expect(ann, "ERROR CALL 2 wamp.error.canceled", "EVENT gone bob")
	g.expect(bob, "GOODBYE wamp.close.killed <nil>")
}

func TestTheRouterSessionsSeeTheOthersLeaveWithTheRealm(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	root := g.join("root", as(realms.RoleBackend))
	ann, bob := g.join("ann"), g.join("bob")
	for _, s := range []*Session{root, ann, bob} {
		g.subscribe(s, "prefix:wamp.session.")
		g.subscribe(s, "gone")
	}
	g.meta(ann, "wamp.session.add_testament", "gone", []any{"ann"})
	g.register(bob, "a")
	g.call(ann, "a")
	g.take(bob)
	if n := g.realm.KillAll("wamp.close.close_realm", "removed", g.now); n != 3 {
		t.Errorf("%d sessions were killed, want 3", n)
	}
	g.expect(
		root, "EVENT gone ann", "EVENT prefix:wamp.session. ann ann service topic=wamp.session.on_leave",
		"EVENT prefix:wamp.session. bob bob service topic=wamp.session.on_leave", "GOODBYE wamp.close.close_realm removed",
	)
	for _, s := range []*Session{ann, bob} {
		g.expect(s, "GOODBYE wamp.close.close_realm removed")
	}
	assertEmpty(t, g.realm)
}

func TestASessionJoinsOnce(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	twin := NewSession(ann.ID(), ann.Principal(), Details{})
	for _, s := range []*Session{ann, twin} {
		if err := g.realm.Join(s, g.now); errs.KindOf(err) != wire.Conflict {
			t.Errorf("joined again: %v", err)
		}
	}
	g.realm.Leave(twin, g.now) // is not ann
	if _, ok := g.realm.Session(ann.ID()); !ok {
		t.Error("ann has left")
	}
	g.realm.Leave(ann, g.now)
	if err := g.realm.Join(ann, g.now); errs.KindOf(err) != wire.Conflict {
		t.Errorf("joined after it has left: %v", err)
	}
	assertEmpty(t, g.realm)
}

// assertEmpty fails where anything is kept although every session has left.
func assertEmpty(t failer, r *Realm) {
	t.Helper()
	var left words
	for name, n := range map[string]int{
		"sessions": len(r.sessions), "parties": len(r.ledger.parties), "subscriptions": len(r.subscriptionByID),
		"retained": len(r.retained), "registrations": len(r.registrationByID), "deadlines": len(r.deadlines.heap),
		"matched": len(r.matched), "receivers": len(r.receivers),
	} {
		if n != 0 {
			left.add(name, n)
		}
	}
	for _, s := range r.receivers[:cap(r.receivers)] {
		if s != nil {
			left.add("a receiver in scratch memory")
		}
	}
	for _, s := range r.matched[:cap(r.matched)] {
		if s != nil {
			left.add("a subscription in scratch memory")
		}
	}
	if !r.subscriptions.empty() || !r.registrations.empty() {
		left.add("an index")
	}
	if r.ledger.used != (usage{}) {
		left.add("usage", r.ledger.used)
	}
	if len(left) > 0 {
		t.Errorf("kept: %s", strings.Join(left, " "))
	}
}

// assertEmptied fails where a session that has left holds anything.
func assertEmptied(t failer, s *Session) {
	t.Helper()
	if len(s.subscriptions)+len(s.registrations)+len(s.calls)+len(s.invocations)+len(s.ended)+len(s.allowed) > 0 ||
		s.used != (usage{}) || len(s.testaments[0])+len(s.testaments[1]) > 0 {
		t.Errorf("a session that has left holds %+v", s)
	}
}

// failer is a test of either kind.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
}
