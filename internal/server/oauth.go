package server

import (
	"net/http"
	"time"

	"bulkhead/backend/account/devicegrant"
	"bulkhead/backend/oauth"
	"bulkhead/db"
)

// makeGrants makes what a command line logs in by; the pages approve it.
func (s *Server) makeGrants() { s.grants = devicegrant.New(time.Now, db.NewAudit(s.db)) }

// serveOAuth adds the endpoints by which a command line logs in and out.
func (s *Server) serveOAuth(mux *http.ServeMux) {
	endpoints := oauth.Handler(oauth.Config{Grants: s.grants, Logins: s.logins, PublicURL: s.public, Log: s.log, Now: time.Now})
	for _, path := range []string{oauth.AuthorizationPath, oauth.TokenPath, oauth.RevocationPath} {
		mux.Handle(path, endpoints)
	}
}
