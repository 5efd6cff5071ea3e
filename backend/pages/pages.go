// Package pages serves what people see in a browser: logging in with a password or a provider, the second factor, the
// approval of command lines, their own account, and terminals on devices.
//
// It promises that no page but a terminal needs a script, and that none loads anything from elsewhere; that a form counts only when this server's own
// page sent it; that nobody is sent on to another site by what a request says; that a login which was not raised by a
// second factor sees nothing but the way to it; that the cookie changes whenever what it opens does; that what needs a
// fresh second factor asks for one and then goes on with what was asked; and that nothing of a page is kept on the way.
package pages

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/account/devicegrant"
	"bulkhead/backend/account/oidc"
	"bulkhead/backend/audit"
	"bulkhead/internal/secret"
	"bulkhead/web"
	"bulkhead/wire"
)

// Logins proves who somebody is, step by step; see account.Logins.
type Logins interface {
	Admit(c account.Client) error
	Password(ctx context.Context, c account.Client, kind account.LoginKind, name string, password secret.Value) (account.Session, error)
	Identified(ctx context.Context, c account.Client, kind account.LoginKind, who account.Identity) (account.Session, error)
	Authenticate(ctx context.Context, from account.Client, token string) (account.Principal, error)
	Enrolled(ctx context.Context, p account.Principal) (bool, error)
	Enrol(ctx context.Context, c account.Client, p account.Principal) (account.Enrolment, error)
	ConfirmEnrolment(ctx context.Context, c account.Client, p account.Principal, code string) (account.Session, []secret.Value, error)
	SecondFactor(ctx context.Context, c account.Client, p account.Principal, code string) (account.Session, error)
	List(ctx context.Context, p account.Principal) ([]account.Login, error)
	End(ctx context.Context, c account.Client, p account.Principal, id string) error
	// EndAll ends all logins of the user but one.
	EndAll(ctx context.Context, c account.Client, p account.Principal, but string) error
	IDToken(ctx context.Context, p account.Principal) (provider wire.Key, idToken secret.Value, err error)
}

// Providers sends browsers to those who vouch for users, and believes what they bring back; see oidc.RelyingParty.
type Providers interface {
	Choices(ctx context.Context) ([]oidc.Choice, error)
	ChoiceOf(ctx context.Context, address string) (oidc.Choice, error)
	Begin(ctx context.Context, from account.Client, ask oidc.Ask) (oidc.Start, error)
	Finish(ctx context.Context, from account.Client, slug, transaction string, query url.Values) (oidc.Proof, error)
	LogoutURL(ctx context.Context, provider wire.Key, idToken secret.Value) (string, error)
}

// Devices are the command lines that wait to be logged in; see devicegrant.Grants.
type Devices interface {
	Describe(by account.Principal, userCode string) (devicegrant.Asking, error)
	Approve(ctx context.Context, c account.Client, by account.Principal, userCode string) error
	Deny(ctx context.Context, c account.Client, by account.Principal, userCode string) error
}

// Project is one that the overview shows.
type Project struct{ Name, Title, DeviceRealm string }

// Projects lists what somebody sees, and tells whether there are more.
type Projects func(ctx context.Context, by account.Principal) (seen []Project, more bool, err error)

// Config is what the pages need; all of it but Sites is required.
type Config struct {
	Logins    Logins
	Providers Providers
	Devices   Devices
	Keys      Keys
	Terminals Terminals
	Sites     Sites // nil where no web applications are shown
	Projects  Projects
	Noter     audit.Noter // takes what was refused here; the others keep their own record
	Public    string      // the origin of this server
	Log       *slog.Logger
	Now       func() time.Time
	Version   string
}

// Pages serves what no other part of the server does: what it does not know is a page that is not there. Make one with New.
type Pages struct {
	Config
	templates   map[string]*template.Template
	crossOrigin *http.CrossOriginProtection
	handler     http.Handler
	bodyTimeout time.Duration
	tickets     *tickets
}

var _ http.Handler = (*Pages)(nil)

// New makes the pages.
func New(c Config) (*Pages, error) {
	if c.Logins == nil || c.Providers == nil || c.Devices == nil || c.Keys == nil || c.Terminals == nil || c.Projects == nil || c.Noter == nil || c.Public == "" || c.Log == nil || c.Now == nil {
		return nil, errors.New("pages: New: something required is missing in Config")
	}
	c.Public = strings.TrimSuffix(c.Public, "/")
	p := &Pages{Config: c, crossOrigin: http.NewCrossOriginProtection(), bodyTimeout: bodyTimeout, tickets: newTickets(c.Now)}
	var err error
	if p.templates, err = web.Pages(p.functions()); err != nil {
		return nil, err
	}
	p.handler = p.gated(p.routes())
	return p, nil
}

// ServeHTTP answers a request.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

func (p *Pages) routes() http.Handler {
	mux := http.NewServeMux()
	anybody := func(pattern string, do action) { mux.Handle(pattern, p.handle(pattern, do)) }
	known := func(pattern string, do action) { mux.Handle(pattern, p.handle(pattern, p.known(do))) }
	full := func(pattern string, do action) { mux.Handle(pattern, p.handle(pattern, p.full(do))) }
	fresh := func(pattern, why string, do action) { mux.Handle(pattern, p.handle(pattern, p.fresh(why, do))) }

	full("GET /{$}", p.overview)
	anybody("GET /login", p.loginForm)
	anybody("POST /login", p.login)
	anybody("GET /login/oidc/{provider}", p.leaveForProvider)
	anybody("GET /login/oidc/{provider}/callback", p.backFromProvider)
	known("GET /login/second-factor", p.factorForm)
	known("POST /login/second-factor", p.factor)
	known("GET /login/recovery", p.recoveryForm)
	known("POST /login/recovery", p.recover)
	known("GET /login/enrolment", p.enrolForm)
	known("POST /login/enrolment", p.enrol)
	known("POST /login/enrolment/confirm", p.confirmEnrolment)
	anybody("GET /logout", p.logoutForm)
	anybody("POST /logout", p.logout)
	full("GET /device", p.deviceForm)
	fresh("POST /device", "To log in a command line, enter the code that your authenticator app shows now.", p.decideDevice)
	full("GET /account", p.account)
	full("POST /account/logins/end", p.endLogin)
	full("POST /account/logins/end-others", p.endOtherLogins)
	full("GET /account/keys", p.keys)
	fresh("POST /account/keys", "To make an API key, enter the code that your authenticator app shows now.", p.createKey)
	full("POST /account/keys/revoke", p.revokeKey)
	full("GET /terminal", p.terminals)
	full("GET /terminal/{project}/{device}", p.askTerminal)
	fresh("POST /terminal/{project}/{device}", "To open a terminal, enter the code that your authenticator app shows now.", p.openTerminal)
	full("GET /terminal/{id}", p.terminal)
	full("POST /terminal/{id}", p.endTerminal)
	if p.Sites != nil {
		full("GET "+wire.TunnelPathLogin, p.siteForm)
		mux.Handle("POST "+wire.TunnelPathLogin, p.handle("POST "+wire.TunnelPathLogin,
			p.leadingTo(p.fresh("To open what a tunnel leads to, enter the code that your authenticator app shows now.", p.enterSite))))
	}
	for _, asset := range web.Assets() {
		mux.Handle("GET "+asset.Path, static(asset))
	}
	anybody("/", p.nothing)
	return mux
}

// static serves a file whose path changes with what is in it.
func static(asset web.Asset) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		w.Header().Set("Content-Type", asset.Type)
		body := asset.Body
		if asset.Packed != nil {
			w.Header().Set("Vary", "Accept-Encoding")
			if takesGzip(r) {
				w.Header().Set("Content-Encoding", "gzip")
				body = asset.Packed
			}
		}
		_, _ = w.Write(body) // who has gone needs no answer
	})
}

// takesGzip reads the header as far as browsers use it: who gives weights is sent what needs none.
func takesGzip(r *http.Request) bool {
	for encoding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if strings.TrimSpace(encoding) == "gzip" {
			return true
		}
	}
	return false
}
