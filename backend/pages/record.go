package pages

import (
	"bulkhead/backend/audit"
)

// foreign is what the record has of what another site sent or planted.
type foreign struct {
	Reason string `json:"reason"`
	Path   string `json:"path"`
}

// noteForeign puts on record that another site sent a form, and in whose name, where the browser sent a cookie along.
func (p *Pages) noteForeign(r *request) {
	actor, action := stranger(r), audit.LoginRefuse
	if err := p.identify(r); err == nil && r.by.Valid() {
		actor, action = r.by.Actor(r.client), audit.AccessRefuse
	}
	told := foreign{"a form that was not sent by a page of this server", r.URL.Path}
	p.Noter.Note(r.Context(), audit.New(actor, action, 0, audit.Asset{Kind: "login"}).Changed(nil, told).Failing())
}

// notePlanted puts on record that a browser sent several cookies of our name, all but one of which others have set.
func (p *Pages) notePlanted(r *request) {
	told := foreign{"several cookies of the login's name", r.URL.Path}
	p.Noter.Note(r.Context(), audit.New(stranger(r), audit.LoginRefuse, 0, audit.Asset{Kind: "login"}).Changed(nil, told).Failing())
}

func stranger(r *request) audit.Actor {
	return audit.Actor{Kind: audit.Anonymous, ID: "unknown", Address: r.client.Address, RequestID: r.client.RequestID}
}
