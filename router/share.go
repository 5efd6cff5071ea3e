package router

import (
	"bulkhead/realms"
	"bulkhead/router/transport"
)

// party is a principal as it is in one realm.
type party struct {
	authid string
	role   realms.Role
}

func (m *member) party() party {
	p := m.session.Principal()
	return party{p.AuthID, p.Role}
}

// share is what the sessions of one party have together.
type share struct {
	budget   *transport.Budget
	sessions int
}

// shareOf gives a session its party's budget. The realm is locked.
func (re *realm) shareOf(m *member) *transport.Budget {
	s := re.shares[m.party()]
	if s == nil {
		s = &share{budget: re.budget.Part(re.router.limits.AuthIDBytes)}
		re.shares[m.party()] = s
	}
	s.sessions++
	return s.budget
}

// unshare takes a session out of its party. The realm is locked.
func (re *realm) unshare(m *member) {
	s := re.shares[m.party()]
	if s.sessions--; s.sessions == 0 {
		delete(re.shares, m.party())
	}
}
