package core

import (
	"bulkhead/realms"
	"bulkhead/router/message"
)

// Meta events: what the router itself publishes. Nobody is told of what they may not know: of sessions as MayKnow says, of
// subscriptions and registrations as they may subscribe and call.

func (r *Realm) announceJoin(s *Session) {
	r.tell("wamp.session.on_join", s, r.knowers(s), func() []any { return []any{s.describe()} })
}

func (r *Realm) announceLeave(s *Session) {
	r.tell("wamp.session.on_leave", s, r.knowers(s), func() []any {
		return []any{s.id, s.principal.AuthID, string(s.principal.Role)}
	})
}

func (r *Realm) announceSubscribed(s *Session, sub *subscription, what created) {
	knows := r.knowersOfSubscription(s, sub)
	if what == all {
		r.tell("wamp.subscription.on_create", s, knows, func() []any { return []any{s.id, sub.describe()} })
	}
	if what != nothing {
		r.tell("wamp.subscription.on_subscribe", s, knows, func() []any { return []any{s.id, sub.id} })
	}
}

func (r *Realm) announceUnsubscribed(s *Session, sub *subscription, deleted bool) {
	knows, args := r.knowersOfSubscription(s, sub), func() []any { return []any{s.id, sub.id} }
	r.tell("wamp.subscription.on_unsubscribe", s, knows, args)
	if deleted {
		r.tell("wamp.subscription.on_delete", s, knows, args)
	}
}

func (r *Realm) announceRegistered(s *Session, g *registration, what created) {
	knows := r.knowersOfRegistration(s, g)
	if what == all {
		r.tell("wamp.registration.on_create", s, knows, func() []any { return []any{s.id, g.describe()} })
	}
	r.tell("wamp.registration.on_register", s, knows, func() []any { return []any{s.id, g.id} })
}

func (r *Realm) announceUnregistered(s *Session, g *registration, deleted bool) {
	knows, args := r.knowersOfRegistration(s, g), func() []any { return []any{s.id, g.id} }
	r.tell("wamp.registration.on_unregister", s, knows, args)
	if deleted {
		r.tell("wamp.registration.on_delete", s, knows, args)
	}
}

// tell publishes a meta event, which the session that is its cause does not get. The arguments are made only where
// somebody listens.
func (r *Realm) tell(topic string, cause *Session, knows func(*Session) bool, args func() []any) {
	if !r.heard(topic) {
		return
	}
	r.route(&publication{
		id: r.newID(), topic: topic, payload: payloadOf(args(), nil),
		audience: audience{except: cause, knows: knows},
	})
}

// heard reports whether anybody is subscribed to a topic.
func (r *Realm) heard(topic string) (yes bool) {
	r.matched = r.subscriptions.matching(topic, nil, r.matched[:0])
	for _, sub := range r.matched {
		yes = yes || len(sub.sessions) > 0
	}
	clear(r.matched)
	return yes
}

func (r *Realm) knowers(about *Session) func(*Session) bool {
	return func(s *Session) bool { return r.mayKnow(s, about) }
}

func (r *Realm) knowersOfSubscription(about *Session, sub *subscription) func(*Session) bool {
	return func(s *Session) bool { return r.mayKnow(s, about) && r.mayKnowSubscription(s, sub) }
}

func (r *Realm) knowersOfRegistration(about *Session, g *registration) func(*Session) bool {
	return func(s *Session) bool { return r.mayKnow(s, about) && r.mayKnowRegistration(s, g) }
}

// mayKnowSubscription: who may have a subscription may know of it.
func (r *Realm) mayKnowSubscription(s *Session, sub *subscription) bool {
	return r.authorized(s, realms.Subscribe, sub.pattern)
}

// mayKnowRegistration: who may call a procedure may know of it.
func (r *Realm) mayKnowRegistration(s *Session, g *registration) bool {
	return r.authorized(s, realms.Call, g.pattern)
}

func (s *Session) describe() message.Dict {
	d := message.Dict{
		"session": s.id, "authid": s.principal.AuthID, "authrole": string(s.principal.Role),
		"authmethod": s.details.AuthMethod, "authprovider": s.details.AuthProvider,
	}
	if s.details.Transport != nil {
		d["transport"] = s.details.Transport
	}
	return d
}

func (sub *subscription) describe() message.Dict {
	return message.Dict{
		"id": sub.id, "created": timestamp(sub.created), "uri": sub.pattern.uri, "match": matchName(sub.pattern.match),
	}
}

func (g *registration) describe() message.Dict {
	return message.Dict{
		"id": g.id, "created": timestamp(g.created), "uri": g.pattern.uri, "match": matchName(g.pattern.match),
		"invoke": g.policy,
	}
}
