package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bulkhead/realms"
	"bulkhead/router/message"
)

type naiveReg struct {
	p       pattern
	policy  string
	seq     int
	created time.Time
	callees []*naiveCallee
	turn    *naiveCallee // for roundrobin
}

type naiveCallee struct {
	s           *naiveSession
	concurrency int
	disclose    bool
}

func (n *naive) reg(p pattern) *naiveReg {
	for _, r := range n.regs {
		if r.p == p {
			return r
		}
	}
	return nil
}

func (r *naiveReg) of(s *naiveSession) *naiveCallee {
	for _, c := range r.callees {
		if c.s == s {
			return c
		}
	}
	return nil
}

func (n *naive) register(s *naiveSession, id message.ID, p pattern, o message.RegisterOptions) {
	if uri := n.may(s, realms.Register, p); uri != "" {
		n.refuse(s, "REGISTER", id, uri)
		return
	}
	policy := cmp.Or(o.Invoke, "single")
	r := n.reg(p)
	var replaced []*naiveCallee
	if r != nil {
		mine := !slices.ContainsFunc(r.callees, func(c *naiveCallee) bool { return c.s.party() != s.party() })
		switch {
		case o.ForceReregister && mine:
			replaced = slices.Clone(r.callees)
		case o.ForceReregister || r.of(s) != nil || policy != r.policy || policy == "single":
			n.refuse(s, "REGISTER", id, "wamp.error.procedure_already_exists")
			return
		}
	}
	count := func(whose func(*naiveSession) bool) (total int) {
		for _, other := range n.regs {
			for _, c := range other.callees {
				if whose(c.s) && !slices.Contains(replaced, c) {
					total++
				}
			}
		}
		return total
	}
	if over(
		n.quotas.Session.Registrations, n.quotas.AuthID.Registrations, n.quotas.Realm.Registrations,
		count(s.itself), count(s.ofParty), count(anybody),
	) {
		n.refuse(s, "REGISTER", id, overQuota)
		return
	}
	for _, c := range replaced {
		n.revokeRegistration(r, c, "registered anew by another session")
		r = nil
	}
	isNew := r == nil
	if isNew {
		r = &naiveReg{p: p, policy: policy, seq: n.next(), created: n.now}
		n.regs = append(n.regs, r)
	}
	c := &naiveCallee{s, o.Concurrency, o.DiscloseCaller}
	r.callees = append(r.callees, c)
	if r.turn == nil {
		r.turn = c
	}
	n.send(s, fmt.Sprintf("REGISTERED %d %s", id, spec(p)))
	visible := &aim{realms.Call, p.uri}
	if isNew {
		n.tell("wamp.registration.on_create", s, visible, fmt.Sprintf(
			"%s {created=%s id=%s invoke=%s match=%s uri=%s}", s.name, timestamp(n.now), spec(p), policy, matchName(p.match), p.uri,
		))
	}
	n.tell("wamp.registration.on_register", s, visible, s.name+" "+spec(p))
}

func (n *naive) revokeRegistration(r *naiveReg, c *naiveCallee, why string) {
	deleted := n.withdraw(r, c)
	if c.s.features.RegistrationRevocation {
		n.send(c.s, fmt.Sprintf("UNREGISTERED 0 %s %s", spec(r.p), why))
	}
	n.tellUnregistered(c.s, r, deleted)
}

func (n *naive) unregister(s *naiveSession, id message.ID, p pattern) {
	r := n.reg(p)
	if r == nil || r.of(s) == nil {
		n.refuse(s, "UNREGISTER", id, "wamp.error.no_such_registration")
		return
	}
	deleted := n.withdraw(r, r.of(s))
	n.send(s, fmt.Sprintf("UNREGISTERED %d %s", id, spec(p)))
	n.tellUnregistered(s, r, deleted)
}

func (n *naive) withdraw(r *naiveReg, c *naiveCallee) (deleted bool) {
	if r.turn == c {
		r.turn = r.after(c)
	}
	r.callees = without(r.callees, c)
	if len(r.callees) > 0 {
		return false
	}
	n.regs = without(n.regs, r)
	return true
}

// after gives whose turn it is after a callee.
func (r *naiveReg) after(c *naiveCallee) *naiveCallee {
	return r.callees[(slices.Index(r.callees, c)+1)%len(r.callees)]
}

func (n *naive) tellUnregistered(s *naiveSession, r *naiveReg, deleted bool) {
	visible, args := &aim{realms.Call, r.p.uri}, s.name+" "+spec(r.p)
	n.tell("wamp.registration.on_unregister", s, visible, args)
	if deleted {
		n.tell("wamp.registration.on_delete", s, visible, args)
	}
}
