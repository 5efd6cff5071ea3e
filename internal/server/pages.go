package server

import (
	"context"
	"net/http"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/httpapi"
	"bulkhead/backend/pages"
	"bulkhead/realms"
)

// servePages adds what people see in a browser, which is also told of what is not there.
func (s *Server) servePages(mux *http.ServeMux) error {
	config := pages.Config{
		Logins: s.logins, Providers: s.relyingParty(), Devices: s.grants, Keys: s.keys, Terminals: terminals{s}, Projects: s.projectsSeen, Noter: s.refusals,
		Public: s.public, Log: s.log, Now: time.Now, Version: s.options.Version,
	}
	if url := s.siteURL(); url != nil {
		config.Sites = sites{s.remote, url}
	}
	made, err := pages.New(config)
	if err != nil {
		return err
	}
	mux.Handle("/", made)
	s.serveTerminals(mux, made)
	return nil
}

// Limits of the overview: so many projects are shown, and looked at in one go.
const (
	overviewProjects = 50
	projectsAtOnce   = 200
)

// projectsSeen lists the projects that somebody sees, in the order of their names.
func (s *Server) projectsSeen(ctx context.Context, by account.Principal) (seen []pages.Project, more bool, err error) {
	sees := s.authorizer()
	for after := ""; ; {
		found, err := s.assets.Projects(ctx, after, projectsAtOnce)
		if err != nil {
			return nil, false, err
		}
		for _, p := range found {
			after = p.Name
			if !sees.Sees(ctx, by, httpapi.Target{Kind: "project", Project: p.Key, Key: p.Key}) {
				continue
			}
			if len(seen) == overviewProjects {
				return seen, true, nil
			}
			seen = append(seen, pages.Project{Name: p.Name, Title: p.Title, DeviceRealm: realms.OfProject(p.Key).Name()})
		}
		if len(found) < projectsAtOnce {
			return seen, false, nil
		}
	}
}
