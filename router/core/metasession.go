package core

import (
	"cmp"
	"slices"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

var errNoSuchSession = &errs.Error{Kind: wire.NotFound, User: "no such session", URI: "wamp.error.no_such_session"}

// known gives the sessions that the caller may know and that pass the filter, ordered by id.
func (r *Realm) known(c *metaCall, pass func(*Session) bool) []*Session {
	var known []*Session
	for s := range r.Sessions() {
		if pass(s) && r.mayKnow(c.caller, s) {
			known = append(known, s)
		}
	}
	slices.SortFunc(known, func(a, b *Session) int { return cmp.Compare(a.id, b.id) })
	return known
}

// filtered gives the known sessions whose role is in the optional list of argument 0.
func (r *Realm) filtered(c *metaCall) ([]*Session, error) {
	roles, err := optionalArg[[]string](c, 0, "filter_authroles")
	if err != nil {
		return nil, err
	}
	return r.known(c, func(s *Session) bool {
		return roles == nil || slices.Contains(roles, string(s.principal.Role))
	}), nil
}

func sessionCount(r *Realm, c *metaCall) ([]any, error) {
	known, err := r.filtered(c)
	return []any{len(known)}, err
}

func sessionList(r *Realm, c *metaCall) ([]any, error) {
	known, err := r.filtered(c)
	return []any{idsOf(known)}, err
}

func idsOf(known []*Session) []any {
	ids := make([]any, len(known))
	for i, s := range known {
		ids[i] = s.id
	}
	return ids
}

// knownSession reads the id in argument 0. A session that the caller may not know is not there.
func (r *Realm) knownSession(c *metaCall) (*Session, error) {
	id, err := arg[message.ID](c, 0, "session")
	if err != nil {
		return nil, err
	}
	s := r.sessions[id]
	if s == nil || !r.mayKnow(c.caller, s) {
		return nil, errNoSuchSession
	}
	return s, nil
}

func sessionGet(r *Realm, c *metaCall) ([]any, error) {
	s, err := r.knownSession(c)
	if err != nil {
		return nil, err
	}
	return []any{s.describe()}, nil
}

// goodbye is what the killed are told.
type goodbye struct{ reason, text string }

const closeKilled = "wamp.close.killed"

func (r *Realm) goodbye(c *metaCall) (g goodbye, err error) {
	reason, given, err := kwarg[string](c.kwargs, "reason")
	if err != nil {
		return g, err
	}
	if !given {
		reason = closeKilled
	} else if err := r.checkURI(reason, realms.Exact); err != nil {
		return g, &errs.Error{Kind: wire.Invalid, User: "reason is not a valid URI", URI: errInvalidURI}
	}
	text, _, err := kwarg[string](c.kwargs, "message")
	return goodbye{reason, text}, err
}

// killable says whom the caller may kill, of those whom it may know: not itself, and never the server's own sessions.
func (c *metaCall) killable(s *Session) bool {
	return s != c.caller && s.principal.Role != realms.RoleBackend
}

func sessionKill(r *Realm, c *metaCall) ([]any, error) {
	s, err := r.knownSession(c)
	if err != nil {
		return nil, err
	}
	if !c.killable(s) {
		return nil, errNoSuchSession
	}
	_, err = r.killEach(c, func(other *Session) bool { return other == s })
	return nil, err
}

func sessionKillByAuthID(r *Realm, c *metaCall) ([]any, error) {
	authid, err := arg[string](c, 0, "authid")
	if err != nil {
		return nil, err
	}
	killed, err := r.killEach(c, func(s *Session) bool { return s.principal.AuthID == authid })
	return []any{idsOf(killed)}, err
}

func sessionKillByAuthRole(r *Realm, c *metaCall) ([]any, error) {
	role, err := arg[string](c, 0, "authrole")
	if err != nil {
		return nil, err
	}
	killed, err := r.killEach(c, func(s *Session) bool { return string(s.principal.Role) == role })
	return []any{len(killed)}, err
}

func sessionKillAll(r *Realm, c *metaCall) ([]any, error) {
	killed, err := r.killEach(c, func(*Session) bool { return true })
	return []any{len(killed)}, err
}

func (r *Realm) killEach(c *metaCall, pass func(*Session) bool) ([]*Session, error) {
	g, err := r.goodbye(c)
	if err != nil {
		return nil, err
	}
	victims := r.known(c, func(s *Session) bool { return pass(s) && c.killable(s) })
	r.kill(victims, g.reason, g.text, c.now)
	return victims, nil
}
