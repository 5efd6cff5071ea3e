package pages

import (
	"bulkhead/backend/audit"
)

// foreign is what the record has of a form that another site sent.
type foreign struct {
	Reason string `json:"reason"`
	Path   string `json:"path"`
}

// noteForeign puts on record that another site sent a form, and in whose name, where the browser sent a cookie along.
func (p *Pages) noteForeign(r *request) {
	actor, action := audit.Actor{Kind: audit.Anonymous, ID: "unknown", Address: r.client.Address, RequestID: r.client.RequestID}, audit.LoginRefuse
	if err := p.identify(r); err == nil && r.by.Valid() {
		actor, action = r.by.Actor(r.client), audit.AccessRefuse
	}
	told := foreign{"a form that was not sent by a page of this server", r.URL.Path}
	p.Noter.Note(r.Context(), audit.New(actor, action, 0, audit.Asset{Kind: "login"}).Changed(nil, told).Failing())
}
