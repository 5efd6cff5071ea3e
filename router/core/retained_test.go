package core

import (
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func retain(o *message.PublishOptions) { o.Retain = true }

// getRetained subscribes and gives the events that come of it.
func (g *rig) getRetained(s *Session, spec string) []string {
	g.t.Helper()
	match, uri := splitSpec(spec)
	g.do(s, &message.Subscribe{
		Request: 7, Topic: uri, Options: message.SubscribeOptions{Match: match, GetRetained: true},
	})
	got := g.take(s)
	if len(got) == 0 || got[0] != "SUBSCRIBED 7 "+spec {
		g.t.Fatalf("%q, want SUBSCRIBED first", got)
	}
	return got[1:]
}

// say publishes a word.
func (g *rig) say(s *Session, topic, word string, change ...func(*message.PublishOptions)) {
	g.t.Helper()
	m := &message.Publish{Request: 9, Topic: topic, Payload: text(word), Options: message.PublishOptions{Acknowledge: true}}
	for _, f := range change {
		f(&m.Options)
	}
	g.do(s, m)
}

func TestTheLastRetainedEventComesWithTheSubscription(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Disclose = true })
	pub := g.join("pub")
	g.say(pub, "a.b", "one", retain)
	g.say(pub, "a.b", "two", retain)
	g.say(pub, "a.b", "three")
	g.say(pub, "a.c", "four", retain)
	g.say(pub, "b", "five", retain)
	g.realm.Leave(pub, g.now)
	ann := g.join("ann")
	for spec, want := range map[string]string{
		"a.b":         "EVENT a.b two publisher=pub,pub,service retained",
		"prefix:a.":   "EVENT prefix:a. two topic=a.b publisher=pub,pub,service retained EVENT prefix:a. four topic=a.c publisher=pub,pub,service retained",
		"wildcard:.c": "EVENT wildcard:.c four topic=a.c publisher=pub,pub,service retained",
		"c":           "",
	} {
		if got := joinWords(g.getRetained(ann, spec)); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
	g.do(ann, &message.Subscribe{Request: 1, Topic: "b"})
	g.expect(ann, "SUBSCRIBED 1 b") // nobody asked for what is retained
}

func TestRetainedEventsAreForThoseTheyWereFor(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	pub := g.join("pub")
	forAnn := func(o *message.PublishOptions) { o.Retain, o.EligibleAuthID = true, []string{"ann"} }
	forConsoles := func(o *message.PublishOptions) { o.Retain, o.EligibleAuthRole = true, []string{"console"} }
	g.say(pub, "a", "all", retain)
	g.say(pub, "a", "ann", forAnn)
	console := as(realms.RoleConsole)
	want := func(s *Session, want ...string) {
		t.Helper()
		if got := g.getRetained(s, "a"); joinWords(got) != joinWords(want) {
			t.Errorf("%s got %q, want %q", g.names[s.ID()], got, want)
		}
	}
	want(g.join("ann"), "EVENT a ann retained")
	want(g.join("bob"), "EVENT a all retained")
	g.say(pub, "a", "consoles", forConsoles) // one event for some is kept, and one for all
	want(g.join("cat", console), "EVENT a consoles retained")
	want(g.join("ann"), "EVENT a all retained")
	g.say(pub, "a", "everybody", retain)
	want(g.join("ann"), "EVENT a everybody retained")
	want(g.join("cat", console), "EVENT a everybody retained") // and not the older one for consoles
	g.take(pub)
	want(pub) // it would not have received it
	g.say(pub, "a", "myself", retain, func(o *message.PublishOptions) { o.KeepMe = true })
	g.take(pub)
	want(pub, "EVENT a myself retained")
	g.say(pub, "only", "nobody", retain, func(o *message.PublishOptions) { o.Eligible = []message.ID{} })
	if got := g.getRetained(g.join("dan"), "only"); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

func TestRetainedEventsHaveAQuota(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) {
		c.Quotas.AuthID.Retained = 2
		c.Quotas.Realm.Retained = 3
		c.Quotas.Realm.RetainedBytes = 3*(retainedOverhead+20) + 200
	})
	ann, bob := g.join("ann"), g.join("bob")
	ok, refused := "PUBLISHED 9", "ERROR PUBLISH 9 bulkhead.error.exhausted"
	step := func(s *Session, topic, word, want string) {
		t.Helper()
		g.say(s, topic, word, retain)
		g.expect(s, want)
	}
	step(ann, "a", "x", ok)
	step(ann, "b", "x", ok)
	step(ann, "c", "x", refused)
	step(ann, "a", "y", ok) // in place of one's own
	g.realm.Leave(ann, g.now)
	ann = g.join("ann/2")
	step(ann, "c", "x", refused) // leaving frees nothing
	step(bob, "c", "x", ok)
	step(bob, "d", "x", refused) // the realm's limit
	step(bob, "a", "z", ok)      // in place of another's: now it is bob's
	step(ann, "d", "x", refused) // three are three
	step(bob, "c", string(make([]byte, 1000)), refused)
	if got := g.getRetained(ann, "c"); joinWords(got) != "EVENT c x retained" {
		t.Errorf("the refused event took the place of the old one: %q", got)
	}
	if c := g.realm.Counts(); c.Retained != 3 || c.OverQuota != 5 {
		t.Errorf("counts %+v", c)
	}
}

func TestARetainedEventIsForgottenForOneWithoutArguments(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Quotas.AuthID.Retained = 2 })
	pub := g.join("pub")
	late := func() string {
		ann := g.join("ann")
		defer g.realm.Leave(ann, g.now)
		return joinWords(g.getRetained(ann, "a"))
	}
	forget := func(change ...func(*message.PublishOptions)) {
		m := &message.Publish{Request: 9, Topic: "a", Options: message.PublishOptions{Acknowledge: true, Retain: true}}
		for _, f := range change {
			f(&m.Options)
		}
		g.do(pub, m)
	}
	forSome := func(o *message.PublishOptions) { o.EligibleAuthID = []string{"ann"} }
	for range 3 { // what is forgotten is charged to nobody
		g.say(pub, "a", "all", retain)
		g.say(pub, "a", "some", retain, forSome)
		forget(forSome)
		if got := late(); got != "EVENT a all retained" {
			t.Errorf("without the one for some: %s", got)
		}
		g.say(pub, "a", "some", retain, forSome)
		forget()
		if got := late(); got != "" {
			t.Errorf("without any: %s", got)
		}
		if g.realm.Counts().Retained != 0 || len(g.realm.retained) != 0 {
			t.Errorf("%d are counted, %d kept", g.realm.Counts().Retained, len(g.realm.retained))
		}
		forget() // there is none
		g.take(pub)
	}
}

func TestAnEventForSessionsWithAnAttributeThatNobodyProvedReachesNobody(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	pub, ann := g.join("pub"), g.join("ann")
	g.do(ann, &message.Subscribe{Request: 1, Topic: "a"})
	g.take(ann)
	g.say(pub, "a", "secret", func(o *message.PublishOptions) { o.EligibleOther = true })
	g.expect(ann)
}
