package core

import (
	"cmp"
	"slices"
	"strings"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// retainedTopic is what a topic has for sessions that subscribe later: the last event for everybody, and, where a newer
// one was for some only, that too.
type retainedTopic struct {
	forAll, forSome *retainedEvent
}

type retainedEvent struct {
	holder *party // to whom it is charged
	size   int
	order  uint64 // of publication
	topic  string
	event  message.Event // but for Subscription and Details.Topic
	except message.ID    // the session that published it, where that does not want its own events
	lists  *lists
}

// retainedOverhead is about what the router needs to keep an event, besides what the publisher sent.
const retainedOverhead = 256

// retain keeps a publication for sessions that subscribe later, in place of the one before. One without arguments is not
// kept, but takes the place of what was.
func (r *Realm) retain(s *Session, p *publication) error {
	if p.payload.IsZero() {
		r.unretain(p)
		return nil
	}
	held := r.retained[p.topic]
	next := &retainedEvent{
		holder: s.party, size: retainedOverhead + len(p.topic) + p.payload.Size() + p.details.Passthru.Size() + p.audience.lists.size(),
	}
	replaced := []*retainedEvent{held.forSome}
	if p.audience.lists == nil {
		replaced = append(replaced, held.forAll)
	}
	if err := r.exchangeRetained(replaced, next); err != nil {
		r.counts.OverQuota++
		return err
	}
	r.retentions++
	next.order, next.topic, next.lists = r.retentions, strings.Clone(p.topic), p.audience.lists.kept()
	next.event = message.Event{Publication: p.id, Details: p.details, Payload: p.payload.Clone()}
	next.event.Details.Retained, next.event.Details.Passthru = true, kept(p.details.Passthru)
	if p.audience.except != nil {
		next.except = s.id
	}
	if p.audience.lists == nil {
		held = retainedTopic{forAll: next}
	} else {
		held.forSome = next
	}
	r.retained[next.topic] = held
	return nil
}

// unretain forgets what a topic has for the publication's audience, and for parts of it.
func (r *Realm) unretain(p *publication) {
	held, ok := r.retained[p.topic]
	if !ok {
		return
	}
	forgotten := []*retainedEvent{held.forSome}
	held.forSome = nil
	if p.audience.lists == nil {
		forgotten = append(forgotten, held.forAll)
		held.forAll = nil
	}
	for _, e := range forgotten {
		if e != nil {
			r.ledger.giveFor(e.holder, retained, 1)
			r.ledger.giveFor(e.holder, retainedBytes, e.size)
		}
	}
	if held == (retainedTopic{}) {
		delete(r.retained, p.topic)
	} else {
		r.retained[p.topic] = held
	}
}

// exchangeRetained gives back what is replaced and charges what replaces it, or changes nothing.
func (r *Realm) exchangeRetained(old []*retainedEvent, next *retainedEvent) error {
	old = slices.DeleteFunc(old, func(e *retainedEvent) bool { return e == nil })
	for _, e := range old {
		r.ledger.giveFor(e.holder, retained, 1)
		r.ledger.giveFor(e.holder, retainedBytes, e.size)
	}
	err := r.ledger.takeFor(next.holder, retained, 1)
	if err == nil {
		if err = r.ledger.takeFor(next.holder, retainedBytes, next.size); err == nil {
			return nil
		}
		r.ledger.giveFor(next.holder, retained, 1)
	}
	for _, e := range old {
		r.ledger.chargeFor(e.holder, retained, 1)
		r.ledger.chargeFor(e.holder, retainedBytes, e.size)
	}
	return err
}

// sendRetained sends a new subscriber the retained event of each topic that it would have received.
func (r *Realm) sendRetained(s *Session, sub *subscription) {
	var due []*retainedEvent
	if sub.pattern.match == realms.Exact {
		if e := r.retained[sub.pattern.uri].dueTo(s); e != nil {
			due = append(due, e)
		}
	} else {
		due = r.retainedUnder(s, sub.pattern)
	}
	for _, e := range due {
		event := e.event
		event.Subscription = sub.id
		if sub.pattern.match != realms.Exact {
			event.Details.Topic = e.topic
		}
		r.send(s, &event)
	}
}

func (r *Realm) retainedUnder(s *Session, p pattern) (due []*retainedEvent) {
	for topic, held := range r.retained {
		if !p.match.Matches(p.uri, topic) {
			continue
		}
		if e := held.dueTo(s); e != nil {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b *retainedEvent) int { return cmp.Compare(a.order, b.order) })
	return due
}

// dueTo gives the newest event that the session would have received had it been subscribed.
func (t retainedTopic) dueTo(s *Session) *retainedEvent {
	for _, e := range []*retainedEvent{t.forSome, t.forAll} {
		if e != nil && e.except != s.id && (e.lists == nil || e.lists.admit(s.identity)) {
			return e
		}
	}
	return nil
}
