package core

import (
	"strings"
	"testing"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

const overQuota = "bulkhead.error.exhausted"

// TestQuotas takes two of each resource where two are allowed, is refused a third, gives one back and gets it again.
func TestQuotas(t *testing.T) {
	t.Parallel()
	type use struct {
		limit func(*Limits)
		take  func(g *rig, s *Session, name string) string // gives the error, or ""
		free  func(g *rig, s *Session, name string)
	}
	answer := func(g *rig, s *Session, m message.Message) string {
		g.do(s, m)
		if got := joinWords(g.take(s)); strings.Contains(got, "ERROR") {
			return got[strings.LastIndexByte(got, ' ')+1:]
		}
		return ""
	}
	for name, u := range map[string]use{
		"subscriptions": {
			func(l *Limits) { l.Subscriptions = 2 },
			func(g *rig, s *Session, name string) string {
				return answer(g, s, &message.Subscribe{Request: 1, Topic: name})
			},
			func(g *rig, s *Session, name string) {
				sub := g.realm.subscriptions.get(pattern{realms.Exact, name})
				g.do(s, &message.Unsubscribe{Request: 1, Subscription: sub.id})
			},
		},
		"registrations": {
			func(l *Limits) { l.Registrations = 2 },
			func(g *rig, s *Session, name string) string {
				return answer(g, s, &message.Register{Request: 1, Procedure: name})
			},
			func(g *rig, s *Session, name string) {
				r := g.realm.registrations.get(pattern{realms.Exact, name})
				g.do(s, &message.Unregister{Request: 1, Registration: r.id})
			},
		},
		"calls": {
			func(l *Limits) { l.Calls = 2 },
			func(g *rig, s *Session, name string) string {
				return answer(g, s, &message.Call{Request: message.ID(name[0]), Procedure: "callee"})
			},
			func(g *rig, s *Session, name string) {
				g.do(s, &message.Cancel{Request: message.ID(name[0])})
				g.take(s)
			},
		},
		"testaments": {
			func(l *Limits) { l.Testaments = 2 },
			func(g *rig, s *Session, name string) string { return g.meta(s, addProcedure, name) },
			func(g *rig, s *Session, _ string) { g.meta(s, flushProcedure) },
		},
		"bytes of testaments": {
			func(l *Limits) { l.TestamentBytes = 2 * len(`["a",["xxxxxxxxxxxxxxxxxxxx"]]`) },
			func(g *rig, s *Session, name string) string {
				return g.meta(s, addProcedure, name, []any{"xxxxxxxxxxxxxxxxxxxx"})
			},
			func(g *rig, s *Session, _ string) { g.meta(s, flushProcedure) },
		},
	} {
		for level, limit := range map[string]func(*Quotas) *Limits{
			"session": func(q *Quotas) *Limits { return &q.Session },
			"authid":  func(q *Quotas) *Limits { return &q.AuthID },
			"realm":   func(q *Quotas) *Limits { return &q.Realm },
		} {
			t.Run(name+" of a "+level, func(t *testing.T) {
				t.Parallel()
				g := newRig(t, func(c *Config) { u.limit(limit(&c.Quotas)) })
				g.register(g.join("callee", as(realms.RoleBackend)), "prefix:calle")
				if name == "registrations" && level == "realm" {
					g.realm.Leave(g.lastSession(), g.now)
				}
				ann, twin, bob := g.join("ann"), g.join("ann/2"), g.join("bob")
				check := func(s *Session, what, want string) {
					t.Helper()
					if got := u.take(g, s, what); got != want {
						t.Errorf("%s takes %s: %q, want %q", g.names[s.ID()], what, got, want)
					}
				}
				check(ann, "a", "")
				check(ann, "b", "")
				check(ann, "c", overQuota)
				if g.realm.Counts().OverQuota != 1 {
					t.Error("the refusal was not counted")
				}
				for s, shares := range map[*Session]bool{twin: level != "session", bob: level == "realm"} {
					if shares {
						check(s, "d", overQuota)
					} else {
						check(s, "d"+g.names[s.ID()], "")
					}
				}
				u.free(g, ann, "a")
				check(ann, "e", "")
			})
		}
	}
}

func (g *rig) lastSession() *Session {
	s, _ := g.realm.Session(g.lastID)
	return s
}

func TestTheNumberOfSessionsIsLimited(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Quotas.AuthID.Sessions, c.Quotas.Realm.Sessions = 2, 3 })
	ann := g.join("ann")
	g.join("ann/2")
	refused := func(name string) {
		t.Helper()
		s, err := g.tryJoin(name)
		if errs.KindOf(err) != wire.Exhausted {
			t.Errorf("%s joins: %v, want a limit", name, err)
		}
		g.realm.Leave(s, g.now)
	}
	refused("ann/3")
	g.join("bob")
	refused("cat")
	if n := len(g.realm.ledger.parties); n != 2 {
		t.Errorf("%d parties, want ann and bob", n)
	}
	g.realm.Leave(ann, g.now)
	g.join("cat")
	refused("ann/3")
}

func TestURIsHaveALength(t *testing.T) {
	t.Parallel()
	for limit, n := range map[int]int{0: 1024, 10: 10} {
		g := newRig(t, func(c *Config) { c.Quotas.URILength = limit })
		ann := g.join("ann")
		g.publish(ann, strings.Repeat("a", n), acknowledged)
		g.expect(ann, "PUBLISHED 9")
		long := strings.Repeat("a", n+1)
		g.publish(ann, long, acknowledged)
		g.expect(ann, "ERROR PUBLISH 9 "+overQuota)
		g.do(ann, &message.Subscribe{Request: 1, Topic: long})
		g.expect(ann, "ERROR SUBSCRIBE 1 "+overQuota)
		g.do(ann, &message.Register{Request: 1, Procedure: long})
		g.expect(ann, "ERROR REGISTER 1 "+overQuota)
		id := g.call(ann, long)
		g.expect(ann, "ERROR CALL "+fmtID(id)+" "+overQuota)
	}
}

func TestAWildcardPatternHasNoMoreComponentsThanTheRouterWantsToLookAt(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	most := "a" + strings.Repeat(".", maxComponents-1)
	g.subscribe(ann, "wildcard:"+most)
	g.register(ann, "wildcard:"+most)
	g.do(ann, &message.Subscribe{Request: 8, Topic: most + ".", Options: message.SubscribeOptions{Match: "wildcard"}})
	g.do(ann, &message.Register{Request: 9, Procedure: most + ".", Options: message.RegisterOptions{Match: "wildcard"}})
	g.expect(ann, "ERROR SUBSCRIBE 8 "+overQuota, "ERROR REGISTER 9 "+overQuota)
	long := "a" + strings.Repeat(".a", 2*maxComponents) // what is no wildcard is no chain of components
	g.subscribe(ann, long)
	g.subscribe(ann, "prefix:"+long)
}
