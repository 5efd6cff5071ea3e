package core

import (
	"maps"
	"slices"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Recheck asks again whether the session may have what it has, and ends the subscriptions, registrations and calls that
// are no longer allowed. It is to be called whenever the answers of Authorize for the session may have changed.
// Testaments are asked about when they are published.
func (r *Realm) Recheck(s *Session, now time.Time) {
	if !s.present {
		return
	}
	clear(s.allowed)
	denied := errs.E(wire.Denied, "no longer allowed")
	for _, sub := range s.orderedSubscriptions() {
		if !r.authorized(s, realms.Subscribe, sub.pattern) {
			r.revokeSubscription(s, sub, denied)
		}
	}
	for _, g := range s.orderedRegistrations() {
		if c := s.registrations[g]; !r.authorized(s, realms.Register, g.pattern) {
			r.revokeRegistration(c, denied)
			r.dismiss(c)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.calls)) {
		if c := s.calls[id]; !r.authorized(s, realms.Call, pattern{realms.Exact, c.procedure}) {
			r.abandon(c, denied)
		}
	}
}

// dismiss ends what a callee was invoked for under a registration that it has no right to.
func (r *Realm) dismiss(c *callee) {
	invocations := c.session.invocations
	for _, id := range slices.Sorted(maps.Keys(invocations)) {
		if invocations[id].callee == c {
			r.abandon(invocations[id], errs.E(wire.Canceled, "the callee may no longer answer"))
		}
	}
}
