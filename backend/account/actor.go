package account

import "bulkhead/backend/audit"

// Actor gives the principal as the audit log names it.
func (p Principal) Actor(c Client) audit.Actor {
	return audit.Actor{Kind: audit.ActorKind(p.Kind), ID: p.AuthID(), Name: p.Name, Address: c.Address, RequestID: c.RequestID}
}
