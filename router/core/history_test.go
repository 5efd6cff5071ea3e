package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bulkhead/realms"
	"bulkhead/router/message"
)

func keeping(rules ...HistoryRule) func(*Config) {
	return func(c *Config) { c.History = append(c.History, rules...) }
}

// past asks for a history and gives the first word of each event.
func (g *rig) past(s *Session, sub message.ID, kwargs message.Dict) string {
	g.t.Helper()
	answer := g.metaKw(s, "wamp.subscription.get_events", kwargs, sub)
	var heard words
	for _, part := range strings.Split(answer, "args=[")[1:] {
		heard.add(part[:strings.IndexByte(part, ']')])
	}
	if len(heard) == 0 {
		return answer
	}
	return heard.String()
}

func TestHistoryOutlivesTheLastSubscriber(t *testing.T) {
	t.Parallel()
	g := newRig(t, keeping(HistoryRule{Topic: "log", Events: 3}))
	ann, pub := g.join("ann"), g.join("pub")
	sub := g.subscribe(ann, "log")
	g.say(pub, "log", "one")
	g.do(ann, &message.Unsubscribe{Request: 1, Subscription: sub})
	g.say(pub, "log", "two")
	g.realm.Leave(ann, g.now)
	g.realm.Leave(pub, g.now)
	bob := g.join("bob")
	if again := g.subscribe(bob, "log"); again != sub {
		t.Errorf("subscription %d became %d", sub, again)
	}
	if got := g.past(bob, sub, nil); got != "one two" {
		t.Errorf("history %s", got)
	}
	for _, word := range []string{"three", "four"} {
		g.say(bob, "log", word)
	}
	if got := g.past(bob, sub, nil); got != "two three four" {
		t.Errorf("history %s, want the newest 3", got)
	}
	g.take(bob)
	if got := g.meta(bob, "wamp.subscription.get_events", g.subscribe(bob, "other")); got != "[]" {
		t.Errorf("history of a subscription that keeps none: %s", got)
	}
	if got := g.meta(bob, "wamp.subscription.get_events", 4711); got != "wamp.error.no_such_subscription" {
		t.Errorf("history of nothing: %s", got)
	}
}

func TestHistoryIsBoundInBytes(t *testing.T) {
	t.Parallel()
	g := newRig(t, keeping(HistoryRule{Match: realms.Prefix, Topic: "", Events: 100, Bytes: 100}))
	ann := g.join("ann")
	sub := g.realm.subscriptions.get(pattern{realms.Prefix, ""})
	for i := range 50 {
		g.say(ann, "t", fmt.Sprintf("%030d", i))
		if sub.history.bytes > 100 {
			t.Fatalf("%d bytes are kept", sub.history.bytes)
		}
	}
	g.say(ann, "t", strings.Repeat("x", 200)) // would push out all others and not fit
	if n := len(sub.history.events); n < 2 {
		t.Errorf("%d events are left", n)
	}
}

func TestHistoryIsForThoseWhoMaySubscribe(t *testing.T) {
	t.Parallel()
	g := newRig(t, keeping(HistoryRule{Match: realms.Prefix, Topic: "a", Events: 10}), func(c *Config) {
		c.Authorize = func(s *Session, a realms.Action, uri string, _ realms.Match) bool {
			return a != realms.Subscribe || s.principal.AuthID != "eve"
		}
	})
	pub, ann, eve := g.join("pub"), g.join("ann"), g.join("eve")
	sub := g.realm.subscriptions.get(pattern{realms.Prefix, "a"}).id
	g.say(pub, "a.1", "all")
	g.say(pub, "a.2", "ann", func(o *message.PublishOptions) { o.EligibleAuthID = []string{"ann"} })
	g.say(pub, "a.3", "session", func(o *message.PublishOptions) { o.Eligible = []message.ID{ann.ID(), pub.ID()} })
	g.say(pub, "a.4", "excluded", func(o *message.PublishOptions) { o.Exclude = []message.ID{eve.ID()} })
	g.say(pub, "a.5", "services", func(o *message.PublishOptions) { o.ExcludeAuthRole = []string{"console"} })
	g.take(pub)
	for s, want := range map[*Session]string{
		ann: "all ann services", pub: "all services", eve: "wamp.error.no_such_subscription",
		g.join("con", as(realms.RoleConsole)): "all",
	} {
		if got := g.past(s, sub, nil); got != want {
			t.Errorf("%s sees %s, want %s", g.names[s.ID()], got, want)
		}
	}
}

func TestHistoryIsQueried(t *testing.T) {
	t.Parallel()
	g := newRig(t, keeping(HistoryRule{Match: realms.Prefix, Topic: "a.", Events: 10}))
	ann := g.join("ann")
	g.subscribe(g.join("spy"), "prefix:a.")
	sub := g.realm.subscriptions.get(pattern{realms.Prefix, "a."})
	at := map[string]string{}
	for i, word := range []string{"p", "q", "r", "s"} {
		g.now = epoch.Add(time.Duration(i) * time.Minute)
		at[word] = g.now.Format(time.RFC3339)
		g.say(ann, "a."+string(rune('x'+i%2)), word)
	}
	g.take(ann)
	id := func(i int) message.ID { return sub.history.events[i].event.Publication }
	for _, c := range []struct {
		query message.Dict
		want  string
	}{
		{nil, "p q r s"},
		{message.Dict{"reverse": true}, "s r q p"},
		{message.Dict{"limit": 2}, "p q"},
		{message.Dict{"limit": 2, "reverse": true}, "s r"},
		{message.Dict{"topic": "a.x"}, "p r"},
		{message.Dict{"from_time": at["q"]}, "q r s"},
		{message.Dict{"after_time": at["q"]}, "r s"},
		{message.Dict{"before_time": at["q"]}, "p"},
		{message.Dict{"until_time": at["q"]}, "p q"},
		{message.Dict{"from_publication": id(1)}, "q r s"},
		{message.Dict{"after_publication": id(1)}, "r s"},
		{message.Dict{"before_publication": id(1)}, "p"},
		{message.Dict{"until_publication": id(1)}, "p q"},
		{message.Dict{"after_publication": id(0), "before_publication": id(3)}, "q r"},
		{message.Dict{"from_publication": id(3), "until_publication": id(0)}, "[]"},
		{message.Dict{"after_publication": 12345}, "[]"},
		{message.Dict{"after_time": at["p"], "topic": "a.x"}, "r"},
		{message.Dict{"limit": 0}, "wamp.error.invalid_argument"},
		{message.Dict{"limit": "2"}, "wamp.error.invalid_argument"},
		{message.Dict{"from_time": "yesterday"}, "wamp.error.invalid_argument"},
		{message.Dict{"reverse": 1}, "wamp.error.invalid_argument"},
	} {
		if got := g.past(ann, sub.id, c.query); got != c.want {
			t.Errorf("%v: %s, want %s", c.query, got, c.want)
		}
	}
	want := "[{args=[p] details={topic=a.x} publication=" + fmtID(id(0)) +
		" subscription=prefix:a. timestamp=2026-03-04T05:06:07.000Z}]"
	if got := g.metaKw(ann, "wamp.subscription.get_events", message.Dict{"limit": 1}, sub.id); got != want {
		t.Errorf("an event is described as\n%s, want\n%s", got, want)
	}
}
