package server

import (
	"net/http"
	"time"

	"bulkhead/backend/account/oidc"
	"bulkhead/db"
)

// Providers has the use cases of those who vouch for users.
func (s *Server) Providers() *oidc.Providers {
	return oidc.NewProviders(db.NewProviders(s.db), s.sealer, time.Now, s.endLogin)
}

// relyingParty logs users in with providers.
func (s *Server) relyingParty() *oidc.RelyingParty {
	return oidc.New(oidc.Config{
		Rows: db.NewProviders(s.db), Sealer: s.sealer, Noter: s.refusals, PublicURL: s.public, Log: s.log, Now: time.Now,
	})
}

// mount adds the handlers that the options bring.
func (s *Server) mount(mux *http.ServeMux) error {
	if s.options.Mount == nil {
		return nil
	}
	handlers, err := s.options.Mount(s.public)
	for pattern, handler := range handlers {
		mux.Handle(pattern, handler)
	}
	return err
}
