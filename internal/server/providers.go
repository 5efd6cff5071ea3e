package server

import (
	"time"

	"bulkhead/backend/account/oidc"
	"bulkhead/db"
)

// providers are what administrators do with those who vouch for users.
func (s *Server) providers() *oidc.Providers {
	return oidc.NewProviders(db.NewProviders(s.db), s.sealer, time.Now)
}
