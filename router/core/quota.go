package core

import (
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Limits are how much one party may hold. Zero is no limit.
type Limits struct {
	Sessions       int // of an authid or realm; without meaning for a session
	Subscriptions  int
	Registrations  int
	Calls          int // outstanding, counted for the caller
	Testaments     int
	TestamentBytes int // as the client sent them: topic, options and arguments
	Retained       int // retained events, counted for the principal that published them; without meaning for a session
	RetainedBytes  int
}

// Quotas are the limits of a realm. What is over one gets an error that says so, and nothing else changes.
type Quotas struct {
	Session   Limits
	AuthID    Limits // all sessions of one authid and role together
	Realm     Limits
	URILength int // bytes of a URI or pattern; 0: 1024
}

const defaultURILength = 1024

// resource is what a quota limits.
type resource uint8

const (
	sessions resource = iota
	subscriptions
	registrations
	calls
	testaments
	testamentBytes
	retained
	retainedBytes
	resources // how many there are
)

var resourceNames = [resources]string{
	"sessions", "subscriptions", "registrations", "outstanding calls",
	"testaments", "bytes of testaments", "retained events", "bytes of retained events",
}

func (l Limits) array() usage {
	return usage{
		l.Sessions, l.Subscriptions, l.Registrations, l.Calls,
		l.Testaments, l.TestamentBytes, l.Retained, l.RetainedBytes,
	}
}

// usage is how much of each resource a party holds, or may hold.
type usage [resources]int

func (u usage) exceeds(limit usage, what resource, n int) bool {
	return limit[what] > 0 && u[what]+n > limit[what]
}

// party is a principal that holds something in the realm; it may have several sessions, or none and retained events.
type party struct {
	who  partyID
	used usage
}

type partyID struct{ role, authid string }

// ledger counts what a realm's parties hold. Whoever takes gives back.
type ledger struct {
	perSession, perParty, perRealm usage // limits
	used                           usage
	parties                        map[partyID]*party
}

func newLedger(q Quotas) ledger {
	return ledger{
		perSession: q.Session.array(), perParty: q.AuthID.array(), perRealm: q.Realm.array(),
		parties: map[partyID]*party{},
	}
}

// party finds or makes the account of a session's principal; it is kept while something is charged to it.
func (l *ledger) party(s *Session) *party {
	who := partyID{string(s.principal.Role), s.principal.AuthID}
	if p := l.parties[who]; p != nil {
		return p
	}
	return &party{who: who}
}

// take charges n of a resource to a session, its principal and the realm, or fails and charges nobody.
func (l *ledger) take(s *Session, what resource, n int) error {
	if s.used.exceeds(l.perSession, what, n) {
		return exhausted("session", what)
	}
	if err := l.takeFor(s.party, what, n); err != nil {
		return err
	}
	s.used[what] += n
	return nil
}

// takeFor is take where no session is charged.
func (l *ledger) takeFor(p *party, what resource, n int) error {
	if p.used.exceeds(l.perParty, what, n) {
		return exhausted("principal", what)
	}
	if l.used.exceeds(l.perRealm, what, n) {
		return exhausted("realm", what)
	}
	l.chargeFor(p, what, n)
	return nil
}

// give undoes take.
func (l *ledger) give(s *Session, what resource, n int) {
	s.used[what] -= n
	l.giveFor(s.party, what, n)
}

// giveFor undoes takeFor.
func (l *ledger) giveFor(p *party, what resource, n int) {
	p.used[what] -= n
	l.used[what] -= n
	if p.used == (usage{}) {
		delete(l.parties, p.who)
	}
}

// charge undoes give, whatever the limits are.
func (l *ledger) charge(s *Session, what resource, n int) {
	s.used[what] += n
	l.chargeFor(s.party, what, n)
}

// chargeFor undoes giveFor, whatever the limits are.
func (l *ledger) chargeFor(p *party, what resource, n int) {
	p.used[what] += n
	l.used[what] += n
	l.parties[p.who] = p
}

func exhausted(whose string, what resource) error {
	return errs.E(wire.Exhausted, "the %s's limit of %s is reached", whose, resourceNames[what])
}
