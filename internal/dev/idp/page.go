package idp

import (
	"crypto/subtle"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

//go:embed login.html
var loginHTML string

var loginPage = template.Must(template.New("login").Parse(loginHTML))

type view struct{ ID, Name, Fault string }

const over = "This login is over. Start again where you came from."

// authorize takes a browser that the client has sent. What could send it on to a stranger is answered here.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != p.ClientID || q.Get("redirect_uri") != p.RedirectURI {
		render(w, http.StatusBadRequest, view{Fault: "This provider serves bulkhead dev alone, which did not send you here."})
		return
	}
	fault := ""
	switch {
	case q.Get("response_type") != "code":
		fault = "unsupported_response_type"
	case !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		fault = "invalid_scope"
	case q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256":
		fault = "invalid_request"
	case q.Get("prompt") == "none":
		fault = "login_required"
	}
	if fault != "" {
		p.goBack(w, r, url.Values{"error": {fault}, "state": {q.Get("state")}})
		return
	}
	id, ok := p.trips.begin(trip{state: q.Get("state"), nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), hint: q.Get("login_hint")})
	if !ok {
		render(w, http.StatusServiceUnavailable, view{Fault: "Too many logins are under way: try again in ten minutes."})
		return
	}
	http.Redirect(w, r, p.Issuer+"/login?id="+id, http.StatusSeeOther)
}

// goBack sends the browser to the client.
func (p *provider) goBack(w http.ResponseWriter, r *http.Request, values url.Values) {
	values.Set("iss", p.Issuer)
	http.Redirect(w, r, p.RedirectURI+"?"+values.Encode(), http.StatusSeeOther)
}

func (p *provider) showLogin(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	found, ok := p.trips.find(id)
	if !ok {
		render(w, http.StatusBadRequest, view{Fault: over})
		return
	}
	render(w, http.StatusOK, view{ID: id, Name: found.hint})
}

func (p *provider) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		render(w, http.StatusBadRequest, view{Fault: "The form cannot be read."})
		return
	}
	id, name := r.PostForm.Get("id"), strings.TrimSpace(r.PostForm.Get("name"))
	if !p.knows(name, r.PostForm.Get("password")) {
		render(w, http.StatusUnauthorized, view{ID: id, Name: name, Fault: "Name or password is wrong."})
		return
	}
	code, finished, ok := p.trips.finish(id, name)
	if !ok {
		render(w, http.StatusBadRequest, view{Fault: over})
		return
	}
	p.goBack(w, r, url.Values{"code": {code}, "state": {finished.state}})
}

// knows compares with all users, so that the time tells nothing.
func (p *provider) knows(name, password string) bool {
	found := 0
	for _, u := range p.Users {
		found |= subtle.ConstantTimeCompare([]byte(u.Name), []byte(name)) & subtle.ConstantTimeCompare(u.Password.Reveal(), []byte(password))
	}
	return found == 1
}

// logout has nothing to end: the password is asked each time.
func (p *provider) logout(w http.ResponseWriter, r *http.Request) {
	if to := r.URL.Query().Get("post_logout_redirect_uri"); to == p.LogoutURI && to != "" {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	render(w, http.StatusOK, view{Fault: "You are logged out."})
}

func render(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = loginPage.Execute(w, v) // a browser that has gone needs no page
}
