package core

import (
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// access is something that a session may do.
type access struct {
	action  realms.Action
	pattern pattern
}

// grant is what is remembered of something that a session may do.
type grant struct {
	patterns unmatched // of the realm's subscriptions, where a session may publish
}

// maxRemembered bounds what is remembered of Authorize per session: a session that uses more URIs asks again.
const maxRemembered = 64

// may checks the URI and decides whether the session may do this with it. What it allows it remembers until Recheck, so
// that the usual message costs one look-up; what it refuses it decides anew each time.
func (r *Realm) may(s *Session, a realms.Action, p pattern) (*grant, error) {
	key := access{a, p}
	if known := s.allowed[key]; known != nil {
		return known, nil
	}
	if err := r.checkURI(p.uri, p.match); err != nil {
		return nil, err
	}
	if (a == realms.Publish || a == realms.Register) && reserved(p.uri) {
		return nil, &errs.Error{Kind: wire.Invalid, User: "names that begin with wamp. are the router's", URI: errInvalidURI}
	}
	if !r.authorized(s, a, p) {
		r.counts.Unauthorized++
		return nil, errs.E(wire.Denied, "not allowed here")
	}
	if len(s.allowed) >= maxRemembered {
		clear(s.allowed)
	}
	key.pattern.uri = strings.Clone(p.uri) // it may be a part of a frame
	g := &grant{}
	put(&s.allowed, key, g)
	return g, nil
}

// authorized asks Authorize; without one everything is denied.
func (r *Realm) authorized(s *Session, a realms.Action, p pattern) bool {
	return r.config.Authorize != nil && r.config.Authorize(s, a, p.uri, p.match)
}

// DefaultMayKnow lets everybody know of themselves, services and consoles know of all but the server's own sessions, and
// those of all.
func DefaultMayKnow(asking, about *Session) bool {
	if asking == about {
		return true
	}
	switch asking.principal.Role {
	case realms.RoleBackend:
		return true
	case realms.RoleService, realms.RoleConsole:
		return about.principal.Role != realms.RoleBackend
	default:
		return false
	}
}
