package authn

import (
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// maxTicket is the longest ticket in bytes that is handed on.
const maxTicket = 1024

func (a *Authenticator) beginTicket(x *Exchange, c *claim) {
	x.Challenge = &message.Challenge{Method: MethodTicket, Extra: message.Dict{}}
	x.prove = func(m *message.Authenticate) (Grant, error) { return a.proveTicket(c, m.Signature) }
}

// proveTicket trusts the redeemer with who the ticket is for, and with nothing more: a ticket opens sessions of people in
// a realm of their project only.
func (a *Authenticator) proveTicket(c *claim, ticket string) (Grant, error) {
	if ticket == "" || len(ticket) > maxTicket {
		return Grant{}, failed("ticket is empty or too long")
	}
	p, err := a.config.Tickets.Redeem(c.request.Realm, c.request.AuthID, ticket)
	switch {
	case errs.KindOf(err) == wire.Unavailable:
		return Grant{}, err
	case err != nil:
		return Grant{}, failedBy(err)
	case p.Role != realms.RoleConsole, p.Project != c.entry.Realm.Project, p.AuthID != c.request.AuthID:
		return Grant{}, failed("ticket is for another principal")
	}
	return Grant{Principal: p}, nil
}
