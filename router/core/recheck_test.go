package core

import (
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func TestARevokeEndsWhatIsOpen(t *testing.T) {
	t.Parallel()
	denied := map[string]bool{}
	g := newRig(t, func(c *Config) {
		c.Authorize = func(s *Session, _ realms.Action, uri string, _ realms.Match) bool {
			return s.principal.AuthID != "ann" || !denied[uri]
		}
	})
	ann, bob := g.join("ann"), g.join("bob")
	g.subscribe(ann, "topic")
	g.subscribe(ann, "other")
	g.subscribe(bob, "gone")
	g.register(ann, "offered")
	g.register(bob, "wanted")
	g.publish(ann, "published", acknowledged)
	g.call(ann, "wanted")  // 1
	g.call(bob, "offered") // 2
	g.meta(ann, addProcedure, "gone", []any{"x"})
	g.take(ann)
	g.take(bob)

	g.realm.Recheck(ann, g.now)
	g.expect(ann)
	g.publish(ann, "published")
	for _, uri := range []string{"topic", "offered", "wanted", "published", "gone"} {
		denied[uri] = true
	}
	g.publish(ann, "published", acknowledged) // what was allowed counts until the recheck
	g.expect(ann, "PUBLISHED 9")
	g.realm.Recheck(ann, g.now)
	g.expect(
		ann, "UNSUBSCRIBED 0 topic no longer allowed", "UNREGISTERED 0 offered no longer allowed",
		"INTERRUPT 1 killnowait wamp.error.canceled", "ERROR CALL 1 wamp.error.not_authorized",
	)
	g.expect(bob, "ERROR CALL 2 wamp.error.canceled", "INTERRUPT 1 killnowait wamp.error.not_authorized")
	g.publish(ann, "published", acknowledged)
	g.expect(ann, "ERROR PUBLISH 9 wamp.error.not_authorized")
	g.publish(bob, "topic")
	g.publish(bob, "other")
	g.expect(ann, "EVENT other hello")
	g.call(bob, "offered")
	g.expect(bob, "ERROR CALL 4 wamp.error.no_such_procedure")
	g.do(bob, &message.Yield{Request: 1}) // too late
	g.do(ann, &message.Yield{Request: 1}) // too late
	g.expect(ann)
	g.realm.Leave(ann, g.now)
	g.expect(bob) // the testament may be published no more
	if c := g.realm.Counts(); c.Unrouted != 1 {
		t.Errorf("counts %+v, want the testament counted", c)
	}
	g.realm.Recheck(ann, g.now) // of one that has left
}

func TestWhoDoesNotUnderstandRevocationIsNotToldOfIt(t *testing.T) {
	t.Parallel()
	allowed := true
	g := newRig(t, func(c *Config) {
		c.Authorize = func(*Session, realms.Action, string, realms.Match) bool { return allowed }
	})
	old := g.join("old", announcing(ClientFeatures{}))
	g.subscribe(old, "a")
	g.register(old, "a")
	allowed = false
	g.realm.Recheck(old, g.now)
	g.expect(old)
	g.realm.Leave(old, g.now)
	assertEmpty(t, g.realm)
	assertEmptied(t, old)
}
