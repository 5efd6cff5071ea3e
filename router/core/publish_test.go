package core

import (
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func TestASubscriberGetsWhatIsPublishedUntilItUnsubscribes(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	id := g.subscribe(ann, "a.b")
	g.publish(bob, "a.b")
	g.expect(ann, "EVENT a.b hello")
	g.publish(bob, "a.c")
	g.expect(ann)
	g.do(ann, &message.Unsubscribe{Request: 4, Subscription: id})
	g.expect(ann, "UNSUBSCRIBED 4 a.b")
	g.publish(bob, "a.b")
	g.expect(ann)
	g.expect(bob)
}

func TestSubscribingTwiceIsOneSubscription(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	if one, two := g.subscribe(ann, "a.b"), g.subscribe(ann, "a.b"); one != two {
		t.Errorf("subscriptions %d and %d, want the same", one, two)
	}
	g.publish(bob, "a.b")
	g.expect(ann, "EVENT a.b hello")
}

func TestPatternsGetWhatTheyMatchAndTheTopic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, topic string
		matches        bool
	}{
		{"prefix:com.myapp.topic.emergency", "com.myapp.topic.emergency.11", true},
		{"prefix:com.myapp.topic.emergency", "com.myapp.topic.emergency-low", true},
		{"prefix:com.myapp.topic.emergency", "com.myapp.topic.emergency", true},
		{"prefix:com.myapp.topic.emergency", "com.myapp.topic.emerge", false},
		{"prefix:a.", "a.b", true},
		{"prefix:a.", "a", false},
		{"prefix:", "anything.at.all", true},
		{"wildcard:com.myapp..userevent", "com.myapp.foo.userevent", true},
		{"wildcard:com.myapp..userevent", "com.myapp.foo.userevent.bar", false},
		{"wildcard:com.myapp..userevent", "com.myapp.foo.user", false},
		{"wildcard:com.myapp..userevent", "com.myapp2.foo.userevent", false},
		{"wildcard:.", "a.b", true},
		{"wildcard:.", "a", false},
		{"wildcard:", "a", true},
		{"wildcard:a.b", "a.b", true},
	} {
		g := newRig(t)
		ann, bob := g.join("ann"), g.join("bob")
		g.subscribe(ann, c.pattern)
		g.publish(bob, c.topic)
		if c.matches {
			g.expect(ann, "EVENT "+c.pattern+" hello topic="+c.topic)
		} else {
			g.expect(ann)
		}
	}
}

func TestAPatternThatComesLaterGetsWhatNoneMatchedBefore(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"prefix:a.", "prefix:", "wildcard:.b", "wildcard:a."} {
		g := newRig(t)
		ann, bob, cat := g.join("ann"), g.join("bob"), g.join("cat")
		event := "EVENT " + spec + " hello topic=a.b"
		for range 3 {
			g.publish(bob, "a.b")
			g.publish(cat, "a.b")
			g.expect(ann)
			id := g.subscribe(ann, spec)
			g.publish(bob, "a.b")
			g.publish(cat, "a.b")
			g.expect(ann, event, event)
			g.do(ann, &message.Unsubscribe{Request: 4, Subscription: id})
			g.take(ann)
		}
		g.publish(bob, "a.b")
		g.subscribe(ann, "a.b") // no pattern, and not to be missed either
		g.publish(bob, "a.b")
		g.expect(ann, "EVENT a.b hello")
	}
}

func TestATestamentFindsThePatternsThatCameAfterThePublicationsOfItsSession(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.publish(bob, "a.b")
	g.meta(bob, addProcedure, "a.b", []any{"goodbye"})
	g.subscribe(ann, "prefix:a.")
	g.realm.Leave(bob, g.now)
	g.expect(ann, "EVENT prefix:a. goodbye topic=a.b")
}

func TestRealmsDoNotShareWhatIsKnownOfATopic(t *testing.T) {
	t.Parallel()
	one, other := newRig(t), newRig(t)
	quiet, ann, bob := one.join("ann"), other.join("ann"), other.join("bob")
	one.subscribe(quiet, "prefix:b.")
	other.subscribe(ann, "prefix:a.") // both realms have had as many patterns
	one.publish(one.join("bob"), "a.b")
	other.publish(bob, "a.b")
	one.expect(quiet)
	other.expect(ann, "EVENT prefix:a. hello topic=a.b")
}

func TestEachMatchingSubscriptionGetsTheEvent(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	for _, p := range []string{"a.b", "prefix:a", "prefix:", "wildcard:.b", "wildcard:a.", "wildcard:."} {
		g.subscribe(ann, p)
	}
	g.publish(bob, "a.b")
	g.expect(
		ann, "EVENT a.b hello", "EVENT prefix: hello topic=a.b", "EVENT prefix:a hello topic=a.b",
		"EVENT wildcard:a. hello topic=a.b", "EVENT wildcard:.b hello topic=a.b", "EVENT wildcard:. hello topic=a.b",
	)
}

func TestAPublisherDoesNotGetItsOwnEventUnlessItWants(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob := g.join("ann"), g.join("bob")
	g.subscribe(ann, "a")
	g.subscribe(bob, "a")
	g.publish(ann, "a")
	g.expect(ann)
	g.expect(bob, "EVENT a hello")
	g.publish(ann, "a", func(o *message.PublishOptions) { o.KeepMe = true })
	g.expect(ann, "EVENT a hello")
	g.expect(bob, "EVENT a hello")
}

func TestEverybodyButThePublisherGetsTheEventWhoeverPublishes(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	var all []*Session
	for range 5 {
		s := g.join("ann")
		g.subscribe(s, "a")
		all = append(all, s)
	}
	for len(all) > 0 {
		for _, publisher := range all {
			g.publish(publisher, "a")
			for _, s := range all {
				if s == publisher {
					g.expect(s)
				} else {
					g.expect(s, "EVENT a hello")
				}
			}
		}
		g.realm.Leave(all[0], g.now)
		all = all[1:]
	}
	assertEmpty(t, g.realm)
}

func TestAnEventIsSharedByAllItsReceivers(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	for range 50 {
		g.subscribe(g.join("ann"), "a")
	}
	g.publish(g.join("bob"), "a")
	if g.fanouts != 1 {
		t.Errorf("%d fan-outs for one subscription, want 1", g.fanouts)
	}
}

func TestBlackAndWhiteLists(t *testing.T) {
	t.Parallel()
	many := make([]message.ID, 100)
	for i := range many {
		many[i] = message.ID(i + 5000)
	}
	type options = message.PublishOptions
	// The receivers are ann (1001, a service), bob (1002, a service) and cat (1003, a console).
	for name, c := range map[string]struct {
		o    options
		want string
	}{
		"none":                            {options{}, "ann bob cat"},
		"nobody is eligible":              {options{Eligible: []message.ID{}}, ""},
		"no authid is eligible":           {options{EligibleAuthID: []string{}}, ""},
		"no role is eligible":             {options{EligibleAuthRole: []string{}}, ""},
		"nobody is excluded":              {options{Exclude: []message.ID{}, ExcludeAuthID: []string{}, ExcludeAuthRole: []string{}}, "ann bob cat"},
		"eligible by session":             {options{Eligible: []message.ID{1001, 1003, 1099}}, "ann cat"},
		"eligible by authid":              {options{EligibleAuthID: []string{"bob"}}, "bob"},
		"eligible by role":                {options{EligibleAuthRole: []string{"console"}}, "cat"},
		"eligible by all":                 {options{Eligible: []message.ID{1001, 1002}, EligibleAuthID: []string{"bob", "cat"}}, "bob"},
		"excluded by session":             {options{Exclude: []message.ID{1001}}, "bob cat"},
		"excluded by authid":              {options{ExcludeAuthID: []string{"cat"}}, "ann bob"},
		"excluded by role":                {options{ExcludeAuthRole: []string{"service"}}, "cat"},
		"excluded although eligible":      {options{Eligible: []message.ID{1001, 1002, 1003}, Exclude: []message.ID{1003}}, "ann bob"},
		"eligible is in a long list":      {options{Eligible: append([]message.ID{1002}, many...)}, "bob"},
		"excluded by a long list":         {options{Exclude: append([]message.ID{1002}, many...)}, "ann cat"},
		"the same session listed twice":   {options{Eligible: []message.ID{1001, 1001}}, "ann"},
		"eligible who is not subscribed":  {options{Eligible: []message.ID{1004}}, ""},
		"the publisher itself, excluded":  {options{Eligible: []message.ID{1004}, KeepMe: true}, ""},
		"role and authid, which exclude":  {options{EligibleAuthRole: []string{"console"}, EligibleAuthID: []string{"ann"}}, ""},
		"role and authid, which coincide": {options{EligibleAuthRole: []string{"service"}, ExcludeAuthID: []string{"ann"}}, "bob"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t)
			receivers := []*Session{g.join("ann"), g.join("bob"), g.join("cat", as(realms.RoleConsole))}
			for _, s := range receivers {
				g.subscribe(s, "a")
			}
			g.publish(g.join("pub"), "a", func(o *options) { *o = c.o })
			var got words
			for _, s := range receivers {
				if g.take(s) != nil {
					got.add(g.names[s.ID()])
				}
			}
			if joined := joinWords(got); joined != c.want {
				t.Errorf("received by %q, want %q", joined, c.want)
			}
		})
	}
}

func TestPublishersAreDisclosed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		realm, asked bool
		want         string
	}{
		{false, false, "EVENT a hello"},
		{false, true, "EVENT a hello publisher=bob,bob,service"},
		{true, false, "EVENT a hello publisher=bob,bob,service"},
		{true, true, "EVENT a hello publisher=bob,bob,service"},
	} {
		g := newRig(t, func(o *Config) { o.Disclose = c.realm })
		ann, bob := g.join("ann"), g.join("bob")
		g.subscribe(ann, "a")
		g.publish(bob, "a", func(o *message.PublishOptions) { o.DiscloseMe = c.asked })
		g.expect(ann, c.want)
	}
}

func TestAPublicationIsAcknowledgedOnDemand(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	bob := g.join("bob")
	g.publish(bob, "a", acknowledged)
	g.expect(bob, "PUBLISHED 9")
	g.publish(bob, "a")
	g.expect(bob)
}

func acknowledged(o *message.PublishOptions) { o.Acknowledge = true }

func TestWhoeverTakesAPublicationAnswersIt(t *testing.T) {
	t.Parallel()
	var taken []string
	g := newRig(t, func(c *Config) {
		c.Accept = func(from *Session, p *message.Publish, publication message.ID) bool {
			taken = append(taken, from.Principal().AuthID+" "+p.Topic)
			return publication != 0 && p.Topic == "1.2.metrics"
		}
	})
	ann, bob := g.join("ann"), g.join("bob")
	g.subscribe(ann, "1.2.metrics")
	g.publish(bob, "1.2.metrics", acknowledged)
	g.expect(bob)
	g.expect(ann, "EVENT 1.2.metrics hello")
	g.publish(bob, "other", acknowledged)
	g.expect(bob, "PUBLISHED 9")
	if want := "bob 1.2.metrics bob other"; joinWords(taken) != want {
		t.Errorf("shown %q, want %q", taken, want)
	}
}

func TestWhatMayNotBePublishedGoesNowhere(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) {
		c.Authorize = func(_ *Session, a realms.Action, _ string, _ realms.Match) bool { return a != realms.Publish }
		c.Accept = func(*Session, *message.Publish, message.ID) bool { t.Error("accepted"); return false }
	})
	ann, bob := g.join("ann"), g.join("bob")
	g.subscribe(ann, "prefix:")
	g.publish(bob, "a", acknowledged)
	g.expect(bob, "ERROR PUBLISH 9 wamp.error.not_authorized")
	g.publish(bob, "a")
	g.expect(bob)
	g.expect(ann)
	if c := g.realm.Counts(); c.Unauthorized != 2 || c.Unrouted != 1 {
		t.Errorf("counted %+v", c)
	}
}

func TestARealmWithoutAuthorizeAllowsNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(c *Config) { c.Authorize = nil })
	ann := g.join("ann")
	g.publish(ann, "a", acknowledged)
	g.expect(ann, "ERROR PUBLISH 9 wamp.error.not_authorized")
	g.do(ann, &message.Subscribe{Request: 1, Topic: "a"})
	g.expect(ann, "ERROR SUBSCRIBE 1 wamp.error.not_authorized")
	g.do(ann, &message.Register{Request: 1, Procedure: "a"})
	g.expect(ann, "ERROR REGISTER 1 wamp.error.not_authorized")
	g.do(ann, &message.Call{Request: 1, Procedure: "a"})
	g.expect(ann, "ERROR CALL 1 wamp.error.not_authorized")
}

func TestPassthruIsCarriedAndMustBeAnnounced(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	ann, bob, old := g.join("ann"), g.join("bob"), g.join("old", announcing(ClientFeatures{}))
	g.subscribe(ann, "a")
	sealed := &message.Publish{
		Request: 1, Topic: "a", Payload: text("x"),
		Options: message.PublishOptions{Passthru: &message.Passthru{Scheme: "mqtt"}},
	}
	g.do(bob, sealed)
	g.expect(ann, "EVENT a x ppt=mqtt")
	g.violates(old, sealed)
	g.expect(ann)
}
