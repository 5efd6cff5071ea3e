package httpapi

import (
	"context"
	"net/http"
	"time"

	"bulkhead/backend/privilege"
	"bulkhead/backend/privilege/granting"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

func installationRealm(of privilege.Asset) realms.Realm {
	return realms.OfInstallation(of.Project, of.Key, of.Stage)
}

type (
	grantCreateInput struct {
		Body GrantCreate
		referred
	}
	grantRevokeInput struct {
		Body GrantRevoke
		referred
	}
	grantInput struct {
		Grant string `path:"grant" maxLength:"16" doc:"Key"`
		found privilege.Grant
	}
	grantListInput struct {
		ProjectPath
		Page
		Principal string `query:"principal" maxLength:"320" doc:"Only what was granted to them"`
	}
)

func (in *grantCreateInput) target(ctx context.Context, a *API) (_ Target, err error) {
	in.referred, err = a.refer(ctx, in.Body.Asset)
	return in.on, err
}

func (in *grantCreateInput) wants(Target) wire.Flag { return grantFlag(in.asset.Kind) }

func (in *grantRevokeInput) target(ctx context.Context, a *API) (_ Target, err error) {
	in.referred, err = a.refer(ctx, in.Body.Asset)
	return in.on, err
}

func (in *grantRevokeInput) wants(Target) wire.Flag { return grantFlag(in.asset.Kind) }

func (in *grantInput) target(ctx context.Context, a *API) (Target, error) {
	key, err := wire.ParseKey(in.Grant)
	if err != nil {
		return Target{}, errs.E(wire.NotFound, "no such grant")
	}
	in.found, err = a.Granting.Grant(ctx, key)
	return targetOf(in.found.Asset), err
}

func (in *grantInput) wants(Target) wire.Flag { return grantFlag(in.found.Asset.Kind) }

func (a *API) registerGrants() {
	handle(a, route{method: http.MethodGet, path: "/projects/{project}/grants", id: "list-grants", tag: "privileges", summary: "List one's own grants in a project, and those on assets that one may grant on", flag: wire.ProjectRead}, a.listGrants)
	handle(a, route{method: http.MethodPost, path: "/grants", id: "create-grant", tag: "privileges", summary: "Grant privileges on an asset that one holds there; asks for the privilege grant of the asset's kind", flag: wire.ProjectGrant, status: http.StatusCreated}, a.createGrant)
	handle(a, route{method: http.MethodPost, path: "/grants/revoke", id: "revoke-flags", tag: "privileges", summary: "Take privileges back from what somebody was granted on an asset", flag: wire.ProjectGrant}, a.revokeFlags)
	handle(a, route{method: http.MethodDelete, path: "/grants/{grant}", id: "delete-grant", tag: "privileges", summary: "Revoke a grant", flag: wire.ProjectGrant}, a.deleteGrant)
}

func (a *API) granting(c caller) granting.By {
	return granting.By{Subject: SubjectOf(c.by), Actor: c.actor}
}

func (a *API) listGrants(ctx context.Context, c caller, in *grantListInput) (*reply[List[Grant]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	q := granting.GrantQuery{Project: in.found.Key}
	if in.Principal != "" {
		p, err := a.Granting.Person(ctx, in.found.Key, in.Principal)
		if err != nil {
			return nil, err
		}
		q.Principal = p.Key
	}
	read := func(after string, limit int) ([]privilege.Grant, error) {
		q.After, _ = wire.ParseKey(after) // none is before all
		q.Limit = limit
		return a.Granting.Grants(ctx, q)
	}
	page, err := visiblePage(in.Limit, after, read, func(g privilege.Grant) string { return g.Key.String() },
		func(g privilege.Grant) (privilege.Grant, bool) { return g, a.showsGrant(ctx, c, g) })
	if err != nil {
		return nil, err
	}
	shown, err := a.grantsOf(ctx, page.Items)
	return &reply[List[Grant]]{Body: List[Grant]{Items: shown, Next: page.Next}}, err
}

// showsGrant tells whether a caller knows of a grant: of its own, and of those on what it may grant on.
func (a *API) showsGrant(ctx context.Context, c caller, g privilege.Grant) bool {
	return g.Principal == c.by.Key || a.Authorizer.May(ctx, c.by, grantFlag(g.Asset.Kind), targetOf(g.Asset))
}

// grantsOf adds names.
func (a *API) grantsOf(ctx context.Context, list []privilege.Grant) ([]Grant, error) {
	var keys []wire.Key
	for _, g := range list {
		keys = append(keys, g.Principal, g.GivenBy)
	}
	persons, err := a.persons(ctx, keys)
	shown := make([]Grant, 0, len(list))
	for _, g := range list {
		shown = append(shown, Grant{
			Key: g.Key, Principal: persons(g.Principal), Asset: refOf(g.Asset, a.nameOf(ctx, g.Asset)), Flags: g.Flags,
			From: g.From, Until: g.Until, GivenBy: persons(g.GivenBy), GivenAt: g.GivenAt,
		})
	}
	return shown, err
}

func personOf(p granting.Person) Person {
	return Person{Key: p.Key, Kind: p.Kind, Name: p.Name, Login: p.Login, Suspended: p.Suspended}
}

// persons gives the names of principals; who is gone has a key only.
func (a *API) persons(ctx context.Context, keys []wire.Key) (func(wire.Key) Person, error) {
	found, err := a.Granting.Persons(ctx, keys)
	return func(key wire.Key) Person {
		if p, ok := found[key]; ok {
			return personOf(p)
		}
		return Person{Key: key}
	}, err
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func (a *API) createGrant(ctx context.Context, c caller, in *grantCreateInput) (*reply[Grant], error) {
	flags, err := flagsOf(in.asset.Kind, in.Body.Flags, in.Body.Set)
	if err != nil {
		return nil, err
	}
	to, err := a.Granting.Person(ctx, in.asset.Project, in.Body.Principal)
	if err != nil {
		return nil, err
	}
	made, err := a.Granting.Give(ctx, a.granting(c), granting.Request{
		Principal: to.Key, Asset: in.asset, Name: in.name, Flags: flags, From: timeOf(in.Body.From), Until: timeOf(in.Body.Until),
	})
	if err != nil {
		return nil, err
	}
	shown, err := a.grantsOf(ctx, []privilege.Grant{made})
	if err != nil {
		a.logged(ctx, "name a new grant", err) // it is there all the same
	}
	return &reply[Grant]{Location: location("grants", made.Key.String()), Body: shown[0]}, nil
}

func (a *API) revokeFlags(ctx context.Context, c caller, in *grantRevokeInput) (*nothing, error) {
	flags, err := flagsOf(in.asset.Kind, in.Body.Flags, in.Body.Set)
	if err != nil {
		return nil, err
	}
	from, err := a.Granting.Person(ctx, in.asset.Project, in.Body.Principal)
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Granting.RevokeFlags(ctx, a.granting(c), from.Key, in.asset, in.name, flags)
}

func (a *API) deleteGrant(ctx context.Context, c caller, in *grantInput) (*nothing, error) {
	return &nothing{}, a.Granting.Revoke(ctx, a.granting(c), in.found, a.nameOf(ctx, in.found.Asset))
}
