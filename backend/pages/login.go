package pages

import (
	"net/http"
	"strings"

	"bulkhead/backend/account"
	"bulkhead/backend/account/oidc"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

type (
	loginBody struct {
		Waiting   string // what goes on afterwards
		Name      string
		Wrong     bool // it is the fields that are wrong
		Domains   bool
		Providers []providerLink
	}
	providerLink struct{ Name, Link string }
	leaveBody    struct{ Text, Link, Action string }
)

func (p *Pages) loginForm(w http.ResponseWriter, r *request) error {
	if err := p.identify(r); err != nil {
		return err
	}
	to := returnTo(r.Request)
	if r.by.Valid() {
		if r.by.Level >= account.AAL2 {
			return goOn(w, orHome(to))
		}
		return p.raise(w, r, to)
	}
	return p.showLogin(w, r, to, "", nil)
}

func (p *Pages) showLogin(w http.ResponseWriter, r *request, to, name string, fault error) error {
	status, problem, err := p.inForm(r, "login", fault)
	if err != nil {
		return err
	}
	choices, err := p.Providers.Choices(r.Context())
	if err != nil {
		return err
	}
	body := loginBody{Name: name, Wrong: problem != "" && r.URL.Path == "/login", Domains: len(choices) > 0}
	if leads(strings.SplitN(to, "?", 2)[0], "/device") {
		body.Waiting = "Then you can approve the command line that waits."
	}
	for _, c := range choices {
		body.Providers = append(body.Providers, providerLink{c.Title, withTo("/login/oidc/"+c.Slug, to)})
	}
	return p.show(w, r, status, "login", view{Title: "Log in", Problem: problem, To: to, Body: body})
}

// login takes a name and a password, or only an address whose domain a provider answers for.
func (p *Pages) login(w http.ResponseWriter, r *request) error {
	to, name := returnTo(r.Request), strings.TrimSpace(r.PostForm.Get("name"))
	choice, err := p.Providers.ChoiceOf(r.Context(), name)
	switch {
	case err == nil:
		return p.showLeave(w, r, choice, to)
	case errs.KindOf(err) != wire.NotFound:
		return err
	case r.PostForm.Get("password") == "":
		return p.showLogin(w, r, to, name, errs.E(wire.Invalid, "Enter your password. No organisation here logs this name in"))
	}
	session, err := p.Logins.Password(r.Context(), r.client, account.LoginBrowser, name, secret.FromString(r.PostForm.Get("password")))
	if err != nil {
		return p.showLogin(w, r, to, name, err)
	}
	return p.proceed(w, r, session, to)
}

// showLeave is between the form and the provider: a page's forms lead to this server alone, its links lead on.
func (p *Pages) showLeave(w http.ResponseWriter, r *request, choice oidc.Choice, to string) error {
	link := withTo("/login/oidc/"+choice.Slug, to)
	w.Header().Set("Refresh", "0; url="+link)
	return p.show(w, r, http.StatusOK, "leave", view{Title: "Continue with " + choice.Title, Body: leaveBody{
		Text: "Your organisation logs you in there.", Link: link, Action: "Continue",
	}})
}

// proceed gives the browser the session that a first factor has made, in the place of the one that it had.
func (p *Pages) proceed(w http.ResponseWriter, r *request, session account.Session, to string) error {
	if err := p.identify(r); err != nil {
		return err
	}
	if r.by.Valid() {
		if err := p.Logins.End(r.Context(), r.client, r.by, r.by.Login); err != nil && errs.KindOf(err) != wire.NotFound {
			return err
		}
	}
	if err := p.take(w, r, session); err != nil {
		return err
	}
	return p.raise(w, r, to)
}

func (p *Pages) leaveForProvider(w http.ResponseWriter, r *request) error {
	start, err := p.Providers.Begin(r.Context(), r.client, oidc.Ask{Slug: r.PathValue("provider"), ReturnTo: returnTo(r.Request)})
	if err != nil {
		return p.showLogin(w, r, returnTo(r.Request), "", softened(err))
	}
	http.SetCookie(w, cookie(oidc.CookieName, string(start.Transaction.Reveal()), int(oidc.TransactionLife.Seconds())))
	return goOn(w, start.URL) // from the provider's own description, not from the request
}

// backFromProvider believes a provider, or not. A transaction ends here, however that comes out.
func (p *Pages) backFromProvider(w http.ResponseWriter, r *request) error {
	http.SetCookie(w, cookie(oidc.CookieName, "", -1))
	transaction := ""
	if cookies := r.CookiesNamed(oidc.CookieName); len(cookies) == 1 {
		transaction = cookies[0].Value
	}
	proof, err := p.Providers.Finish(r.Context(), r.client, r.PathValue("provider"), transaction, r.URL.Query())
	if err != nil {
		return p.showLogin(w, r, "", "", softened(err))
	}
	to := localPath(proof.ReturnTo)
	session, err := p.Logins.Identified(r.Context(), r.client, account.LoginBrowser, proof.Identity)
	if err != nil {
		return p.showLogin(w, r, to, "", err)
	}
	return p.proceed(w, r, session, to)
}

// softened lets a provider's outage be told on the login page: there are other ways to log in.
func softened(err error) error {
	if errs.KindOf(err) == wire.Unavailable {
		return errs.As(wire.Conflict, err, "%s", errs.UserText(err))
	}
	return err
}

func (p *Pages) logoutForm(w http.ResponseWriter, r *request) error {
	if err := p.identify(r); err != nil {
		return err
	}
	if !r.by.Valid() {
		return goOn(w, "/login")
	}
	return p.show(w, r, http.StatusOK, "logout", view{Title: "Log out"})
}

// logout ends the login here, and where its provider wants that, leads there to end it too.
func (p *Pages) logout(w http.ResponseWriter, r *request) error {
	if err := p.identify(r); err != nil {
		return err
	}
	letGo(w)
	if !r.by.Valid() {
		return goOn(w, "/login")
	}
	elsewhere := p.logoutElsewhere(r)
	if err := p.Logins.End(r.Context(), r.client, r.by, r.by.Login); err != nil && errs.KindOf(err) != wire.NotFound {
		return err
	}
	if elsewhere == "" {
		return p.show(w, &request{Request: r.Request, client: r.client}, http.StatusOK, "done", view{Title: "You are logged out", Body: doneBody{
			Text: "This browser has no session here any more.", Link: "/login", Action: "Log in again", Quiet: true,
		}})
	}
	w.Header().Set("Refresh", "0; url="+elsewhere)
	return p.show(w, &request{Request: r.Request, client: r.client}, http.StatusOK, "leave", view{Title: "You are logged out here", Body: leaveBody{
		Text: "Your organisation's login is ended next.", Link: elsewhere, Action: "Continue",
	}})
}

// logoutElsewhere finds the provider's page. A provider that cannot be asked keeps nobody logged in here.
func (p *Pages) logoutElsewhere(r *request) string {
	provider, idToken, err := p.Logins.IDToken(r.Context(), r.by)
	if err == nil && !provider.Valid() {
		return "" // a local login
	}
	if err != nil {
		p.log(r, "logout", err)
		return ""
	}
	link, err := p.Providers.LogoutURL(r.Context(), provider, idToken)
	if err != nil {
		p.log(r, "logout", err)
		return ""
	}
	return link
}
