package router

import (
	"bulkhead/internal/logkey"
	"bulkhead/realms"
)

// Apply makes the directory the one to decide from. When it returns, the realms that it has exist, those that it lacks
// are gone with their sessions, and sessions are ended whose device was removed, suspended or given other secrets.
func (r *Router) Apply(d *realms.Directory) {
	r.applying.Lock()
	defer r.applying.Unlock()
	r.authn.Apply(d)
	r.directory.Store(d) // before the sessions are looked at: one that joins meanwhile is checked against it
	removed, kept := r.reconcile(d)
	for _, re := range removed {
		re.end(closeRealm, "the realm was removed")
		r.log.Info("realm removed", logkey.Realm, re.name)
	}
	for _, re := range kept {
		re.recheck(d)
	}
}

// reconcile makes the set of realms that of the directory. Realms of an embedder's are not touched.
func (r *Router) reconcile(d *realms.Directory) (removed, kept []*realm) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil
	}
	for name, re := range r.realms {
		switch _, ok := d.Realm(name); {
		case re.open != nil:
		case ok:
			kept = append(kept, re)
		default:
			delete(r.realms, name)
			removed = append(removed, re)
		}
	}
	for name, entry := range d.Realms() {
		if _, ok := r.realms[name]; !ok {
			r.realms[name] = r.newRealm(name, entry.Realm, nil)
			r.log.Info("realm added", logkey.Realm, name)
		}
	}
	return removed, kept
}
