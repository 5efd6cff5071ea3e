package server

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/pages"
	"bulkhead/backend/remote"
	"bulkhead/internal/secret"
	"bulkhead/router/gateway/webapp"
	"bulkhead/wire"
)

// webDomain is where web applications of devices are shown; "" for nowhere.
func (s *Server) webDomain() webapp.Domain { return webapp.Domain(s.options.Config.Gateway.HTTPDomain) }

// elsewhere reports whether a host belongs to devices.
func (s *Server) elsewhere(host string) bool {
	_, within := s.webDomain().Split(host)
	return within
}

// siteURL gives the origin of a site, at the port of this server; nil where there is no domain.
func (s *Server) siteURL() func(name string) string {
	if s.webDomain() == "" {
		return nil
	}
	port := ""
	if u, err := url.Parse(s.public); err == nil && u.Port() != "" && u.Port() != "443" {
		port = ":" + u.Port()
	}
	return func(name string) string { return "https://" + name + "." + string(s.webDomain()) + port }
}

// besideWebApps serves web applications below their domain, and next elsewhere.
func (s *Server) besideWebApps(next http.Handler) (http.Handler, error) {
	if s.webDomain() == "" {
		return next, nil
	}
	var err error
	s.webApps, err = webapp.New(webapp.Config{
		Domain: s.webDomain(), Doors: doors{s.remote}, Sessions: s.gateway, SiteURL: s.siteURL(), Login: s.public + wire.TunnelPathLogin, Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	return s.webApps.Beside(next), nil
}

// doors shows who decides to the web applications.
type doors struct{ remote *remote.Remote }

// Visit finds who a cookie stands for.
func (d doors) Visit(name, cookie string) (webapp.Visit, error) {
	v, err := d.remote.Visit(name, cookie)
	return webapp.Visit{Tunnel: v.Tunnel, Target: v.Target, Streams: v.Streams, Ended: v.Ended}, err
}

// Enter trades an entry for a cookie.
func (d doors) Enter(ctx context.Context, name, entry, address string) (secret.Value, error) {
	return d.remote.Enter(ctx, name, entry, address)
}

// sites shows who decides to the pages.
type sites struct {
	remote *remote.Remote
	url    func(name string) string
}

// Origin is where a site is.
func (s sites) Origin(name string) string { return s.url(name) }

// Describe tells what a site shows.
func (s sites) Describe(ctx context.Context, c account.Client, by account.Principal, name string) (pages.Site, error) {
	t, err := s.remote.Site(ctx, by.Actor(c), name)
	return pages.Site{Device: t.DeviceName, Target: t.Target.String(), Until: t.ExpiresAt}, err
}

// Invite lets somebody enter a site.
func (s sites) Invite(ctx context.Context, c account.Client, by account.Principal, name string) (secret.Value, error) {
	return s.remote.Invite(ctx, remote.Requester{
		Actor: by.Actor(c), Login: by.Login, Fresh: by.Fresh(time.Now()), Method: "second_factor", At: by.FactorAt,
	}, name)
}
