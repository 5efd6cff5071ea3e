package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bulkhead/realms"
	"bulkhead/router/message"
)

type naiveCall struct {
	caller     *naiveSession
	id         message.ID
	procedure  string
	reg        *naiveReg
	callee     *naiveCallee
	invocation int
	progress   bool // results
	open       bool
	killing    bool
	disclosed  bool
	timeout    time.Duration
	deadline   time.Time
}

func (n *naive) callOf(s *naiveSession, id message.ID) *naiveCall {
	for _, c := range n.calls {
		if c.caller == s && c.id == id {
			return c
		}
	}
	return nil
}

func (n *naive) call(s *naiveSession, id message.ID, procedure, word string, o message.CallOptions) (violation bool) {
	if c := n.callOf(s, id); c != nil {
		if !c.open || c.procedure != procedure {
			return true
		}
		if !n.invoke(c, word, o.Progress) {
			n.interrupt(c, "killnowait", "wamp.error.unavailable")
			n.end(c)
			n.refuse(s, "CALL", id, "wamp.error.unavailable")
		}
		return false
	}
	if slices.Contains(s.ended, id) {
		if !o.Progress {
			s.ended = without(s.ended, id)
		}
		return false
	}
	if o.Progress && !s.features.ProgressiveInvocationsCaller {
		return true
	}
	if uri := n.start(s, id, procedure, word, o); uri != "" {
		n.refuse(s, "CALL", id, uri)
		if o.Progress && !slices.Contains(s.ended, id) {
			s.ended = append(s.ended, id)
		}
	}
	return false
}

// start passes a new call on, or gives the error.
func (n *naive) start(s *naiveSession, id message.ID, procedure, word string, o message.CallOptions) (uri string) {
	if uri := n.may(s, realms.Call, pattern{realms.Exact, procedure}); uri != "" {
		return uri
	}
	r := n.bestReg(procedure)
	if r == nil {
		return "wamp.error.no_such_procedure"
	}
	callee := n.pick(r)
	if callee == nil {
		return "wamp.error.unavailable"
	}
	f := callee.s.features
	if o.Progress && !(f.ProgressiveInvocationsCallee && f.CallCanceling) {
		return "wamp.error.feature_not_supported"
	}
	count := func(whose func(*naiveSession) bool) (total int) {
		for _, c := range n.calls {
			if whose(c.caller) {
				total++
			}
		}
		return total
	}
	if over(
		n.quotas.Session.Calls, n.quotas.AuthID.Calls, n.quotas.Realm.Calls,
		count(s.itself), count(s.ofParty), count(anybody),
	) {
		return overQuota
	}
	c := &naiveCall{
		caller: s, id: id, procedure: procedure, reg: r, callee: callee, invocation: callee.s.invoked + 1,
		progress: o.ReceiveProgress, disclosed: n.disclose || o.DiscloseMe || callee.disclose,
		timeout: time.Duration(o.TimeoutMs) * time.Millisecond, deadline: n.now.Add(time.Duration(o.TimeoutMs) * time.Millisecond),
	}
	if !n.invoke(c, word, o.Progress) {
		return "wamp.error.unavailable"
	}
	callee.s.invoked++
	n.calls = append(n.calls, c)
	return ""
}

func (n *naive) bestReg(procedure string) *naiveReg {
	var best *naiveReg
	for _, r := range n.regs {
		if !r.p.match.Matches(r.p.uri, procedure) {
			continue
		}
		longer := best != nil && r.p.match == realms.Prefix && best.p.match == realms.Prefix && len(r.p.uri) > len(best.p.uri)
		better := best == nil || longer ||
			!(r.p.match == realms.Prefix && best.p.match == realms.Prefix) && precedence(r.p, best.p) < 0
		if better {
			best = r
		}
	}
	return best
}

func (n *naive) pick(r *naiveReg) *naiveCallee {
	free := func(c *naiveCallee) bool {
		running := 0
		for _, call := range n.calls {
			if call.callee == c {
				running++
			}
		}
		return c.concurrency == 0 || running < c.concurrency
	}
	order := slices.Clone(r.callees)
	switch r.policy {
	case "last":
		slices.Reverse(order)
	case "roundrobin":
		at := slices.Index(order, r.turn)
		order = append(order[at:len(order):len(order)], order[:at]...)
	}
	for _, c := range order {
		if free(c) {
			if r.policy == "roundrobin" {
				r.turn = r.after(c)
			}
			return c
		}
	}
	return nil
}

func (n *naive) invoke(c *naiveCall, word string, more bool) bool {
	c.open = more
	w := words{"INVOCATION", fmt.Sprint(c.invocation), spec(c.reg.p), word}
	if c.reg.p.match != realms.Exact {
		w.named("procedure", c.procedure)
	}
	if c.disclosed {
		w.named("caller", c.caller.who())
	}
	w.flag("receive_progress", c.progress)
	w.flag("progress", more)
	return n.send(c.callee.s, w.String())
}

func (n *naive) interrupt(c *naiveCall, mode, reason string) {
	if c.callee.s.features.CallCanceling {
		n.send(c.callee.s, fmt.Sprintf("INTERRUPT %d %s %s", c.invocation, mode, reason))
	}
}

func (n *naive) end(c *naiveCall) {
	n.calls = without(n.calls, c)
	if c.open && !slices.Contains(c.caller.ended, c.id) {
		c.caller.ended = append(c.caller.ended, c.id)
	}
}

func (n *naive) fail(c *naiveCall, uri string) {
	n.end(c)
	n.refuse(c.caller, "CALL", c.id, uri)
}

// answer is a YIELD, or an ERROR where uri is given.
func (n *naive) answer(s *naiveSession, invocation int, word, uri string, progress bool) (violation bool) {
	for _, c := range n.calls {
		if c.callee.s != s || c.invocation != invocation {
			continue
		}
		switch {
		case uri != "":
			n.end(c)
			n.send(c.caller, fmt.Sprintf("ERROR CALL %d %s %s", c.id, uri, word))
		case progress && !c.progress:
			return true
		case progress:
			c.deadline = n.now.Add(c.timeout)
			n.send(c.caller, fmt.Sprintf("RESULT %d %s progress", c.id, word))
		default:
			n.end(c)
			n.send(c.caller, fmt.Sprintf("RESULT %d %s", c.id, word))
		}
		return false
	}
	return invocation > s.invoked
}

func (n *naive) cancel(s *naiveSession, id message.ID, mode string) {
	c := n.callOf(s, id)
	if c == nil {
		return
	}
	if mode == "kill" && c.callee.s.features.CallCanceling {
		if !c.killing {
			n.interrupt(c, "kill", "wamp.error.canceled")
		}
		c.killing = true
		return
	}
	if mode == "killnowait" || mode == "" {
		n.interrupt(c, "killnowait", "wamp.error.canceled")
	}
	n.fail(c, "wamp.error.canceled")
}

func (n *naive) tick(now time.Time) {
	n.now = now
	for _, c := range slices.Clone(n.calls) {
		if c.timeout > 0 && !c.deadline.After(now) {
			n.interrupt(c, "killnowait", "wamp.error.timeout")
			n.fail(c, "wamp.error.timeout")
		}
	}
}

func (n *naive) endCalls(s *naiveSession) {
	byID := slices.SortedFunc(slices.Values(n.calls), func(a, b *naiveCall) int { return cmp.Compare(a.id, b.id) })
	for _, c := range byID {
		if c.caller == s {
			n.interrupt(c, "killnowait", "wamp.error.canceled")
			n.end(c)
		}
	}
	byInvocation := slices.SortedFunc(slices.Values(n.calls), func(a, b *naiveCall) int { return cmp.Compare(a.invocation, b.invocation) })
	for _, c := range byInvocation {
		if c.callee.s == s {
			n.fail(c, "wamp.error.canceled")
		}
	}
}

// recheck ends what a session may have no more.
func (n *naive) recheck(s *naiveSession) {
	const why = "no longer allowed"
	for _, sub := range slices.Clone(n.subs) {
		if slices.Contains(sub.members, s) && !n.allowed(s, realms.Subscribe, sub.p.uri) {
			deleted := n.exit(s, sub)
			if s.features.SubscriptionRevocation {
				n.send(s, fmt.Sprintf("UNSUBSCRIBED 0 %s %s", spec(sub.p), why))
			}
			n.tellUnsubscribed(s, sub, deleted)
		}
	}
	for _, r := range slices.Clone(n.regs) {
		c := r.of(s)
		if c == nil || n.allowed(s, realms.Register, r.p.uri) {
			continue
		}
		n.revokeRegistration(r, c, why)
		for _, call := range slices.Clone(n.calls) {
			if call.callee == c {
				n.interrupt(call, "killnowait", "wamp.error.canceled")
				n.fail(call, "wamp.error.canceled")
			}
		}
	}
	for _, c := range slices.SortedFunc(slices.Values(n.calls), func(a, b *naiveCall) int { return cmp.Compare(a.id, b.id) }) {
		if c.caller == s && !n.allowed(s, realms.Call, c.procedure) {
			n.interrupt(c, "killnowait", "wamp.error.not_authorized")
			n.fail(c, "wamp.error.not_authorized")
		}
	}
}
