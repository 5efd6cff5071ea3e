package webapp

import (
	"bytes"
	"net"
	"net/http"
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// secure holds for answers of our own at a site's host.
func secure(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// view is what the layout wants.
type view struct {
	Title, Problem, Here, Who, Server string
	Wide                              bool
	Body                              body
}

// body is what a page says, and where it leads.
type body struct {
	Text, Link, Action, RequestID string
	Quiet                         bool
}

// titles say what is the matter.
var titles = map[wire.Kind]string{wire.NotFound: "No tunnel here", wire.Unavailable: "Not available now", wire.Exhausted: "Too much at once"}

func (a *Apps) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := errs.KindOf(err)
	if kind == wire.Internal {
		a.Log.Error("a web application cannot be shown", logkey.Error, err)
	}
	title, ok := titles[kind]
	if !ok {
		title = "Something went wrong here"
	}
	text := errs.UserText(err)
	a.tell(w, r, errs.Of(kind).Status, title, strings.ToUpper(text[:1])+text[1:]+".")
}

// tell answers in our own words: with a page to who wants to read one, else with a line.
func (a *Apps) tell(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	secure(w.Header())
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		a.show(w, status, "problem", view{Title: title, Problem: text, Body: body{Link: "/", Action: "Try again"}})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("bulkhead: " + text + "\n")) // who has gone needs no answer
}

func (a *Apps) show(w http.ResponseWriter, status int, name string, v view) {
	v.Server = "Bulkhead"
	var page bytes.Buffer
	if err := a.pages[name].ExecuteTemplate(&page, "layout", v); err != nil {
		a.Log.Error("a page of a web application's host cannot be made", logkey.Error, err)
		status = http.StatusInternalServerError
		page.Reset()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // who has gone needs no answer
}

// addressOf trusts the connection alone.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
