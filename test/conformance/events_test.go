package conformance

import (
	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/wamp"
)

var advancedEvents = []feature{
	{"Pattern-based subscription", []aspect{
		announced("broker", "pattern_based_subscription"),
		{says: "prefix, and the topic is told", holds: subscribesBy("prefix", "some.pre", "some.prefix.x", "some.other")},
		{says: "wildcard, and the topic is told", holds: subscribesBy("wildcard", "some..x", "some.where.x", "some.where.x.y")},
		{says: "an event comes once for each subscription that matches, with one publication id", holds: func(c *check) {
			a, b := c.two()
			for _, s := range [][2]string{{"exact", "some.topic.x"}, {"prefix", "some"}, {"wildcard", "some..x"}} {
				a.subscribe(s[1], dict{"match": s[0]})
			}
			publication := b.publish("some.topic.x", dict{})
			subscriptions := map[any]bool{}
			for range 3 {
				m := a.expect(event)
				c.same("the publication", at(c, m, 2), publication)
				subscriptions[at(c, m, 1)] = true
			}
			c.same("the number of subscriptions", len(subscriptions), 3)
			a.nothing()
		}},
		{says: "an unknown way to match is refused", holds: func(c *check) {
			p := c.join()
			p.ask(subscribe, dict{"match": "regex"}, "some.topic")
			p.aborted(violation)
		}},
	}},
	{"Publisher exclusion", []aspect{
		announced("broker", "publisher_exclusion"),
		{says: "exclude_me false brings the event to the publisher", holds: func(c *check) {
			p := c.join()
			sub := p.subscribe("some.topic", dict{})
			p.ask(publish, dict{"exclude_me": false}, "some.topic")
			p.receive(sub)
		}},
		{says: "exclude_me true does not", holds: func(c *check) {
			p := c.join()
			p.subscribe("some.topic", dict{})
			p.ask(publish, dict{"exclude_me": true}, "some.topic")
			p.nothing()
		}},
	}},
	{"Subscriber black- and whitelisting", []aspect{
		announced("broker", "subscriber_blackwhite_listing"),
		{says: "exclude and eligible by session", holds: listsBy("", func(p *peer) any { return p.session })},
		{says: "by authid", holds: listsBy("_authid", func(p *peer) any { return p.welcome["authid"] })},
		{says: "by authrole", holds: func(c *check) {
			a, b := c.two()
			sub := a.subscribe("some.topic", dict{})
			role := a.welcome["authrole"]
			b.publish("some.topic", dict{"exclude_authrole": list{role}})
			b.publish("some.topic", dict{"eligible_authrole": list{"another"}})
			seen := b.publish("some.topic", dict{"eligible_authrole": list{role}, "exclude_authrole": list{"another"}})
			c.same("the publication", at(c, a.receive(sub), 2), seen)
		}},
		{says: "all lists hold together", holds: func(c *check) {
			a, b := c.two()
			a.subscribe("some.topic", dict{})
			b.publish("some.topic", dict{"eligible": list{a.session}, "exclude_authid": list{a.welcome["authid"]}})
			a.nothing()
		}},
		{says: "an empty list of the eligible admits nobody", holds: func(c *check) {
			a, b := c.two()
			a.subscribe("some.topic", dict{})
			b.publish("some.topic", dict{"eligible": list{}})
			a.nothing()
		}},
		{says: "a list of the eligible by any other attribute admits nobody, since nobody has proved one", holds: func(c *check) {
			a, b := c.two()
			a.subscribe("some.topic", dict{})
			b.publish("some.topic", dict{"eligible_xauthteam": list{"a"}})
			a.nothing()
		}},
	}},
	{"Publisher identification", []aspect{
		announced("broker", "publisher_identification"),
		{says: "a publisher that asks is disclosed", holds: func(c *check) {
			a, b := c.two()
			sub := a.subscribe("some.topic", dict{})
			b.publish("some.topic", dict{"disclose_me": true})
			c.same("the details", at(c, a.receive(sub), 3), dict{
				"publisher": b.session, "publisher_authid": b.welcome["authid"], "publisher_authrole": b.welcome["authrole"],
			})
		}},
		{says: "a realm may refuse it", holds: func(c *check) {
			c.open(discreet)
			p := c.join()
			p.ask(publish, dict{"acknowledge": true, "disclose_me": true}, "some.topic")
			p.refused(publish, "wamp.error.option_disallowed.disclose_me")
		}},
		{says: "a tenant's realm always does it", holds: func(c *check) {
			a, b := c.joinTenant(service), c.joinTenant(device)
			topic := c.unique("news")
			sub := a.subscribe(topic, dict{})
			b.publish(topic, dict{})
			c.same("the publisher", dictAt(c, a.receive(sub), 3)["publisher_authid"], string(c.world.device.Serial))
		}},
	}},
	{"Event history", []aspect{
		announced("broker", "event_history"),
		{says: "what was published, whether or not somebody was subscribed", holds: func(c *check) {
			p, ids := c.past()
			c.same("the publications", c.history(p, dict{}), ids)
		}},
		{says: "limit and reverse", holds: func(c *check) {
			p, ids := c.past()
			c.same("the publications", c.history(p, dict{"limit": 2, "reverse": true}), list{ids[4], ids[3]})
		}},
		{says: "from, after, before, until a publication", holds: func(c *check) {
			p, ids := c.past()
			c.same("from", c.history(p, dict{"from_publication": ids[3]}), ids[3:])
			c.same("after", c.history(p, dict{"after_publication": ids[3]}), ids[4:])
			c.same("before", c.history(p, dict{"before_publication": ids[1]}), ids[:1])
			c.same("until", c.history(p, dict{"until_publication": ids[1]}), ids[:2])
		}},
		{says: "from, after, before, until a time", holds: func(c *check) {
			p, ids := c.past()
			const past, future = "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
			c.same("between", c.history(p, dict{"from_time": past, "until_time": future}), ids)
			c.same("after", c.history(p, dict{"after_time": future}), list{})
			c.same("before", c.history(p, dict{"before_time": past}), list{})
		}},
		{says: "one topic of a pattern", holds: func(c *check) {
			p, ids := c.past()
			c.same("the publications", c.history(p, dict{"topic": "kept.topic0"}), list{ids[0], ids[2], ids[4]})
		}},
		{says: "only the newest are kept", holds: func(c *check) {
			p, ids := c.past()
			for range kept {
				ids = append(ids, p.publish("kept.topic0", dict{}))
			}
			c.same("the publications", c.history(p, dict{}), ids[len(ids)-kept:])
		}},
		{says: "events for others are not told, those for certain sessions not kept", holds: func(c *check) {
			p, ids := c.past()
			p.publish("kept.topic0", dict{"eligible_authrole": list{"another"}})
			p.publish("kept.topic0", dict{"eligible": list{p.session}})
			c.same("the publications", c.history(p, dict{}), ids)
		}},
	}},
	{"Event retention", []aspect{
		announced("broker", "event_retention"),
		{says: "who asks gets the last retained event, marked", holds: func(c *check) {
			a, b := c.two()
			b.publish("some.topic", dict{"retain": true}, list{"old"})
			b.publish("some.topic", dict{"retain": true}, list{"new"})
			b.publish("some.topic", dict{}, list{"newer, but not retained"})
			sub := a.subscribe("some.topic", dict{"get_retained": true})
			m := a.receive(sub)
			c.same("the details", at(c, m, 3), dict{"retained": true})
			c.same("the event", at(c, listAt(c, m, 4), 0), "new")
			a.nothing()
		}},
		{says: "who does not ask gets none", holds: func(c *check) {
			a, b := c.two()
			b.publish("some.topic", dict{"retain": true}, list{"old"})
			a.subscribe("some.topic", dict{})
			a.nothing()
		}},
		{says: "nor does one whom it was not for", holds: func(c *check) {
			a, b := c.two()
			b.publish("some.topic", dict{"retain": true}, list{"for all"})
			b.publish("some.topic", dict{"retain": true, "exclude_authid": list{a.welcome["authid"]}}, list{"for others"})
			sub := a.subscribe("some.topic", dict{"get_retained": true})
			c.same("the event", at(c, listAt(c, a.receive(sub), 4), 0), "for all")
		}},
		{says: "one without arguments takes the place of the last and is not kept, so that a topic can be cleared", holds: func(c *check) {
			a, b := c.two()
			b.publish("some.topic", dict{"retain": true}, list{"old"})
			b.publish("some.topic", dict{"retain": true})
			a.subscribe("some.topic", dict{"get_retained": true})
			a.nothing()
		}},
	}},
	{"Subscription revocation", []aspect{
		announced("broker", "subscription_revocation"),
		{says: "a subscriber is told that it lost its subscription", holds: func(c *check) {
			a := c.joinTenant(service)
			a.subscribe(c.unique("news"), dict{})
			c.fail("nothing here takes a subscription alone from a session")
		}, lacks: "the core does it when a session loses a right, but so far a session that loses any right is ended"},
	}},
	{"Publication trust levels", []aspect{
		lacking("broker", "publication_trustlevels", "who publishes is disclosed instead, as the router has proved it"),
	}},
	{"Sharded subscription", []aspect{
		lacking("broker", "sharded_subscriptions", "not written out in the specification"),
	}},
	{"Topic reflection", []aspect{reflects("topic")}},
}

func subscribesBy(match, pattern, topic, another string) func(*check) {
	return func(c *check) {
		a, b := c.two()
		sub := a.subscribe(pattern, dict{"match": match})
		b.publish(another, dict{})
		b.publish(topic, dict{}, list{"x"})
		c.same("the event", a.receive(sub)[3:], list{dict{"topic": topic}, list{"x"}})
	}
}

// listsBy restricts publications to one of two subscribers.
func listsBy(suffix string, key func(*peer) any) func(*check) {
	return func(c *check) {
		in, out := c.two()
		publisher := c.join()
		sub := in.subscribe("some.topic", dict{})
		out.subscribe("some.topic", dict{})
		for _, options := range []dict{{"exclude" + suffix: list{key(out)}}, {"eligible" + suffix: list{key(in)}}} {
			publisher.publish("some.topic", options)
			in.receive(sub)
			out.nothing()
		}
	}
}

// kept is how many events the checks' realms keep.
const kept = 8

func keeping(r *nexus.RealmConfig) {
	r.TopicEventHistoryConfigs = []*nexus.TopicEventHistoryConfig{{Topic: "kept", MatchPolicy: wamp.MatchPrefix, Limit: kept}}
}

// past publishes five events to two topics that are kept, and gives their ids.
func (c *check) past() (p *peer, ids list) {
	c.open(keeping)
	p = c.join()
	for i := range 5 {
		ids = append(ids, p.publish([]string{"kept.topic0", "kept.topic1"}[i%2], dict{}, list{i}))
	}
	return p, ids
}

// history asks for the publications that are kept.
func (c *check) history(p *peer, query dict) list {
	sub := p.subscribe("kept", dict{"match": "prefix"})
	m := p.reply(result, p.call("wamp.subscription.get_events", dict{}, list{sub}, query))
	ids := list{}
	for _, e := range listAt(c, listAt(c, m, 3), 0) {
		e := dictAt(c, list{e}, 0)
		c.same("the subscription", e["subscription"], sub)
		c.must(e["timestamp"] != nil && e["details"] != nil, "%v lacks something", e)
		ids = append(ids, e["publication"])
	}
	return ids
}
