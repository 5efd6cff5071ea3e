package conformance

import "time"

var metaAPI = []feature{
	{"Session meta API", []aspect{
		announced("broker", "session_meta_api"),
		announced("dealer", "session_meta_api"),
		{says: "on_join, on_leave", holds: func(c *check) {
			a := c.join()
			joins, leaves := a.subscribe("wamp.session.on_join", dict{}), a.subscribe("wamp.session.on_leave", dict{})
			b := c.join()
			described := dictAt(c, listAt(c, a.receive(joins), 4), 0)
			c.describes(described, b)
			b.leave()
			m := a.receive(leaves)
			c.same("the arguments", at(c, m, 4), list{b.session, b.welcome["authid"], b.welcome["authrole"]})
		}},
		{says: "count, list", holds: func(c *check) {
			a, b := c.two()
			c.same("the count", a.meta("wamp.session.count"), int64(2))
			c.same("the count of others", a.meta("wamp.session.count", list{"another"}), int64(0))
			c.same("the list", a.meta("wamp.session.list"), list{min(a.session, b.session), max(a.session, b.session)})
			c.same("the list of others", a.meta("wamp.session.list", list{"another"}), list{})
		}},
		{says: "get", holds: func(c *check) {
			a, b := c.two()
			c.describes(dictAt(c, list{a.meta("wamp.session.get", b.session)}, 0), b)
			a.call("wamp.session.get", dict{}, list{1})
			a.refused(call, "wamp.error.no_such_session")
		}},
		{says: "kill, with reason and message", holds: func(c *check) {
			a, b := c.two()
			request := a.call("wamp.session.kill", dict{}, list{b.session}, dict{"reason": "some.reason", "message": "text"})
			c.same("GOODBYE", b.expect(goodbye)[1:], list{dict{"message": "text"}, "some.reason"})
			a.reply(result, request)
			a.call("wamp.session.kill", dict{}, list{a.session})
			a.refused(call, "wamp.error.no_such_session")
			a.call("wamp.session.kill", dict{}, list{c.join().session}, dict{"reason": "no reason"})
			a.refused(call, "wamp.error.invalid_uri")
		}},
		{says: "kill_by_authid, kill_by_authrole, kill_all", holds: func(c *check) {
			a := c.join()
			b := c.join()
			c.same("the killed", a.meta("wamp.session.kill_by_authid", b.welcome["authid"]), list{b.session})
			c.same("the reason", at(c, b.expect(goodbye), 2), "wamp.close.killed")
			b = c.join()
			c.same("the number of killed", a.meta("wamp.session.kill_by_authrole", b.welcome["authrole"]), int64(1))
			b.expect(goodbye)
			b = c.join()
			c.same("the number of killed", a.meta("wamp.session.kill_all"), int64(1))
			b.expect(goodbye)
			c.same("the count", a.meta("wamp.session.count"), int64(1))
		}},
		{says: "a tenant's device is told of itself only", holds: func(c *check) {
			d, s := c.joinTenant(device), c.joinTenant(service)
			c.describes(dictAt(c, list{d.meta("wamp.session.get", d.session)}, 0), d)
			d.call("wamp.session.get", dict{}, list{s.session})
			d.refused(call, "wamp.error.no_such_session")
			d.call("wamp.session.list", dict{})
			d.refused(call, "wamp.error.not_authorized")
		}},
	}},
	{"Session testaments", []aspect{
		announced("dealer", "testament_meta_api"),
		{says: "published when the session ends, detached before destroyed, in order", holds: func(c *check) {
			a, b := c.two()
			sub := a.subscribe("some.topic", dict{})
			for _, t := range []struct{ scope, text string }{{"destroyed", "3"}, {"detached", "1"}, {"detached", "2"}, {"destroyed", "4"}} {
				b.testament("some.topic", list{t.text}, dict{"scope": t.scope})
			}
			b.vanish()
			for _, want := range []string{"1", "2", "3", "4"} {
				c.same("the testament", listAt(c, a.receive(sub), 4)[0], want)
			}
		}},
		{says: "with publish options", holds: func(c *check) {
			a, b := c.two()
			sub := a.subscribe("some.topic", dict{})
			b.testament("some.topic", list{"not for a"}, dict{"publish_options": dict{"exclude": list{a.session}}})
			b.testament("some.topic", list{"for a"}, dict{"publish_options": dict{"disclose_me": true}})
			b.leave()
			m := a.receive(sub)
			c.same("the testament", listAt(c, m, 4)[0], "for a")
			c.same("the publisher", dictAt(c, m, 3)["publisher"], b.session)
		}},
		{says: "flushed by scope", holds: func(c *check) {
			a, b := c.two()
			sub := a.subscribe("some.topic", dict{})
			b.testament("some.topic", list{"destroyed"}, dict{})
			b.testament("some.topic", list{"detached"}, dict{"scope": "detached"})
			b.reply(result, b.call("wamp.session.flush_testaments", dict{}))
			b.vanish()
			c.same("the testament", listAt(c, a.receive(sub), 4)[0], "detached")
		}},
		{says: "only what the session itself may publish", holds: func(c *check) {
			d := c.joinTenant(device)
			d.call("wamp.session.add_testament", dict{}, list{"sys.agent.x", list{}, dict{}})
			d.refused(call, "wamp.error.not_authorized")
		}},
	}},
	{"Subscription meta API", []aspect{
		announced("broker", "subscription_meta_api"),
		{says: "on_create, on_subscribe, on_unsubscribe, on_delete", holds: func(c *check) {
			a, b := c.two()
			a.subscribe("wamp.subscription", dict{"match": "prefix"})
			sub := b.subscribe("some.topic", dict{})
			m := a.told("wamp.subscription.on_create")
			c.same("the session", m[0], b.session)
			c.describesPattern(dictAt(c, m, 1), sub, "some.topic", "exact")
			c.same("the arguments", a.told("wamp.subscription.on_subscribe"), list{b.session, sub})
			b.ask(unsubscribe, sub)
			c.same("the arguments", a.told("wamp.subscription.on_unsubscribe"), list{b.session, sub})
			c.same("the arguments", a.told("wamp.subscription.on_delete"), list{b.session, sub})
		}},
		{says: "list, lookup, match, get", holds: func(c *check) {
			p := c.join()
			exact, prefix := p.subscribe("some.topic", dict{}), p.subscribe("some", dict{"match": "prefix"})
			c.same("the list", p.meta("wamp.subscription.list"), dict{"exact": list{exact}, "prefix": list{prefix}, "wildcard": list{}})
			c.same("the subscription", p.meta("wamp.subscription.lookup", "some.topic"), exact)
			c.same("the subscription", p.meta("wamp.subscription.lookup", "some", dict{"match": "prefix"}), prefix)
			c.same("the subscription", p.meta("wamp.subscription.lookup", "some"), nil)
			matching := p.meta("wamp.subscription.match", "some.topic")
			c.same("the number of matches", len(matching.(list)), 2)
			c.same("the matches", p.meta("wamp.subscription.match", "another.topic"), nil)
			c.describesPattern(dictAt(c, list{p.meta("wamp.subscription.get", prefix)}, 0), prefix, "some", "prefix")
		}},
		{says: "list_subscribers, count_subscribers", holds: func(c *check) {
			a, b := c.two()
			sub := a.subscribe("some.topic", dict{})
			b.subscribe("some.topic", dict{})
			c.same("the subscribers", a.meta("wamp.subscription.list_subscribers", sub),
				list{min(a.session, b.session), max(a.session, b.session)})
			c.same("the count", a.meta("wamp.subscription.count_subscribers", sub), int64(2))
		}},
		{says: "no_such_subscription", holds: refusesUnknown("wamp.error.no_such_subscription",
			"wamp.subscription.get", "wamp.subscription.list_subscribers", "wamp.subscription.count_subscribers")},
	}},
	{"Registration meta API", []aspect{
		announced("dealer", "registration_meta_api"),
		{says: "on_create, on_register, on_unregister, on_delete", holds: func(c *check) {
			a, b := c.two()
			a.subscribe("wamp.registration", dict{"match": "prefix"})
			reg := b.register("some.procedure", dict{"invoke": "first"})
			m := a.told("wamp.registration.on_create")
			c.same("the session", m[0], b.session)
			created := dictAt(c, m, 1)
			c.describesPattern(created, reg, "some.procedure", "exact")
			c.same("the policy", created["invoke"], "first")
			c.same("the arguments", a.told("wamp.registration.on_register"), list{b.session, reg})
			b.ask(unregister, reg)
			c.same("the arguments", a.told("wamp.registration.on_unregister"), list{b.session, reg})
			c.same("the arguments", a.told("wamp.registration.on_delete"), list{b.session, reg})
		}},
		{says: "list, lookup, match, get", holds: func(c *check) {
			p := c.join()
			exact, wildcard := p.register("some.procedure", dict{}), p.register("some..x", dict{"match": "wildcard"})
			c.same("the list", p.meta("wamp.registration.list"), dict{"exact": list{exact}, "prefix": list{}, "wildcard": list{wildcard}})
			c.same("the registration", p.meta("wamp.registration.lookup", "some..x", dict{"match": "wildcard"}), wildcard)
			c.same("the registration", p.meta("wamp.registration.lookup", "some"), nil)
			c.same("the match", p.meta("wamp.registration.match", "some.where.x"), wildcard)
			c.same("the match", p.meta("wamp.registration.match", "another.procedure"), nil)
			c.describesPattern(dictAt(c, list{p.meta("wamp.registration.get", exact)}, 0), exact, "some.procedure", "exact")
		}},
		{says: "list_callees, count_callees", holds: func(c *check) {
			callees, reg, caller := c.shared("roundrobin")
			c.same("the callees", caller.meta("wamp.registration.list_callees", reg),
				list{callees[0].session, callees[1].session, callees[2].session})
			c.same("the count", caller.meta("wamp.registration.count_callees", reg), int64(3))
		}},
		{says: "no_such_registration", holds: refusesUnknown("wamp.error.no_such_registration",
			"wamp.registration.get", "wamp.registration.list_callees", "wamp.registration.count_callees")},
	}},
}

func refusesUnknown(uri string, procedures ...string) func(*check) {
	return func(c *check) {
		p := c.join()
		for _, procedure := range procedures {
			p.call(procedure, dict{}, list{1})
			p.refused(call, uri)
		}
	}
}

// describes wants what the meta API tells of a session.
func (c *check) describes(d dict, p *peer) {
	c.same("the session", d["session"], p.session)
	for _, key := range []string{"authid", "authrole", "authmethod", "authprovider"} {
		c.same(key, d[key], p.welcome[key])
	}
}

func (c *check) describesPattern(d dict, id int64, uri, match string) {
	created, _ := d["created"].(string)
	_, err := time.Parse(time.RFC3339, created)
	c.no(err)
	c.same("id, uri and match", list{d["id"], d["uri"], d["match"]}, list{id, uri, match})
}

// told expects a meta event and gives its arguments.
func (p *peer) told(topic string) list {
	m := p.expect(event)
	p.c.same("the topic", dictAt(p.c, m, 3)["topic"], topic)
	return listAt(p.c, m, 4)
}

func (p *peer) testament(topic string, args list, options dict) {
	p.reply(result, p.call("wamp.session.add_testament", dict{}, list{topic, args, dict{}}, options))
}
