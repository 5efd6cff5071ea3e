package core

import (
	"strings"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// subscription is what all sessions share that subscribed to the same pattern in the same way.
type subscription struct {
	id       message.ID
	pattern  pattern
	created  time.Time
	sessions []*Session // in no order
	history  *history   // where events are kept; then the subscription outlives its subscribers
}

var errNoSuchSubscription = &errs.Error{
	Kind: wire.NotFound, User: "not subscribed to that", URI: "wamp.error.no_such_subscription",
}

func (r *Realm) subscribe(s *Session, m *message.Subscribe, now time.Time) {
	p := pattern{matchOf(m.Options.Match), m.Topic}
	if _, err := r.may(s, realms.Subscribe, p); err != nil {
		r.refuse(s, message.CodeSubscribe, m.Request, err)
		return
	}
	sub, created, err := r.enter(s, p, now)
	if err != nil {
		r.refuse(s, message.CodeSubscribe, m.Request, err)
		return
	}
	r.send(s, &message.Subscribed{Request: m.Request, Subscription: sub.id})
	r.announceSubscribed(s, sub, created)
	if m.Options.GetRetained {
		r.sendRetained(s, sub)
	}
}

// created says what enter brought into being.
type created uint8

const (
	nothing    created = iota // the session had it
	membership                // the session joined what others have
	all                       // nobody had it
)

// enter puts a session into the subscription of a pattern.
func (r *Realm) enter(s *Session, p pattern, now time.Time) (*subscription, created, error) {
	sub := r.subscriptions.get(p)
	if sub != nil && s.subscribed(sub) {
		return sub, nothing, nil
	}
	if err := r.take(s, subscriptions, 1); err != nil {
		return nil, nothing, err
	}
	what := membership
	if sub == nil {
		what = all
		sub = r.newSubscription(p, now)
	}
	put(&s.subscriptions, sub, len(sub.sessions))
	sub.sessions = append(sub.sessions, s)
	return sub, what, nil
}

func (r *Realm) newSubscription(p pattern, now time.Time) *subscription {
	p.uri = strings.Clone(p.uri) // it may be a part of a frame
	sub := &subscription{pattern: p, created: now}
	sub.id = unused(r, r.subscriptionByID)
	r.subscriptionByID[sub.id] = sub
	r.subscriptions.put(p, sub)
	return sub
}

func (s *Session) subscribed(sub *subscription) bool {
	_, ok := s.subscriptions[sub]
	return ok
}

func (r *Realm) unsubscribe(s *Session, m *message.Unsubscribe) {
	sub := r.subscriptionByID[m.Subscription]
	if sub == nil || !s.subscribed(sub) {
		r.refuse(s, message.CodeUnsubscribe, m.Request, errNoSuchSubscription)
		return
	}
	deleted := r.exit(s, sub)
	r.send(s, &message.Unsubscribed{Request: m.Request, Subscription: sub.id})
	r.announceUnsubscribed(s, sub, deleted)
}

// without gives all subscribers but one, who need not be one. That one is moved to the end of the list, where it stays
// until another one publishes: so nothing is copied, however many there are.
func (sub *subscription) without(s *Session) []*Session {
	if s == nil || !s.subscribed(sub) {
		return sub.sessions
	}
	end := len(sub.sessions) - 1
	if at := s.subscriptions[sub]; at != end {
		other := sub.sessions[end]
		sub.sessions[at], sub.sessions[end] = other, s
		s.subscriptions[sub], other.subscriptions[sub] = end, at
	}
	return sub.sessions[:end]
}

// exit takes a session out of a subscription and tells whether that was the end of it.
func (r *Realm) exit(s *Session, sub *subscription) (deleted bool) {
	at, last := s.subscriptions[sub], len(sub.sessions)-1
	moved := sub.sessions[last]
	sub.sessions[at], sub.sessions[last] = moved, nil
	sub.sessions = sub.sessions[:last]
	moved.subscriptions[sub] = at
	delete(s.subscriptions, sub)
	r.ledger.give(s, subscriptions, 1)
	if last > 0 || sub.history != nil {
		return false
	}
	r.subscriptions.remove(sub.pattern)
	r.subscriptionByID = forget(r.subscriptionByID, &r.subscriptionRoom, sub.id)
	return true
}

// revokeSubscription ends a subscription that its session may no longer have.
func (r *Realm) revokeSubscription(s *Session, sub *subscription, why error) {
	deleted := r.exit(s, sub)
	if s.details.Features.SubscriptionRevocation {
		r.send(s, &message.Unsubscribed{Subscription: sub.id, Reason: errs.UserText(why)})
	}
	r.announceUnsubscribed(s, sub, deleted)
}

// take charges a quota and counts the refusal.
func (r *Realm) take(s *Session, what resource, n int) error {
	err := r.ledger.take(s, what, n)
	if err != nil {
		r.counts.OverQuota++
	}
	return err
}
