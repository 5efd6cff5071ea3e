package idp

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/op"
)

//go:embed login.html
var loginHTML string

var loginPage = template.Must(template.New("login").Parse(loginHTML))

type view struct{ ID, Name, Fault string }

const over = "This login is over. Start again where you came from."

func (p *provider) showLogin(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	found, ok := p.storage.trips.find(id)
	if !ok {
		render(w, http.StatusBadRequest, view{Fault: over})
		return
	}
	render(w, http.StatusOK, view{ID: id, Name: found.asked.LoginHint})
}

// login answers the page, and sends the browser back to the client with a code.
func (p *provider) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		render(w, http.StatusBadRequest, view{Fault: "The form cannot be read."})
		return
	}
	id, name := r.PostForm.Get("id"), strings.TrimSpace(r.PostForm.Get("name"))
	if !p.storage.knows(name, r.PostForm.Get("password")) {
		render(w, http.StatusUnauthorized, view{ID: id, Name: name, Fault: "Name or password is wrong."})
		return
	}
	finished, ok := p.storage.trips.finish(id, name)
	if !ok {
		render(w, http.StatusBadRequest, view{Fault: over})
		return
	}
	op.AuthResponse(finished, p, &goingBack{ResponseWriter: w, config: p.config}, r)
}

func render(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = loginPage.Execute(w, v) // a browser that has gone needs no page
}
