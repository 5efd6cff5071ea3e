package core

import (
	"slices"
	"strings"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

var errNoSuchRegistration = &errs.Error{
	Kind: wire.NotFound, User: "not registered by this session", URI: "wamp.error.no_such_registration",
}

func alreadyExists(text string) error {
	return &errs.Error{Kind: wire.Conflict, User: text, URI: "wamp.error.procedure_already_exists"}
}

func (r *Realm) register(s *Session, m *message.Register, now time.Time) {
	p := pattern{matchOf(m.Options.Match), m.Procedure}
	_, err := r.may(s, realms.Register, p)
	if err == nil {
		err = r.offer(s, p, m, now)
	}
	if err != nil {
		r.refuse(s, message.CodeRegister, m.Request, err)
	}
}

// offer adds a session to the callees of a pattern, or replaces them by it, or fails and changes nothing.
func (r *Realm) offer(s *Session, p pattern, m *message.Register, now time.Time) error {
	g, policy := r.registrations.get(p), policyOf(m.Options.Invoke)
	var replaced []*callee
	if g != nil && m.Options.ForceReregister {
		if !allOf(g.callees, s.party) {
			return alreadyExists("somebody else has registered this procedure")
		}
		replaced = slices.Clone(g.callees)
	} else if err := g.admits(s, policy); err != nil {
		return err
	}
	if err := r.exchangeRegistrations(replaced, s); err != nil {
		return err
	}
	for _, c := range replaced {
		r.revokeRegistration(c, errs.E(wire.Conflict, "registered anew by another session"))
	}
	created := membership
	if g == nil || replaced != nil {
		created, g = all, r.newRegistration(p, policy, now)
	}
	c := &callee{session: s, registration: g, concurrency: m.Options.Concurrency, disclose: m.Options.DiscloseCaller}
	g.callees = append(g.callees, c)
	put(&s.registrations, g, c)
	r.send(s, &message.Registered{Request: m.Request, Registration: g.id})
	r.announceRegistered(s, g, created)
	return nil
}

// allOf reports whether all callees are sessions of one principal.
func allOf(callees []*callee, p *party) bool {
	return !slices.ContainsFunc(callees, func(c *callee) bool { return c.session.party != p })
}

// admits refuses a session that would be one callee too many.
func (g *registration) admits(s *Session, policy string) error {
	switch {
	case g == nil:
		return nil
	case s.registrations[g] != nil:
		return alreadyExists("this session has registered the procedure already")
	case g.policy != policy:
		return alreadyExists("the procedure is registered with the invocation policy " + g.policy)
	case g.policy == single:
		return alreadyExists("the procedure is registered already")
	default:
		return nil
	}
}

// exchangeRegistrations charges a registration to s as if the callees that it replaces had gone, or changes nothing. Those
// are given back when they are revoked.
func (r *Realm) exchangeRegistrations(replaced []*callee, s *Session) error {
	for _, c := range replaced {
		r.ledger.give(c.session, registrations, 1)
	}
	err := r.take(s, registrations, 1)
	for _, c := range replaced {
		r.ledger.charge(c.session, registrations, 1)
	}
	return err
}

func (r *Realm) newRegistration(p pattern, policy string, now time.Time) *registration {
	p.uri = strings.Clone(p.uri) // it may be a part of a frame
	g := &registration{pattern: p, policy: policy, created: now}
	g.id = unused(r, r.registrationByID)
	r.registrationByID[g.id] = g
	r.registrations.put(p, g)
	return g
}

func (r *Realm) unregister(s *Session, m *message.Unregister) {
	g := r.registrationByID[m.Registration]
	c := s.registrations[g]
	if c == nil {
		r.refuse(s, message.CodeUnregister, m.Request, errNoSuchRegistration)
		return
	}
	deleted := r.withdraw(c)
	r.send(s, &message.Unregistered{Request: m.Request, Registration: g.id})
	r.announceUnregistered(s, g, deleted)
}

// withdraw takes a callee out of its registration and tells whether that was the end of it. What it has been invoked for
// it may still answer.
func (r *Realm) withdraw(c *callee) (deleted bool) {
	g := c.registration
	g.drop(c)
	delete(c.session.registrations, g)
	r.ledger.give(c.session, registrations, 1)
	if len(g.callees) > 0 {
		return false
	}
	r.registrations.remove(g.pattern)
	r.registrationByID = forget(r.registrationByID, &r.registrationRoom, g.id)
	return true
}

// revokeRegistration ends a registration without being asked by its session.
func (r *Realm) revokeRegistration(c *callee, why error) {
	deleted := r.withdraw(c)
	if c.session.details.Features.RegistrationRevocation {
		r.send(c.session, &message.Unregistered{Registration: c.registration.id, Reason: errs.UserText(why)})
	}
	r.announceUnregistered(c.session, c.registration, deleted)
}
