package pages

import (
	"net/http"
	"net/url"
	"slices"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// CookieName is the cookie that carries a login. Its prefix makes browsers refuse it from sibling domains, without TLS, or
// for a part of the site only.
const CookieName = "__Host-bulkhead"

func cookie(name, value string, age int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// hold gives the browser a session. It is forgotten with the browser, or when the server ends it.
func hold(w http.ResponseWriter, s account.Session) {
	http.SetCookie(w, cookie(CookieName, string(s.Token.Reveal()), 0))
}

func letGo(w http.ResponseWriter) { http.SetCookie(w, cookie(CookieName, "", -1)) }

// tokenOf gives the token of the one cookie. Two of that name are none: one of them is somebody else's.
func (p *Pages) tokenOf(r *request) string {
	cookies := r.CookiesNamed(CookieName)
	switch len(cookies) {
	case 0:
		return ""
	case 1:
		return cookies[0].Value
	}
	p.notePlanted(r)
	return ""
}

// action answers a request, or gives why it does not.
type action func(w http.ResponseWriter, r *request) error

// handle is where errors become pages.
func (p *Pages) handle(pattern string, do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, plain *http.Request) {
		r := requestOf(plain)
		if err := do(w, r); err != nil {
			p.fail(w, r, pattern, err)
		}
	})
}

// identify finds out who asks. That nobody is logged in is no error.
func (p *Pages) identify(r *request) error {
	token := p.tokenOf(r)
	if token == "" {
		return nil
	}
	by, err := p.Logins.Authenticate(r.Context(), r.client, token)
	switch {
	case errs.KindOf(err) == wire.Unauthenticated:
		return nil
	case err != nil:
		return err
	case by.Proof != account.ProofLogin || by.Kind != account.KindUser:
		return nil
	}
	r.token, r.by = token, by
	return nil
}

// known demands a login, of whichever level.
func (p *Pages) known(do action) action {
	return func(w http.ResponseWriter, r *request) error {
		if err := p.identify(r); err != nil {
			return err
		}
		if !r.by.Valid() {
			return goOn(w, withTo("/login", p.here(r)))
		}
		return do(w, r)
	}
}

// full demands a login with a second factor.
func (p *Pages) full(do action) action {
	return p.known(func(w http.ResponseWriter, r *request) error {
		if r.by.Level < account.AAL2 {
			return p.raise(w, r, p.here(r))
		}
		return do(w, r)
	})
}

// here is where to go on when somebody has logged in: the page that was asked for. A form that was sent is not sent again.
func (p *Pages) here(r *request) string {
	switch {
	case leads(r.URL.Path, "/login") && r.Method == http.MethodPost:
		return localPath(r.PostForm.Get("to"))
	case leads(r.URL.Path, "/login"):
		return localPath(r.URL.Query().Get("to"))
	case r.Method != http.MethodPost:
		return localPath(r.URL.RequestURI())
	case r.URL.Path == wire.TunnelPathLogin:
		return localPath(sitePath(r.PostForm))
	case leads(r.URL.Path, "/account/keys"):
		return "/account/keys"
	case leads(r.URL.Path, "/account"):
		return "/account"
	default:
		return localPath(r.URL.Path)
	}
}

// raise leads to the second factor, or to setting one up.
func (p *Pages) raise(w http.ResponseWriter, r *request, to string) error {
	enrolled, err := p.Logins.Enrolled(r.Context(), r.by)
	if err != nil {
		return err
	}
	if !enrolled {
		return goOn(w, withTo("/login/enrolment", to))
	}
	return goOn(w, withTo("/login/second-factor", to))
}

// confirmField carries the code with which a form is sent again. It is not a field of any other form.
const confirmField = "confirm_code"

// carried is a field of a form that waits for a second factor.
type carried struct{ Name, Value string }

type confirmBody struct {
	Text, Action, Back string
	Carried            []carried
}

// fresh demands a second factor that was shown within the last minutes. Where it was not, a page asks for it and sends the
// same form again together with the code, so that the user goes on with what was asked.
func (p *Pages) fresh(why string, do action) action {
	return p.full(func(w http.ResponseWriter, r *request) error {
		if r.by.Fresh(p.Now()) {
			return do(w, r)
		}
		code := r.PostForm.Get(confirmField)
		if code == "" {
			return p.confirmForm(w, r, why, nil)
		}
		session, err := p.Logins.SecondFactor(r.Context(), r.client, r.by, digits(code))
		if err != nil {
			return p.confirmForm(w, r, why, err)
		}
		if err := p.take(w, r, session); err != nil {
			return err
		}
		if !r.by.Fresh(p.Now()) { // it would be asked for ever
			return errs.E(wire.Denied, "this needs a second factor that was shown just now")
		}
		return do(w, r)
	})
}

func (p *Pages) confirmForm(w http.ResponseWriter, r *request, why string, fault error) error {
	status, problem, err := p.inForm(r, "confirm", fault)
	if err != nil {
		return err
	}
	body := confirmBody{Text: why, Action: r.URL.Path, Back: orHome(p.here(r)), Carried: carriedOf(r.PostForm)}
	return p.show(w, r, status, "confirm", view{Title: "Confirm that it is you", Problem: problem, Body: body})
}

func carriedOf(form url.Values) []carried {
	var list []carried
	for name, values := range form {
		for _, value := range values {
			if name != confirmField {
				list = append(list, carried{name, value})
			}
		}
	}
	slices.SortFunc(list, func(a, b carried) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}

// inForm tells of a fault within the form that it is about. What is no fault of the user is not told there.
func (p *Pages) inForm(r *request, op string, fault error) (status int, problem string, err error) {
	switch kind := errs.KindOf(fault); kind {
	case "":
		return http.StatusOK, "", nil
	case wire.Invalid, wire.Unauthenticated, wire.Denied, wire.NotFound, wire.Conflict, wire.Exhausted:
		p.log(r, op, fault)
		return errs.Of(kind).Status, sentence(errs.UserText(fault)), nil
	default:
		return 0, "", fault
	}
}

// take puts a session that was just made in the place of the one before: in the browser, and in what follows.
func (p *Pages) take(w http.ResponseWriter, r *request, s account.Session) error {
	hold(w, s) // the one before is dead, whatever comes next
	token := string(s.Token.Reveal())
	by, err := p.Logins.Authenticate(r.Context(), r.client, token)
	if err != nil {
		return err
	}
	r.token, r.by = token, by
	return nil
}
