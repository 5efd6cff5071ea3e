package router

import (
	"cmp"
	"slices"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// SessionInfo is what an operator may know of a session.
type SessionInfo struct {
	ID       uint64    `json:"session"`
	AuthID   string    `json:"authid"`
	Role     string    `json:"authrole"`
	Method   string    `json:"authmethod"`
	Device   wire.Key  `json:"device_key,omitempty"`
	Addr     string    `json:"addr,omitempty"` // empty for a session of this process's own
	Protocol string    `json:"protocol"`
	Joined   time.Time `json:"joined_at"`
	Login    string    `json:"-"` // of a console: the login whose end ends the session
}

// Sessions lists the sessions of a realm, by the time they joined.
func (r *Router) Sessions(realm string) ([]SessionInfo, error) {
	re, err := r.realm(realm)
	if err != nil {
		return nil, err
	}
	re.mu.Lock()
	out := make([]SessionInfo, 0, len(re.members))
	for _, m := range re.members {
		out = append(out, m.info())
	}
	re.mu.Unlock()
	slices.SortFunc(out, func(a, b SessionInfo) int {
		return cmp.Or(a.Joined.Compare(b.Joined), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func (m *member) info() SessionInfo {
	p, d, peer := m.session.Principal(), m.session.Details(), m.end.Peer()
	return SessionInfo{
		ID: uint64(m.session.ID()), AuthID: p.AuthID, Role: string(p.Role), Method: d.AuthMethod, Device: p.Device,
		Addr: peer.Addr, Protocol: peer.Protocol, Joined: m.joined, Login: p.Login,
	}
}

// Kill ends a session of a realm. Its peer is told wamp.close.killed.
func (r *Router) Kill(realm string, session uint64) error {
	re, err := r.realm(realm)
	if err != nil {
		return err
	}
	if !re.kill(message.ID(session), closeKilled, "ended by an operator") {
		return errs.E(wire.NotFound, "no session %d in realm %s", session, realm)
	}
	return nil
}
