package pages

import (
	"net/http"
	"strings"
	"time"

	"bulkhead/backend/account/devicegrant"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

type (
	deviceBody  struct{ Code string }
	approveBody struct {
		Code, Program, From, As, Grants string
		Asked                           time.Time
		Elsewhere                       bool
	}
	doneBody struct {
		Text, Link, Action string
		Quiet              bool
	}
)

// deviceForm asks for the code of a command line, and shows what waits under it.
func (p *Pages) deviceForm(w http.ResponseWriter, r *request) error {
	code := r.URL.Query().Get("code")
	if code == "" {
		code = r.URL.Query().Get("user_code") // as RFC 8628 calls it
	}
	// Another site may send one here with a code of its choice. It is shown in the form only: looking it up could use up the
	// tries for wrong codes, and who presses a button has read what the page says.
	if code == "" || fromElsewhere(r.Request) {
		return p.showDevice(w, r, code, nil)
	}
	asking, err := p.Devices.Describe(r.by, code)
	if err != nil {
		return p.showDevice(w, r, code, err)
	}
	return p.show(w, r, http.StatusOK, "approve", view{Title: "Log in this command line?", Body: p.approval(r, asking)})
}

func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site"
}

func (p *Pages) showDevice(w http.ResponseWriter, r *request, code string, fault error) error {
	status, problem, err := p.inForm(r, "device", fault)
	if err != nil {
		return err
	}
	return p.show(w, r, status, "device", view{Title: "Log in a command line", Problem: problem, Body: deviceBody{Code: code}})
}

func (p *Pages) approval(r *request, asking devicegrant.Asking) approveBody {
	b := approveBody{
		Code: asking.UserCode, Program: asking.From.Client, From: asking.From.Address, As: r.by.Name, Asked: asking.AskedAt,
		Grants:    "Do all that you may do here, for up to 30 days, until you end it on your account page.",
		Elsewhere: asking.From.Address != r.client.Address,
	}
	if b.Program == "" {
		b.Program = "It does not say"
	}
	if asking.From.Host != "" {
		b.From = "A computer that calls itself " + asking.From.Host + ", at the address " + asking.From.Address
	}
	return b
}

// decideDevice takes the answer. The code is that of the page which was shown, so what is approved is what was read.
func (p *Pages) decideDevice(w http.ResponseWriter, r *request) error {
	code := strings.TrimSpace(r.PostForm.Get("user_code"))
	done := doneBody{Link: "/account", Action: "Where you are logged in", Quiet: true}
	title := "Denied"
	var err error
	switch r.PostForm.Get("answer") {
	case "approve":
		err = p.Devices.Approve(r.Context(), r.client, r.by, code)
		title, done.Text = "Approved", "The command line is logged in now. You can close this page and go back to the terminal."
	case "deny":
		err = p.Devices.Deny(r.Context(), r.client, r.by, code)
		done.Text = "The command line was not logged in."
	default:
		err = errs.E(wire.Invalid, "approve or deny")
	}
	if err != nil {
		return p.showDevice(w, r, code, err)
	}
	return p.show(w, r, http.StatusOK, "done", view{Title: title, Body: done})
}
