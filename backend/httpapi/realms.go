package httpapi

import (
	"context"
	"net/http"
	"strings"

	"bulkhead/backend/account"
	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// RealmPath names a realm that exists in a path.
type RealmPath struct {
	Realm string `path:"realm" maxLength:"140" doc:"Name, or PROJECT/APP@STAGE with the slash escaped"`
	realm realms.Realm
}

func (p *RealmPath) target(ctx context.Context, a *API) (_ Target, err error) {
	ref := p.Realm
	if project, rest, ok := strings.Cut(ref, "/"); ok {
		in := ProjectPath{Project: project}
		if _, err := in.target(ctx, a); err != nil {
			return Target{}, err
		}
		ref = in.found.Key.String() + "/" + rest
	}
	if p.realm, err = a.Assets.FindRealm(ctx, ref); err == nil {
		err = a.enters(ctx, p.realm.Project)
	}
	return dataTarget(p.realm), err
}

// RealmReadPath names a realm that is to be read: that of a project's devices is as visible as the project.
type RealmReadPath struct{ RealmPath }

func (p *RealmReadPath) wants(Target) wire.Flag {
	if p.realm.Kind == realms.Devices {
		return wire.ProjectRead
	}
	return wire.DataBackendRead
}

// DataRealmPath names the realm of an installation in a path.
type DataRealmPath struct{ RealmPath }

func (p *DataRealmPath) target(ctx context.Context, a *API) (Target, error) {
	on, err := p.RealmPath.target(ctx, a)
	if err == nil && p.realm.Kind != realms.Data {
		return Target{}, errs.E(wire.NotFound, "no such installation: the realm is that of a project's devices")
	}
	return on, err
}

func realmOf(r asset.NamedRealm) Realm {
	shown := Realm{Realm: r.Name(), Kind: "devices", ProjectKey: r.Realm.Project, Project: r.ProjectName}
	if r.Kind == realms.Data {
		shown.Kind, shown.AppKey, shown.App, shown.Stage = "data", r.Realm.App, r.AppName, r.Stage
	}
	return shown
}

func (a *API) registerRealms() {
	handle(a, route{method: http.MethodGet, path: "/realms", id: "list-realms", tag: "realms", summary: "List the realms that exist", flag: wire.DataBackendRead, listing: true}, a.listRealms)
	handle(a, route{method: http.MethodGet, path: "/realms/{realm}", id: "get-realm", tag: "realms", summary: "Show a realm", flag: wire.DataBackendRead}, a.getRealm)
	handle(a, route{method: http.MethodPost, path: "/realms/{realm}/ticket", id: "create-ticket", tag: "realms", summary: "Get a one-use ticket that opens a WAMP session within 60 seconds", flag: wire.DataBackendRead}, a.createTicket)
}

func (a *API) listRealms(ctx context.Context, c caller, in *listInput) (*reply[List[Realm]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	found := a.Assets.Realms(after, in.Limit+1, func(r realms.Realm) bool { return a.Authorizer.Sees(ctx, c.by, dataTarget(r)) })
	page := pageOf(found, in.Limit, func(r asset.NamedRealm) string { return r.Name() },
		func(r asset.NamedRealm) (Realm, bool) { return realmOf(r), true })
	return &reply[List[Realm]]{Body: page}, nil
}

func (a *API) getRealm(_ context.Context, _ caller, in *RealmReadPath) (*reply[Realm], error) {
	return &reply[Realm]{Body: realmOf(a.Assets.NameRealm(in.realm))}, nil
}

// createTicket puts on record what was issued, and takes back what cannot be put on record. What is refused, of which somebody
// can ask for any number, makes no entry.
func (a *API) createTicket(ctx context.Context, c caller, in *RealmReadPath) (*reply[Ticket], error) {
	expires := a.Now().Add(account.TicketLife).UTC()
	ticket, err := a.Tickets.Issue(c.by, in.realm)
	if err != nil {
		return nil, err
	}
	issued := Ticket{Realm: in.realm.Name(), AuthID: c.by.AuthID(), Ticket: string(ticket.Reveal()), ExpiresAt: expires}
	entry := audit.New(c.actor, audit.TicketIssue, in.realm.Project, audit.Asset{Kind: "realm", Name: in.realm.Name()})
	if err := a.Audit.Record(ctx, entry); err != nil {
		_, _ = a.Tickets.Redeem(issued.Realm, issued.AuthID, issued.Ticket) // it is gone once it was presented
		return nil, err
	}
	return &reply[Ticket]{Body: issued}, nil
}
