package pages

import (
	"net/http"
	"slices"
	"time"

	"bulkhead/backend/account"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

type (
	overviewBody struct {
		Owner    bool
		Projects []Project
		More     bool
	}
	accountBody struct {
		Key      wire.Key
		Owner    bool
		FactorAt time.Time
		Logins   []loginLine
		Others   bool
	}
	loginLine struct {
		ID, Agent, Address string
		Current, CLI, Full bool
		Seen, Ends         time.Time
	}
)

func (p *Pages) overview(w http.ResponseWriter, r *request) error {
	seen, more, err := p.Projects(r.Context(), r.by)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, "overview", view{
		Title: "Overview", Wide: true, Here: "overview", Body: overviewBody{Owner: r.by.Owner, Projects: seen, More: more},
	})
}

func (p *Pages) account(w http.ResponseWriter, r *request) error {
	logins, err := p.Logins.List(r.Context(), r.by)
	if err != nil {
		return err
	}
	body := accountBody{Key: r.by.Key, Owner: r.by.Owner, FactorAt: r.by.FactorAt, Others: len(logins) > 1}
	for _, l := range logins {
		body.Logins = append(body.Logins, loginLine{
			ID: l.ID, Agent: program(l.Agent), Address: l.Address, Current: l.ID == r.by.Login, CLI: l.Kind == account.LoginCLI,
			Full: l.Level >= account.AAL2, Seen: l.SeenAt, Ends: l.ExpiresAt,
		})
	}
	slices.SortStableFunc(body.Logins, func(a, b loginLine) int {
		switch {
		case a.Current != b.Current && a.Current:
			return -1
		case a.Current != b.Current:
			return 1
		default:
			return b.Seen.Compare(a.Seen)
		}
	})
	return p.show(w, r, http.StatusOK, "account", view{
		Title: "Account", Wide: true, Here: "account", Notice: notices[r.URL.Query().Get("done")], Body: body,
	})
}

// notices are what was done before a page is shown. The address names one of them and has no text of its own.
var notices = map[string]string{
	"ended": "That login has ended.", "others": "All other logins have ended.", "revoked": "The key is revoked.",
	"terminal": "The terminal has ended.",
}

func (p *Pages) endLogin(w http.ResponseWriter, r *request) error {
	id := r.PostForm.Get("id")
	if id == r.by.Login {
		return p.logout(w, r)
	}
	if err := p.Logins.End(r.Context(), r.client, r.by, id); err != nil && errs.KindOf(err) != wire.NotFound {
		return err
	}
	return goOn(w, "/account?done=ended") // one that had ended already has ended, too
}

func (p *Pages) endOtherLogins(w http.ResponseWriter, r *request) error {
	if err := p.Logins.EndAll(r.Context(), r.client, r.by, r.by.Login); err != nil {
		return err
	}
	return goOn(w, "/account?done=others")
}
