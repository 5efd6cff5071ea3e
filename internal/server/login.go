package server

import (
	"context"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/account/password"
	"bulkhead/backend/account/password/apart"
	"bulkhead/backend/audit"
	"bulkhead/db"
)

// issuer is what authenticators show beside a user's name.
const issuer = "Bulkhead"

// makeLogins makes what proves who calls: people by logins, programs by API keys.
func (s *Server) makeLogins(ctx context.Context) error {
	s.refusals = audit.NewRefusals(db.NewAudit(s.db), s.log, time.Now)
	s.keys = account.NewKeys(db.NewAPIKeys(s.db), time.Now, s.endLogin)
	hasher, users := password.New(s.deriver()), db.NewUsers(s.db)
	s.logins = account.NewLogins(account.LoginsConfig{
		Store: db.NewLogins(s.db), Users: users, Sealer: s.sealer, Noter: s.refusals, Hasher: hasher, Log: s.log, Now: time.Now,
		Issuer: issuer, Ended: s.endLogin,
	})
	s.users = account.NewUsers(users, hasher, s.logins, s.keys, time.Now)
	s.services = account.NewServiceAccounts(db.NewServiceAccounts(s.db), s.keys, time.Now)
	return s.keys.EnsureOwner(ctx, s.OwnerKeyFile())
}

// deriver hashes passwords in processes of their own where the server is told by what program.
func (s *Server) deriver() password.Deriver {
	if len(s.options.Hasher) == 0 {
		return password.Here{}
	}
	s.hashes = apart.New(s.options.Hasher[0], s.options.Hasher[1:], password.Workers(), s.log)
	return s.hashes
}

// Users has the use cases of users.
func (s *Server) Users() *account.Users { return s.users }

// Logins proves people.
func (s *Server) Logins() *account.Logins { return s.logins }
