package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// Leave removes a session: its subscriptions and registrations end, its calls are canceled, its callers get an error, its
// testaments are published. It is sent nothing any more. Leaving twice is fine.
func (r *Realm) Leave(s *Session, now time.Time) {
	if r.sessions[s.id] == s {
		r.leave([]*Session{s}, now)
	}
}

// Kill ends a session for the router's own reasons; no role protects from it. It tells whether the session was there.
func (r *Realm) Kill(id message.ID, reason, text string, now time.Time) bool {
	s := r.sessions[id]
	if s == nil {
		return false
	}
	r.kill([]*Session{s}, reason, text, now)
	return true
}

// KillAll ends every session, because the realm is removed or the server stops. The server's own sessions see the others
// leave.
func (r *Realm) KillAll(reason, text string, now time.Time) int {
	all := slices.Collect(maps.Values(r.sessions))
	slices.SortFunc(all, func(a, b *Session) int { return cmp.Compare(a.id, b.id) })
	own := slices.DeleteFunc(slices.Clone(all), func(s *Session) bool { return s.principal.Role != realms.RoleBackend })
	others := slices.DeleteFunc(all, func(s *Session) bool { return s.principal.Role == realms.RoleBackend })
	r.kill(others, reason, text, now)
	r.kill(own, reason, text, now)
	return len(own) + len(others)
}

// kill ends sessions together and says goodbye to each.
func (r *Realm) kill(victims []*Session, reason, text string, now time.Time) {
	details := noDetails
	if text != "" {
		details = message.Dict{"message": text}
	}
	r.leave(victims, now)
	for _, s := range victims {
		r.config.Output.Close(s, &message.Goodbye{Details: details, Reason: reason})
	}
}

// leave removes sessions. All of them stop receiving before any is announced, so that the cost of many leaving together is
// not the square of their number.
func (r *Realm) leave(leaving []*Session, now time.Time) {
	ended := make([]holdings, len(leaving))
	for i, s := range leaving {
		s.present = false
		delete(r.sessions, s.id)
		ended[i] = r.strip(s)
	}
	for _, s := range leaving {
		r.endCalls(s)
	}
	for i, s := range leaving {
		ended[i].announce(r, s)
		r.publishTestaments(s, now)
		r.announceLeave(s)
		r.ledger.give(s, sessions, 1)
		s.allowed, s.ended = nil, nil
	}
}

// holdings are the subscriptions and registrations that a session had, and whether they were the last of their kind.
type holdings struct {
	subscriptions []ended[*subscription]
	registrations []ended[*registration]
}

type ended[T any] struct {
	what    T
	deleted bool
}

// strip takes a session out of its subscriptions and registrations.
func (r *Realm) strip(s *Session) (h holdings) {
	for _, sub := range s.orderedSubscriptions() {
		h.subscriptions = append(h.subscriptions, ended[*subscription]{sub, r.exit(s, sub)})
	}
	for _, g := range s.orderedRegistrations() {
		h.registrations = append(h.registrations, ended[*registration]{g, r.withdraw(s.registrations[g])})
	}
	return h
}

func (h *holdings) announce(r *Realm, s *Session) {
	for _, e := range h.subscriptions {
		r.announceUnsubscribed(s, e.what, e.deleted)
	}
	for _, e := range h.registrations {
		r.announceUnregistered(s, e.what, e.deleted)
	}
}

// endCalls ends what a leaving session has called, and what it was called for.
func (r *Realm) endCalls(s *Session) {
	for _, id := range slices.Sorted(maps.Keys(s.calls)) {
		c := s.calls[id]
		r.interrupt(c, killNoWait, errCanceled)
		r.end(c)
	}
	for _, id := range slices.Sorted(maps.Keys(s.invocations)) {
		r.fail(s.invocations[id], errCalleeLeft)
	}
}
