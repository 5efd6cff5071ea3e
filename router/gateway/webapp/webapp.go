// Package webapp shows the web applications of devices to browsers, each under a host name of its own.
//
// It promises that a request below the domain reaches the one web application that its host names and nothing else of the
// server; that a host name opens nothing without the cookie of its own visit; that neither that cookie nor a credential of
// this server comes to the device; that what an application sets holds for its own host alone, and none of its scripts sees a
// way in; that nothing is buffered,
// whatever its size; and that all which is open ends with its visit and its tunnel.
package webapp

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/mux"
	"bulkhead/internal/secret"
	"bulkhead/web"
	"bulkhead/wire"
)

// Visit is a browser that was let in at a tunnel.
type Visit struct {
	Tunnel  string
	Target  wire.Target
	Streams int // at once
	Ended   <-chan struct{}
}

// Doors decide who sees what.
type Doors interface {
	// Visit finds who a cookie stands for; kind Unauthenticated where nobody, NotFound where there is no such site.
	Visit(name, cookie string) (Visit, error)
	// Enter trades an entry, once, for a cookie.
	Enter(ctx context.Context, name, entry, address string) (secret.Value, error)
}

// Sessions lead to devices; see gateway.Gateway.
type Sessions interface {
	Enter(ctx context.Context, tunnel string) (mux.Session, error)
}

// Config is what Apps need; all of it is required.
type Config struct {
	Domain   Domain
	Doors    Doors
	Sessions Sessions
	SiteURL  func(name string) string // the origin of a site
	Login    string                   // the page of this server that leads back with an entry
	Log      *slog.Logger
}

// Apps serves web applications. Make it with New and Close it.
type Apps struct {
	Config
	group  *lifecycle.Group
	pages  map[string]*template.Template
	assets map[string]web.Asset // by path

	mu      sync.Mutex // guards proxies
	proxies map[string]*proxy
}

// New makes Apps of which none is open.
func New(c Config) (*Apps, error) {
	a := &Apps{Config: c, group: lifecycle.NewGroup(context.Background()), assets: map[string]web.Asset{}, proxies: map[string]*proxy{}}
	known := web.Assets()
	var err error
	a.pages, err = web.Pages(template.FuncMap{
		"asset":   func(name string) string { return ownPath(known[name]) },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"human":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	})
	if err != nil {
		return nil, err
	}
	for _, asset := range known {
		a.assets[ownPath(asset)] = asset
	}
	return a, nil
}

func ownPath(asset web.Asset) string {
	return wire.TunnelPathOwn + strings.TrimPrefix(asset.Path, "/")
}

// Close forgets all that is open. What is under way ends with its tunnel.
func (a *Apps) Close() { a.group.Stop() }

// Beside serves what is below the domain, and leaves all else to next.
func (a *Apps) Beside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, within := a.Domain.Split(r.Host)
		if !within {
			next.ServeHTTP(w, r)
			return
		}
		a.serve(w, r, name)
	})
}

// patience is how long the body of a request may take that does not come to an application.
const patience = 5 * time.Second

func (a *Apps) serve(w http.ResponseWriter, r *http.Request, name string) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience)) // until it is forwarded
	switch {
	case name == "":
		a.fail(w, r, errNoSite)
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		a.tell(w, r, http.StatusMethodNotAllowed, "That does not work here", "Web applications are not asked with this method.")
	case strings.HasPrefix(r.URL.Path, wire.TunnelPathOwn):
		a.own(w, r, name)
	case r.Header.Get("Service-Worker") != "" && oversees(r.URL.EscapedPath()):
		a.tell(w, r, http.StatusForbidden, "Refused", "A service worker of the whole host would see the ways in: serve it from a folder.")
	default:
		a.visit(w, r, name)
	}
}

var errNoSite = errs.E(wire.NotFound, "there is no tunnel here, or it has ended")

// oversees reports whether a service worker from that path could be asked for the pages of the gateway's own, and so keep a
// way in for somebody else. Browsers let it see what is below its own folder.
func oversees(path string) bool {
	return strings.HasPrefix(wire.TunnelPathOwn, path[:strings.LastIndexByte(path, '/')+1])
}

// visit lets a visitor through.
func (a *Apps) visit(w http.ResponseWriter, r *http.Request, name string) {
	visit, err := a.Doors.Visit(name, cookieOf(r))
	switch {
	case errs.KindOf(err) == wire.Unauthenticated:
		a.login(w, r, name, r.URL.RequestURI())
	case err != nil:
		a.fail(w, r, err)
	case a.foreign(r, name):
		a.tell(w, r, http.StatusForbidden, "Refused", "This was asked for by a page of another site.")
	default:
		a.forward(w, r, name, visit)
	}
}

// foreign reports whether a page of another site asks, for other than to lead here: cookies of sites beside each other are
// sent with requests from one to the other.
func (a *Apps) foreign(r *http.Request, name string) bool {
	if origins := r.Header.Values("Origin"); len(origins) > 1 || len(origins) == 1 && origins[0] != a.SiteURL(name) {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	default:
		return !isNavigation(r) || r.Header.Get("Sec-Fetch-Mode") == "" || r.Header.Get("Sec-Fetch-Dest") == ""
	}
}

// isNavigation reports whether somebody goes to a page. Programs that say nothing of it may do so.
func isNavigation(r *http.Request) bool {
	mode, dest := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Upgrade") == "" &&
		(mode == "" || mode == "navigate") && (dest == "" || dest == "document")
}

// maxReturn is how long a URL may be to which a login leads back.
const maxReturn = 1 << 10

// login leads to where somebody proves who they are. Only who goes to a page is led there.
func (a *Apps) login(w http.ResponseWriter, r *http.Request, name, to string) {
	if !isNavigation(r) {
		a.tell(w, r, http.StatusUnauthorized, "You are not logged in", "Log in to see this.")
		return
	}
	query := url.Values{"site": {name}}
	if to = local(to); to != "/" {
		query.Set("to", to)
	}
	a.lead(w, a.Login+"?"+query.Encode())
}

func (a *Apps) lead(w http.ResponseWriter, to string) {
	secure(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// local gives a path of the site; anything else is its start.
func local(to string) string {
	if len(to) > maxReturn || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, wire.TunnelPathOwn) || strings.ContainsFunc(to, strange) {
		return "/"
	}
	return to
}

func strange(r rune) bool { return r <= ' ' || r == '\\' || r == '#' || r >= 0x7f }

// own serves what is the gateway's at a site's host.
func (a *Apps) own(w http.ResponseWriter, r *http.Request, name string) {
	if asset, ok := a.assets[r.URL.Path]; ok {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		w.Header().Set("Content-Type", asset.Type)
		_, _ = w.Write(asset.Body) // who has gone needs no answer
		return
	}
	if r.URL.Path != wire.TunnelPathEnter || r.Method != http.MethodGet {
		a.tell(w, r, http.StatusNotFound, "Not found", "There is no such page.")
		return
	}
	a.enter(w, r, name)
}

// enter takes an entry and gives the cookie for it. An entry that is not good leads to the login.
func (a *Apps) enter(w http.ResponseWriter, r *http.Request, name string) {
	query := r.URL.Query()
	to := local(query.Get("to"))
	cookie, err := a.Doors.Enter(r.Context(), name, query.Get("entry"), addressOf(r))
	if errs.KindOf(err) == wire.Unauthenticated {
		if _, err := a.Doors.Visit(name, cookieOf(r)); err == nil { // a page that was gone back to
			a.admit(w, r, a.SiteURL(name)+to)
			return
		}
		a.login(w, r, name, to)
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: CookieName, Value: string(cookie.Reveal()), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	a.admit(w, r, a.SiteURL(name)+to)
}

// admit leads into the site. To where the form of another page may lead, browsers ask of all redirects that follow, those of
// the application too: who was led here by a page starts anew from one of the site's own.
func (a *Apps) admit(w http.ResponseWriter, r *http.Request, to string) {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		secure(w.Header())
		w.Header().Set("Refresh", "0; url="+to)
		a.show(w, http.StatusOK, "done", view{Title: "Opening", Body: body{Link: to, Action: "Go on", Text: "The application opens."}})
	default:
		a.lead(w, to)
	}
}
