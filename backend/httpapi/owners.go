package httpapi

import (
	"context"
	"net/http"

	"bulkhead/backend/privilege/granting"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

type (
	// ownersInput takes a page's parameters as all lists do; owners and offers are few, so all of them are one page.
	ownersInput struct {
		ProjectPath
		Page
	}
	offersInput struct {
		SelfPath
		Page
	}
	ownerInput struct {
		ProjectPath
		Owner string `path:"owner" maxLength:"320" doc:"Key, login name, display name or e-mail address"`
	}
	transferCreateInput struct {
		ProjectPath
		Body TransferCreate
	}
	projectTransferInput struct {
		ProjectPath
		Transfer string `path:"transfer" maxLength:"16" doc:"Key of an offer"`
	}
	transferInput struct {
		SelfPath
		Transfer string `path:"transfer" maxLength:"16" doc:"Key of an offer"`
	}
)

func (a *API) registerOwners() {
	const owners, offers = "/projects/{project}/owners", "/projects/{project}/transfers"
	handle(a, route{method: http.MethodGet, path: owners, id: "list-owners", tag: "owners", summary: "List who owns a project", flag: wire.ProjectRead}, a.listOwners)
	handle(a, route{method: http.MethodDelete, path: owners + "/{owner}", id: "remove-owner", tag: "owners", summary: "End an ownership, as an owner; the last one cannot leave", flag: wire.ProjectGrant}, a.removeOwner)
	handle(a, route{method: http.MethodGet, path: offers, id: "list-project-transfers", tag: "owners", summary: "List the offers of a project to new owners", flag: wire.ProjectGrant}, a.listProjectTransfers)
	handle(a, route{method: http.MethodPost, path: offers, id: "create-transfer", tag: "owners", summary: "Offer a project to a new owner, as an owner", flag: wire.ProjectGrant, status: http.StatusCreated}, a.createTransfer)
	handle(a, route{method: http.MethodDelete, path: offers + "/{transfer}", id: "withdraw-transfer", tag: "owners", summary: "Take an offer back, as an owner", flag: wire.ProjectGrant}, a.withdrawTransfer)
	handle(a, route{method: http.MethodGet, path: "/transfers", id: "list-transfers", tag: "owners", summary: "List the projects that one is offered", flag: wire.Self}, a.listTransfers)
	handle(a, route{method: http.MethodPost, path: "/transfers/{transfer}/accept", id: "accept-transfer", tag: "owners", summary: "Become the owner of a project that one is offered", flag: wire.Self}, a.acceptTransfer)
	handle(a, route{method: http.MethodDelete, path: "/transfers/{transfer}", id: "decline-transfer", tag: "owners", summary: "Refuse a project that one is offered", flag: wire.Self}, a.declineTransfer)
}

func (a *API) listOwners(ctx context.Context, _ caller, in *ownersInput) (*reply[List[Owner]], error) {
	found, err := a.Granting.Owners(ctx, in.found.Key)
	if err != nil {
		return nil, err
	}
	var keys []wire.Key
	for _, o := range found {
		keys = append(keys, o.Principal)
	}
	persons, err := a.persons(ctx, keys)
	list := List[Owner]{Items: []Owner{}}
	for _, o := range found {
		list.Items = append(list.Items, Owner{Principal: persons(o.Principal), Since: o.Since})
	}
	return &reply[List[Owner]]{Body: list}, err
}

func (a *API) removeOwner(ctx context.Context, c caller, in *ownerInput) (*nothing, error) {
	p, err := a.Granting.Person(ctx, in.found.Key, in.Owner)
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Granting.RemoveOwner(ctx, a.granting(c), in.found.Key, in.found.Name, p.Key)
}

func (a *API) transfersOf(ctx context.Context, found []granting.Transfer) ([]Transfer, error) {
	var keys []wire.Key
	for _, t := range found {
		keys = append(keys, t.From, t.To)
	}
	persons, err := a.persons(ctx, keys)
	list := []Transfer{}
	for _, t := range found {
		list = append(list, Transfer{
			Key: t.Key, ProjectKey: t.Project, Project: t.ProjectName, From: persons(t.From), To: persons(t.To), Keep: t.Keep,
			OfferedAt: t.OfferedAt, ExpiresAt: t.ExpiresAt,
		})
	}
	return list, err
}

func (a *API) offers(ctx context.Context, project, to wire.Key) (*reply[List[Transfer]], error) {
	found, err := a.Granting.Offers(ctx, project, to)
	if err != nil {
		return nil, err
	}
	shown, err := a.transfersOf(ctx, found)
	return &reply[List[Transfer]]{Body: List[Transfer]{Items: shown}}, err
}

func (a *API) listProjectTransfers(ctx context.Context, _ caller, in *ownersInput) (*reply[List[Transfer]], error) {
	return a.offers(ctx, in.found.Key, 0)
}

func (a *API) listTransfers(ctx context.Context, c caller, _ *offersInput) (*reply[List[Transfer]], error) {
	return a.offers(ctx, 0, c.by.Key)
}

func (a *API) createTransfer(ctx context.Context, c caller, in *transferCreateInput) (*reply[Transfer], error) {
	to, err := a.Granting.Person(ctx, in.found.Key, in.Body.To)
	if err != nil {
		return nil, err
	}
	made, err := a.Granting.Offer(ctx, a.granting(c), in.found.Key, in.found.Name, to.Key, in.Body.Keep)
	if err != nil {
		return nil, err
	}
	shown, err := a.transfersOf(ctx, []granting.Transfer{made})
	if err != nil {
		a.logged(ctx, "name a new offer", err) // it is there all the same
	}
	return &reply[Transfer]{Location: location("transfers", made.Key.String()), Body: shown[0]}, nil
}

func transferKey(text string) (wire.Key, error) {
	key, err := wire.ParseKey(text)
	if err != nil {
		return 0, errs.E(wire.NotFound, "no such offer")
	}
	return key, nil
}

func (a *API) withdrawTransfer(ctx context.Context, c caller, in *projectTransferInput) (*nothing, error) {
	key, err := transferKey(in.Transfer)
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Granting.Withdraw(ctx, a.granting(c), in.found.Key, key)
}

// owning asks of who takes a project the assurance that granting asks for: an owner may grant everything.
func (a *API) owning(c caller) error { return a.assured(c.by, route{flag: wire.ProjectGrant}) }

func (a *API) acceptTransfer(ctx context.Context, c caller, in *transferInput) (*reply[Transfer], error) {
	if err := a.owning(c); err != nil {
		return nil, err
	}
	key, err := transferKey(in.Transfer)
	if err != nil {
		return nil, err
	}
	t, err := a.Granting.Accept(ctx, a.granting(c), key)
	if err != nil {
		return nil, err
	}
	shown, err := a.transfersOf(ctx, []granting.Transfer{t})
	return &reply[Transfer]{Body: shown[0]}, err
}

func (a *API) declineTransfer(ctx context.Context, c caller, in *transferInput) (*nothing, error) {
	key, err := transferKey(in.Transfer)
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Granting.Decline(ctx, a.granting(c), key)
}
