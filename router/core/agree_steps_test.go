package core

import (
	"fmt"

	"pgregory.net/rapid"

	"bulkhead/realms"
	"bulkhead/router/message"
)

var (
	uris        = rapid.SampledFrom([]string{"a", "a.b", "a.b.c", "a.c", "b", "b.c", "ab", "a.b", "a", "wamp.x", "", "a..b"})
	patternURIs = rapid.SampledFrom([]string{"", "a", "a.", "a.b", ".", ".b", "a..c", "..", "ab", "b.", "wamp.", "wamp.session.on_leave"})
	matches     = rapid.SampledFrom([]string{"", "exact", "prefix", "wildcard"})
)

func drawPattern(rt *rapid.T) (option string, p pattern) {
	option = matches.Draw(rt, "match")
	p.match = matchOf(option)
	if p.match == realms.Exact {
		p.uri = uris.Draw(rt, "uri")
	} else {
		p.uri = patternURIs.Draw(rt, "pattern")
	}
	return option, p
}

func (h *lives) subscribe(rt *rapid.T) {
	m, id := h.member(rt), message.ID(0)
	id = m.request()
	option, p := drawPattern(rt)
	get := rapid.Bool().Draw(rt, "get_retained")
	msg := &message.Subscribe{Request: id, Topic: p.uri, Options: message.SubscribeOptions{Match: option, GetRetained: get}}
	h.handle(m, msg, func() bool { h.n.subscribe(m.naive, id, p, get); return false })
}

func (h *lives) unsubscribe(rt *rapid.T) {
	m := h.member(rt)
	_, p := drawPattern(rt)
	if len(h.n.subs) > 0 && rapid.Bool().Draw(rt, "existing") {
		p = rapid.SampledFrom(h.n.subs).Draw(rt, "subscription").p
	}
	msg := &message.Unsubscribe{Request: m.request(), Subscription: message.MaxID}
	if sub := h.g.realm.subscriptions.get(p); sub != nil {
		msg.Subscription = sub.id
	}
	h.handle(m, msg, func() bool { h.n.unsubscribe(m.naive, msg.Request, p); return false })
}

func (h *lives) publish(rt *rapid.T) {
	m := h.member(rt)
	names := rapid.SliceOfN(rapid.SampledFrom([]string{"ann", "bob", "cat"}), 0, 2)
	roles := rapid.SliceOfN(rapid.SampledFrom([]string{"service", "console"}), 0, 1)
	ids := rapid.SliceOfN(rapid.Map(rapid.Uint64Range(1001, 1008), func(n uint64) message.ID { return message.ID(n) }), 0, 4)
	o := message.PublishOptions{
		Acknowledge: rapid.Bool().Draw(rt, "acknowledge"), KeepMe: rapid.Bool().Draw(rt, "keep me"),
		DiscloseMe: rapid.Bool().Draw(rt, "disclose me"), Retain: rapid.Bool().Draw(rt, "retain"),
	}
	switch rapid.IntRange(0, 9).Draw(rt, "lists") { // most publications have none
	case 0:
		o.Exclude, o.EligibleAuthID = ids.Draw(rt, "exclude"), names.Draw(rt, "eligible_authid")
	case 1:
		o.Eligible = ids.Draw(rt, "eligible")
	case 2:
		o.ExcludeAuthID = names.Draw(rt, "exclude_authid")
	case 3:
		o.EligibleAuthRole, o.ExcludeAuthRole = roles.Draw(rt, "eligible_authrole"), roles.Draw(rt, "exclude_authrole")
	}
	word := h.word()
	msg := &message.Publish{Request: m.request(), Topic: uris.Draw(rt, "topic"), Options: o, Payload: text(word)}
	h.handle(m, msg, func() bool { h.n.publish(m.naive, msg.Request, msg.Topic, word, o); return false })
}

// word gives each payload of a history its own.
func (h *lives) word() string {
	h.steps++
	return fmt.Sprintf("w%d", h.steps)
}

func (h *lives) testament(rt *rapid.T) {
	m := h.member(rt)
	scope := rapid.SampledFrom(scopeNames).Draw(rt, "scope")
	id, topic, word := m.request(), uris.Draw(rt, "topic"), h.word()
	if rapid.IntRange(0, 3).Draw(rt, "flush") == 0 {
		msg := &message.Call{Request: id, Procedure: flushProcedure, Payload: payloadOf(nil, message.Dict{"scope": scope})}
		h.handle(m, msg, func() bool { h.n.flushTestaments(m.naive, id, scope); return false })
		return
	}
	msg := &message.Call{
		Request: id, Procedure: addProcedure,
		Payload: payloadOf([]any{topic, []any{word}}, message.Dict{"scope": scope}),
	}
	h.handle(m, msg, func() bool { h.n.addTestament(m.naive, id, scope, topic, word); return false })
}

func (h *lives) register(rt *rapid.T) {
	m := h.member(rt)
	option, p := drawPattern(rt)
	o := message.RegisterOptions{
		Match: option, Invoke: rapid.SampledFrom([]string{"", "single", "roundrobin", "first", "last", "roundrobin"}).Draw(rt, "invoke"),
		Concurrency:     rapid.IntRange(0, 2).Draw(rt, "concurrency"),
		ForceReregister: rapid.IntRange(0, 4).Draw(rt, "force") == 0, DiscloseCaller: rapid.Bool().Draw(rt, "disclose"),
	}
	msg := &message.Register{Request: m.request(), Procedure: p.uri, Options: o}
	h.handle(m, msg, func() bool { h.n.register(m.naive, msg.Request, p, o); return false })
}

func (h *lives) unregister(rt *rapid.T) {
	m := h.member(rt)
	_, p := drawPattern(rt)
	if len(h.n.regs) > 0 && rapid.Bool().Draw(rt, "existing") {
		p = rapid.SampledFrom(h.n.regs).Draw(rt, "registration").p
	}
	msg := &message.Unregister{Request: m.request(), Registration: message.MaxID}
	if r := h.g.realm.registrations.get(p); r != nil {
		msg.Registration = r.id
	}
	h.handle(m, msg, func() bool { h.n.unregister(m.naive, msg.Request, p); return false })
}

// callable are URIs that the router does not answer itself.
var callable = uris.Filter(func(uri string) bool { return uri != "wamp.x" })

func (h *lives) call(rt *rapid.T) {
	m := h.member(rt)
	o := message.CallOptions{
		ReceiveProgress: rapid.Bool().Draw(rt, "receive_progress"), Progress: rapid.IntRange(0, 2).Draw(rt, "progress") == 0,
		TimeoutMs:  rapid.SampledFrom([]int64{0, 1000, 2500}).Draw(rt, "timeout"),
		DiscloseMe: rapid.Bool().Draw(rt, "disclose me"),
	}
	h.sendCall(m, m.request(), callable.Draw(rt, "procedure"), o)
}

func (h *lives) sendCall(m *member, id message.ID, procedure string, o message.CallOptions) {
	word := h.word()
	msg := &message.Call{Request: id, Procedure: procedure, Options: o, Payload: text(word)}
	h.handle(m, msg, func() bool { return h.n.call(m.naive, id, procedure, word, o) })
}

// more uses the id of a call again, most often to go on with it.
func (h *lives) more(rt *rapid.T) {
	m := h.member(rt)
	if m.nth == 0 {
		rt.Skip("nothing was asked for")
	}
	id := message.ID(rapid.Uint64Range(1, uint64(m.nth)).Draw(rt, "request"))
	o := message.CallOptions{Progress: rapid.Bool().Draw(rt, "progress")}
	procedure := callable.Draw(rt, "procedure")
	if len(h.n.calls) > 0 && rapid.IntRange(0, 9).Draw(rt, "odd") > 0 {
		c := rapid.SampledFrom(h.n.calls).Draw(rt, "call")
		id, procedure = c.id, c.procedure
		if c.caller.full || !c.open && rapid.IntRange(0, 9).Draw(rt, "violate") > 0 {
			rt.Skip("not open")
		}
		for _, other := range h.members {
			if other.naive == c.caller {
				m = other
			}
		}
	}
	h.sendCall(m, id, procedure, o)
}

func (h *lives) cancel(rt *rapid.T) {
	m := h.member(rt)
	msg := &message.Cancel{Request: 1, Mode: rapid.SampledFrom([]string{"", "skip", "kill", "killnowait"}).Draw(rt, "mode")}
	if len(h.n.calls) > 0 {
		msg.Request = rapid.SampledFrom(h.n.calls).Draw(rt, "call").id
	}
	h.handle(m, msg, func() bool { h.n.cancel(m.naive, msg.Request, msg.Mode); return false })
}

// answer lets a session answer an invocation: mostly its own, now and then somebody else's or none.
func (h *lives) answer(rt *rapid.T) {
	m := h.member(rt)
	invocation := rapid.IntRange(1, m.naive.invoked+1).Draw(rt, "invocation")
	progress := rapid.Bool().Draw(rt, "progress")
	if len(h.n.calls) > 0 && rapid.IntRange(0, 9).Draw(rt, "odd") > 0 {
		c := rapid.SampledFrom(h.n.calls).Draw(rt, "call")
		invocation = c.invocation
		progress = progress && (c.progress || rapid.IntRange(0, 9).Draw(rt, "violate") == 0)
		for _, other := range h.members {
			if other.naive == c.callee.s {
				m = other
			}
		}
	} else if rapid.IntRange(0, 4).Draw(rt, "guess") > 0 {
		rt.Skip("nothing to answer")
	}
	word := h.word()
	if rapid.IntRange(0, 3).Draw(rt, "error") == 0 {
		const uri = "com.error"
		msg := &message.Error{Request: message.CodeInvocation, RequestID: message.ID(invocation), URI: uri, Payload: text(word)}
		h.handle(m, msg, func() bool { return h.n.answer(m.naive, invocation, word, uri, false) })
		return
	}
	msg := &message.Yield{
		Request: message.ID(invocation), Options: message.YieldOptions{Progress: progress}, Payload: text(word),
	}
	h.handle(m, msg, func() bool { return h.n.answer(m.naive, invocation, word, "", progress) })
}
