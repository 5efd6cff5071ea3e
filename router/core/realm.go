package core

import (
	"iter"
	"maps"
	"math/rand/v2"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// Realm is the broker and the dealer of one realm.
type Realm struct {
	config    Config
	uriLength int
	random    func() uint64
	mayKnow   func(asking, about *Session) bool
	sessions  map[message.ID]*Session
	ledger    ledger
	counts    Counts // only what was refused

	subscriptions    index[subscription]
	subscriptionByID map[message.ID]*subscription
	subscriptionRoom room
	retained         map[string]retainedTopic
	retentions       uint64 // events that were ever retained

	registrations    index[registration]
	registrationByID map[message.ID]*registration
	registrationRoom room
	deadlines        deadlines

	// Memory that is used again for each publication; empty in between.
	matched   []*subscription
	receivers []*Session
}

// NewRealm makes a realm without sessions.
func NewRealm(c Config, now time.Time) *Realm {
	r := &Realm{
		config: c, uriLength: c.Quotas.URILength, random: c.Random, mayKnow: c.MayKnow,
		sessions: map[message.ID]*Session{}, ledger: newLedger(c.Quotas),
		subscriptions: newIndex[subscription](), subscriptionByID: map[message.ID]*subscription{},
		retained:      map[string]retainedTopic{},
		registrations: newIndex[registration](), registrationByID: map[message.ID]*registration{},
	}
	if r.uriLength <= 0 {
		r.uriLength = defaultURILength
	}
	if r.random == nil {
		r.random = rand.Uint64
	}
	if r.mayKnow == nil {
		r.mayKnow = DefaultMayKnow
	}
	r.openHistories(c.History, now)
	return r
}

// Join adds a session. The realm sends it nothing before Join has returned, so that WELCOME may be sent before or after.
// It fails where a quota is exhausted or the session's id is taken; then nothing has changed. A session joins once.
func (r *Realm) Join(s *Session, now time.Time) error {
	if s.party != nil || r.sessions[s.id] != nil {
		return errs.E(wire.Conflict, "the session is there already")
	}
	s.party = r.ledger.party(s)
	if err := r.take(s, sessions, 1); err != nil {
		s.party = nil
		return err
	}
	s.present = true
	r.sessions[s.id] = s
	r.announceJoin(s)
	return nil
}

// Handle takes a message of a session that has joined; of one that has left it is dropped. An error is a violation of the
// protocol: the session is to be aborted with errs.URIOf(err) and to leave. What is refused to a session that follows the
// protocol, it is told by ERROR.
//
// GOODBYE, HELLO and AUTHENTICATE are the transport's; here they are violations.
func (r *Realm) Handle(s *Session, m message.Message, now time.Time) error {
	if !s.present {
		return nil
	}
	switch m := m.(type) {
	case *message.Publish:
		return r.publish(s, m, now)
	case *message.Call:
		return r.call(s, m, now)
	case *message.Yield:
		return r.yield(s, m, now)
	case *message.Error:
		return r.failed(s, m)
	case *message.Subscribe:
		r.subscribe(s, m, now)
	case *message.Unsubscribe:
		r.unsubscribe(s, m)
	case *message.Register:
		r.register(s, m, now)
	case *message.Unregister:
		r.unregister(s, m)
	case *message.Cancel:
		r.cancel(s, m)
	default:
		return violation("a session does not send this type of message to the router")
	}
	return nil
}

// NextDeadline tells when Tick has to be called at the latest; false says that nothing waits for time.
func (r *Realm) NextDeadline() (time.Time, bool) { return r.deadlines.next() }

// Tick ends the calls whose time is up.
func (r *Realm) Tick(now time.Time) { r.expire(now) }

// Session finds a session by its id.
func (r *Realm) Session(id message.ID) (*Session, bool) {
	s, ok := r.sessions[id]
	return s, ok
}

// Sessions yields every session, in no order. No session may join or leave while it does.
func (r *Realm) Sessions() iter.Seq[*Session] { return maps.Values(r.sessions) }

// Counts gives what the realm holds and has refused.
func (r *Realm) Counts() Counts {
	c, used := r.counts, &r.ledger.used
	c.Sessions, c.Subscriptions, c.Registrations = used[sessions], used[subscriptions], used[registrations]
	c.Calls, c.Testaments, c.Retained = used[calls], used[testaments], used[retained]
	return c
}

// newID draws an id of the global scope.
func (r *Realm) newID() message.ID { return message.ID(r.random()>>11) + 1 }

// unused draws an id that is not taken. Ids are random, so that they tell nothing of how many there are.
func unused[V any](r *Realm, taken map[message.ID]V) message.ID {
	for {
		id := r.newID()
		if _, ok := taken[id]; !ok {
			return id
		}
	}
}
