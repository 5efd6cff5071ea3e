package httpapi

import (
	"context"
	"net/http"

	"bulkhead/backend/account/oidc"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// DemandedProvider is the one provider that vouches for the users of a project.
type DemandedProvider struct {
	Key   wire.Key `json:"key,omitempty" doc:"Absent where users of every provider, and local ones, may be in the project"`
	Name  string   `json:"name,omitempty"`
	Title string   `json:"title,omitempty"`
}

// ProviderDemand demands a provider.
type ProviderDemand struct {
	Provider string `json:"provider" maxLength:"63" doc:"Name or key of a provider of the project, or else of the server; empty: users of every provider, and local ones"`
}

type demandInput struct {
	ProjectPath
	Body ProviderDemand
}

func (a *API) registerDemand() {
	const tag, path = "providers", "/projects/{project}/demanded-provider"
	handle(a, route{method: http.MethodGet, path: path, id: "get-demanded-provider", tag: tag, summary: "Show the one provider whose users may be in a project", flag: wire.ProjectRead}, a.getDemand)
	handle(a, route{method: http.MethodPut, path: path, id: "set-demanded-provider", tag: tag, summary: "Demand, as an owner, that the users of a project are those of one provider", flag: wire.ProjectGrant}, a.setDemand)
}

func (a *API) getDemand(ctx context.Context, _ caller, in *ProjectPath) (*reply[DemandedProvider], error) {
	key, err := a.Granting.Demand(ctx, in.found.Key)
	if err != nil || !key.Valid() {
		return &reply[DemandedProvider]{}, err
	}
	p, err := a.providerFor(ctx, in.found.Key, key.String())
	return &reply[DemandedProvider]{Body: demandedOf(p)}, err
}

func demandedOf(p oidc.Provider) DemandedProvider {
	return DemandedProvider{Key: p.Key, Name: p.Name, Title: p.Title}
}

// providerFor finds a provider by which users of a project may be proved: one of its own, or of the server.
func (a *API) providerFor(ctx context.Context, project wire.Key, text string) (oidc.Provider, error) {
	p, err := a.Providers.Find(ctx, project, text)
	if errs.KindOf(err) == wire.NotFound {
		p, err = a.Providers.Find(ctx, 0, text)
	}
	return p, err
}

func (a *API) setDemand(ctx context.Context, c caller, in *demandInput) (*reply[DemandedProvider], error) {
	var p oidc.Provider
	if in.Body.Provider != "" {
		var err error
		if p, err = a.providerFor(ctx, in.found.Key, in.Body.Provider); err != nil {
			return nil, err
		}
	}
	if err := a.Granting.SetDemand(ctx, a.granting(c), in.found.Key, in.found.Name, p.Key); err != nil {
		return nil, err
	}
	return &reply[DemandedProvider]{Body: demandedOf(p)}, nil
}
