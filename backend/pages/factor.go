package pages

import (
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"bulkhead/backend/account"
	"bulkhead/internal/secret"
)

type (
	factorBody   struct{ Text, Recovery, Back string }
	recoveryBody struct{ Back string }
	enrolBody    struct{ Text, Back string }
	scanBody     struct {
		Image  template.URL
		Secret string
	}
	codesBody struct {
		Codes []string
		Link  string
	}
)

// factorForm asks for the second factor: to finish a login, or again from who has one that is not fresh.
func (p *Pages) factorForm(w http.ResponseWriter, r *request) error {
	if r.by.Level < account.AAL2 {
		enrolled, err := p.Logins.Enrolled(r.Context(), r.by)
		if err != nil {
			return err
		}
		if !enrolled {
			return goOn(w, withTo("/login/enrolment", returnTo(r.Request)))
		}
	}
	return p.showFactor(w, r, nil)
}

func (p *Pages) showFactor(w http.ResponseWriter, r *request, fault error) error {
	status, problem, err := p.inForm(r, "second factor", fault)
	if err != nil {
		return err
	}
	to := returnTo(r.Request)
	v := view{Title: "Second factor", Problem: problem, To: to}
	body := factorBody{Text: "Enter the code that your authenticator app shows now.", Recovery: withTo("/login/recovery", to)}
	if r.by.Level >= account.AAL2 {
		v.Title, body.Back = "Confirm that it is you", "/"
	}
	v.Body = body
	return p.show(w, r, status, "factor", v)
}

func (p *Pages) factor(w http.ResponseWriter, r *request) error {
	session, err := p.Logins.SecondFactor(r.Context(), r.client, r.by, digits(r.PostForm.Get("code")))
	if err != nil {
		return p.showFactor(w, r, err)
	}
	hold(w, session)
	return goOn(w, orHome(returnTo(r.Request)))
}

// digits drops spaces: authenticator apps show a code in two groups, and people type it so.
func digits(text string) string { return strings.ReplaceAll(text, " ", "") }

func (p *Pages) recoveryForm(w http.ResponseWriter, r *request) error {
	return p.showRecovery(w, r, nil)
}

func (p *Pages) showRecovery(w http.ResponseWriter, r *request, fault error) error {
	status, problem, err := p.inForm(r, "recovery code", fault)
	if err != nil {
		return err
	}
	to := returnTo(r.Request)
	return p.show(w, r, status, "recovery", view{
		Title: "Recovery code", Problem: problem, To: to, Body: recoveryBody{Back: withTo("/login/second-factor", to)},
	})
}

func (p *Pages) recover(w http.ResponseWriter, r *request) error {
	session, err := p.Logins.SecondFactor(r.Context(), r.client, r.by, strings.TrimSpace(r.PostForm.Get("code")))
	if err != nil {
		return p.showRecovery(w, r, err)
	}
	hold(w, session)
	return goOn(w, orHome(returnTo(r.Request)))
}

func (p *Pages) enrolForm(w http.ResponseWriter, r *request) error {
	body := enrolBody{Text: "Everybody here proves who they are twice: by a password or a provider, and by a code from an app."}
	if r.by.Level >= account.AAL2 {
		body = enrolBody{Text: "The app that you set up now takes the place of the one before, and you get new recovery codes.", Back: "/account"}
	}
	return p.show(w, r, http.StatusOK, "enrol", view{Title: "Set up your second factor", To: returnTo(r.Request), Body: body})
}

// enrol shows a new secret, once: a GET would make one whenever a page is loaded again. Who has a factor confirms it
// first.
func (p *Pages) enrol(w http.ResponseWriter, r *request) error {
	if r.by.Level >= account.AAL2 {
		return p.fresh("To set up another second factor, enter the code that your present one shows now.", p.showSecret)(w, r)
	}
	return p.showSecret(w, r)
}

func (p *Pages) showSecret(w http.ResponseWriter, r *request) error {
	made, err := p.Logins.Enrol(r.Context(), r.client, r.by)
	if errors.Is(err, account.ErrFirstAgain) {
		letGo(w) // it ends by itself soon, and reaches nothing meanwhile
		return p.showLogin(w, r, returnTo(r.Request), "", err)
	}
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "scan", view{Title: "Set up your second factor", To: returnTo(r.Request), Body: scanBody{
		Image:  template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(made.PNG.Reveal())), //nolint:gosec // of our own making
		Secret: grouped(string(made.Secret.Reveal())),
	}})
}

// grouped writes a secret in groups of four, which apps take as well.
func grouped(text string) string {
	var b strings.Builder
	for i, r := range text {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// confirmEnrolment takes the first code. After a wrong one the secret is not shown again: the app has it.
func (p *Pages) confirmEnrolment(w http.ResponseWriter, r *request) error {
	session, codes, err := p.Logins.ConfirmEnrolment(r.Context(), r.client, r.by, digits(r.PostForm.Get("code")))
	if err != nil {
		status, problem, err := p.inForm(r, "confirm enrolment", err)
		if err != nil {
			return err
		}
		return p.show(w, r, status, "scan", view{Title: "Set up your second factor", Problem: problem, To: returnTo(r.Request), Body: scanBody{}})
	}
	hold(w, session)
	return p.show(w, r, http.StatusOK, "codes", view{
		Title: "Store your recovery codes", Body: codesBody{Codes: revealed(codes), Link: orHome(returnTo(r.Request))},
	})
}

func revealed(values []secret.Value) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v.Reveal())
	}
	return texts
}
