package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/web"
	"bulkhead/wire"
)

// view is what the layout and every page are given.
type view struct {
	Title   string
	Wide    bool   // has the navigation of who is logged in
	Here    string // the entry of the navigation
	Who     string
	Problem string // what went wrong, for the user
	Notice  string // what was done
	To      string // where to go on afterwards
	Server  string
	Body    any
}

func (p *Pages) functions() template.FuncMap {
	assets := web.Assets()
	return template.FuncMap{
		"asset":   func(name string) string { return assets[name].Path },
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"human":   func(t time.Time) string { return human(t, p.Now()) },
	}
}

// human tells a time as people do: how far away where it is near, else the date. Without a script nobody knows the
// reader's time zone, so dates are in UTC and say so.
func human(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	form, d := "%s ago", now.Sub(t)
	if d < 0 {
		form, d = "in %s", -d
	}
	switch {
	case d < time.Minute && form == "%s ago":
		return "just now"
	case d < 90*time.Second:
		return fmt.Sprintf(form, "a minute")
	case d < 90*time.Minute:
		return fmt.Sprintf(form, fmt.Sprintf("%d minutes", int(d.Round(time.Minute).Minutes())))
	case d < 22*time.Hour:
		return fmt.Sprintf(form, fmt.Sprintf("%d hours", int(d.Round(time.Hour).Hours())))
	default:
		return t.UTC().Format("2 Jan 2006, 15:04 UTC")
	}
}

// show writes a page. It is made whole before its first byte is written, so that no part of one is ever sent.
func (p *Pages) show(w http.ResponseWriter, r *request, status int, name string, v view) error {
	v.Server = "Bulkhead " + p.Version
	if v.Who == "" {
		v.Who = r.by.Name
	}
	var page bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&page, "layout", v); err != nil {
		return errs.As(wire.Internal, err, "")
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // who has gone needs no answer
	return nil
}

// problemBody is where a page about a problem leads.
type problemBody struct{ Link, Action, RequestID string }

// problem shows a page with one message.
func (p *Pages) problem(w http.ResponseWriter, r *request, status int, title, text string) {
	body := problemBody{Link: "/", Action: "Back to the start"}
	if status >= http.StatusInternalServerError {
		body.RequestID = r.client.RequestID
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	if err := p.show(w, r, status, "problem", view{Title: title, Problem: text, Body: body}); err != nil {
		p.log(r, "show problem", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

// titles say in a few words what a kind of error is to who reads a page.
var titles = map[wire.Kind]string{
	wire.Invalid: "That cannot be done so", wire.Unauthenticated: "You are not logged in", wire.Denied: "Not allowed", wire.NotFound: "Not found",
	wire.Conflict: "That is not possible now", wire.Exhausted: "Too many tries", wire.Unavailable: "Not available now",
	wire.Canceled: "Canceled", wire.Internal: "Something went wrong here",
}

// fail logs an error, once, and shows it.
func (p *Pages) fail(w http.ResponseWriter, r *request, op string, err error) {
	p.log(r, op, err)
	kind := errs.KindOf(err)
	p.problem(w, r, errs.Of(kind).Status, titles[kind], sentence(errs.UserText(err)))
}

// log writes what is the server's fault at its level, and what is not for who debugs: who guesses must not fill the log, and
// is on record elsewhere.
func (p *Pages) log(r *request, op string, err error) {
	level := slog.LevelDebug
	switch kind := errs.KindOf(err); kind {
	case wire.Internal, wire.Unavailable:
		level = errs.Of(kind).Level
	}
	p.Log.Log(r.Context(), level, "page refused", logkey.RequestID, r.client.RequestID, logkey.Op, op, logkey.Addr, r.client.Address, logkey.Error, err)
}

// sentence writes an error's text as a page has it.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	runes := []rune(text)
	if runes[0] >= 'a' && runes[0] <= 'z' {
		runes[0] += 'A' - 'a'
	}
	switch runes[len(runes)-1] {
	case '.', '!', '?':
	default:
		runes = append(runes, '.')
	}
	return string(runes)
}

// goOn leads to a path of this server.
func goOn(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// nothing answers what no page is.
func (p *Pages) nothing(w http.ResponseWriter, r *request) error {
	if r.Method == http.MethodPost {
		p.problem(w, r, http.StatusMethodNotAllowed, "That does not work here", "This page cannot do that.")
		return nil
	}
	p.problem(w, r, http.StatusNotFound, titles[wire.NotFound], "There is no such page.")
	return nil
}
