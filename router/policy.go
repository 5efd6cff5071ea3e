package router

import (
	"time"

	"bulkhead/realms"
)

// Policy decides what a person's sessions may do, within what their role may. It is asked at each first use of a URI, with a
// realm's lock held: it must not block. After its answers have changed, Reconsider is to be called.
type Policy interface {
	// Enters decides whether p may be in the realm at all.
	Enters(p realms.Principal, r realms.Realm) bool
	// May decides whether p may do a with every URI that the pattern matches.
	May(p realms.Principal, r realms.Realm, a realms.Action, uri string, m realms.Match) bool
}

// admits reports whether the policy lets a principal be here.
func (re *realm) admits(p realms.Principal) bool {
	policy := re.router.config.Policy
	return policy == nil || re.open != nil || p.Role != realms.RoleConsole || policy.Enters(p, re.id)
}

// granted reports whether the policy lets a principal do something here.
func (re *realm) granted(p realms.Principal, a realms.Action, uri string, m realms.Match) bool {
	policy := re.router.config.Policy
	return policy == nil || p.Role != realms.RoleConsole || policy.May(p, re.id, a, uri, m)
}

// Reconsider asks the policy anew about all that people have open: sessions that may not be in their realm any more are
// ended, and so are subscriptions, registrations and calls that are not allowed any more. When it returns that is done.
func (r *Router) Reconsider() {
	r.mu.RLock()
	all := make([]*realm, 0, len(r.realms))
	for _, re := range r.realms {
		if re.open == nil {
			all = append(all, re)
		}
	}
	r.mu.RUnlock()
	for _, re := range all {
		re.reconsider()
	}
}

func (re *realm) reconsider() {
	defer re.router.rescue(0, new(error))
	re.locked(func() {
		for id, m := range re.members {
			p := m.session.Principal()
			switch {
			case p.Role != realms.RoleConsole:
			case !re.admits(p):
				re.core.Kill(id, closeKilled, "this is not allowed any more", time.Now())
			default:
				re.core.Recheck(m.session, time.Now())
			}
		}
	})
}
