package idp

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/op"

	"bulkhead/web"
)

//go:embed login.html
var loginHTML string

// loginPage looks like the server's own, whose stylesheet is at the same origin.
var loginPage = template.Must(template.New("login").Funcs(template.FuncMap{
	"asset": func(name string) string { return web.Assets()[name].Path },
}).Parse(loginHTML))

type view struct{ ID, Name, Fault, Hint string }

const over = "This login is over. Start again where you came from."

func (p *provider) showLogin(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	found, ok := p.storage.trips.find(id)
	if !ok {
		p.render(w, http.StatusBadRequest, view{Fault: over})
		return
	}
	p.render(w, http.StatusOK, view{ID: id, Name: found.asked.LoginHint})
}

// login answers the page, and sends the browser back to the client with a code.
func (p *provider) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		p.render(w, http.StatusBadRequest, view{Fault: "The form cannot be read."})
		return
	}
	id, name := r.PostForm.Get("id"), strings.TrimSpace(r.PostForm.Get("name"))
	if !p.storage.knows(name, r.PostForm.Get("password")) {
		p.render(w, http.StatusUnauthorized, view{ID: id, Name: name, Fault: "Name or password is wrong."})
		return
	}
	finished, ok := p.storage.trips.finish(id, name)
	if !ok {
		p.render(w, http.StatusBadRequest, view{Fault: over})
		return
	}
	op.AuthResponse(finished, p, &goingBack{ResponseWriter: w, config: p.config}, r)
}

func (p *provider) render(w http.ResponseWriter, status int, v view) {
	v.Hint = p.config.Hint
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = loginPage.Execute(w, v) // a browser that has gone needs no page
}
