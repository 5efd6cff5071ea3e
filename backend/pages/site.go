package pages

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Sites are the web applications that tunnels lead to, each under a host name of its own.
type Sites interface {
	Origin(name string) string
	Describe(ctx context.Context, c account.Client, by account.Principal, name string) (Site, error)
	// Invite gives the URL at which the browser enters, once and soon.
	Invite(ctx context.Context, c account.Client, by account.Principal, name string) (secret.Value, error)
}

// Site is one of them.
type Site struct {
	Device, Target string
	Until          time.Time
}

type siteBody struct {
	Site
	Name, To string
}

// siteForm says what is to be opened, and who reads it.
func (p *Pages) siteForm(w http.ResponseWriter, r *request) error {
	query := r.URL.Query()
	name := query.Get("site")
	site, err := p.Sites.Describe(r.Context(), r.client, r.by, name)
	if err != nil {
		return err
	}
	p.allowForm(w, name)
	return p.show(w, r, http.StatusOK, "site", view{Title: "Open a web application", Body: siteBody{site, name, query.Get("to")}})
}

// enterSite leads to the site, with a way in.
func (p *Pages) enterSite(w http.ResponseWriter, r *request) error {
	entry, err := p.Sites.Invite(r.Context(), r.client, r.by, r.PostForm.Get("site"))
	if err != nil {
		return err
	}
	to := string(entry.Reveal())
	if path := r.PostForm.Get("to"); path != "" {
		to += "&" + url.Values{"to": {path}}.Encode()
	}
	p.allowForm(w, r.PostForm.Get("site"))
	return goOn(w, to)
}

// leadingTo lets the forms of an action's pages lead to the site that they are about.
func (p *Pages) leadingTo(do action) action {
	return func(w http.ResponseWriter, r *request) error {
		p.allowForm(w, r.PostForm.Get("site"))
		return do(w, r)
	}
}

// allowForm lets a form of the page lead to a site: browsers ask that of what a form is answered with, too.
func (p *Pages) allowForm(w http.ResponseWriter, name string) {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz234567") == "" && name != "" {
		w.Header().Set("Content-Security-Policy", strings.Replace(policy, "form-action 'self'", "form-action 'self' "+p.Sites.Origin(name), 1))
	}
}

// sitePath is the page of a site.
func sitePath(form url.Values) string {
	query := url.Values{"site": {form.Get("site")}}
	if to := form.Get("to"); to != "" {
		query.Set("to", to)
	}
	return wire.TunnelPathLogin + "?" + query.Encode()
}
