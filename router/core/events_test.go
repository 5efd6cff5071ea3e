package core

import (
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func TestSessionEvents(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	g.subscribe(ann, "wamp.session.on_join")
	g.subscribe(ann, "prefix:wamp.session.")
	bob := g.join("bob")
	about := "{authid=bob authmethod=wampcra authprovider=test authrole=service session=bob}"
	g.expect(
		ann, "EVENT wamp.session.on_join "+about, "EVENT prefix:wamp.session. "+about+" topic=wamp.session.on_join",
	)
	g.realm.Leave(bob, g.now)
	g.expect(ann, "EVENT prefix:wamp.session. bob bob service topic=wamp.session.on_leave")
}

func TestSubscriptionEvents(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob, cat := g.join("ann"), g.join("bob"), g.join("cat")
	g.subscribe(ann, "prefix:wamp.subscription.")
	g.expect(ann) // not of what it does itself
	id := g.subscribe(bob, "a")
	g.subscribe(bob, "a")
	g.subscribe(cat, "a")
	g.do(bob, &message.Unsubscribe{Request: 1, Subscription: id})
	g.realm.Leave(cat, g.now)
	on := func(what, args string) string {
		return "EVENT prefix:wamp.subscription. " + args + " topic=wamp.subscription.on_" + what
	}
	g.expect(
		ann, on("create", "bob {created=2026-03-04T05:06:07.000Z id=a match=exact uri=a}"), on("subscribe", "bob a"),
		on("subscribe", "cat a"), on("unsubscribe", "bob a"), on("unsubscribe", "cat a"), on("delete", "cat a"),
	)
}

func TestRegistrationEvents(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob, cat := g.join("ann"), g.join("bob"), g.join("cat")
	g.subscribe(ann, "prefix:wamp.registration.")
	id := g.register(bob, "a", invoke("first"))
	g.register(cat, "a", invoke("first"))
	g.do(bob, &message.Unregister{Request: 1, Registration: id})
	g.realm.Leave(cat, g.now)
	on := func(what, args string) string {
		return "EVENT prefix:wamp.registration. " + args + " topic=wamp.registration.on_" + what
	}
	g.expect(
		ann, on("create", "bob {created=2026-03-04T05:06:07.000Z id=a invoke=first match=exact uri=a}"),
		on("register", "bob a"), on("register", "cat a"), on("unregister", "bob a"), on("unregister", "cat a"),
		on("delete", "cat a"),
	)
}

func TestMetaEventsTellNobodyWhatTheyMayNotKnow(t *testing.T) {
	t.Parallel()
	g, _, service, console, backend := ruled(t)
	for _, s := range []*Session{service, console, backend} {
		g.subscribe(s, "prefix:wamp.")
		g.take(service) // of the others' subscribing
		g.take(console)
		g.take(backend)
	}
	other := g.join("backend/2", func(p *realms.Principal, _ *Details) { p.Role, p.Project = realms.RoleBackend, 11 })
	g.subscribe(other, "sys.x")
	g.register(other, "sys.y")
	g.realm.Leave(other, g.now)
	g.expect(service)
	g.expect(console)
	if n := len(g.take(backend)); n != 10 {
		t.Errorf("the server's own session got %d events, want 10", n)
	}
	eve := g.join("service/2", func(p *realms.Principal, _ *Details) { p.Role, p.Project = realms.RoleService, 11 })
	if n := len(g.take(service)); n != 1 {
		t.Errorf("the service got %d events of another's joining, want 1", n)
	}
	g.realm.Leave(eve, g.now)
}

func TestALeavingSessionIsToldNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann := g.join("ann")
	g.subscribe(ann, "prefix:")
	g.register(ann, "a")
	g.metaKw(ann, "wamp.session.add_testament", nil, "bye", []any{"x"})
	g.call(ann, "a")
	g.take(ann)
	g.realm.Leave(ann, g.now)
	g.expect(ann)
	g.do(ann, &message.Publish{Request: 1, Topic: "a", Options: message.PublishOptions{Acknowledge: true}})
	g.expect(ann) // what was under way when it left is dropped
}
