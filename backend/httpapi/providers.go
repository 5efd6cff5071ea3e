package httpapi

import (
	"context"
	"errors"
	"net/http"

	"bulkhead/backend/account/oidc"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// ProviderPath names a provider of the server in a path.
type ProviderPath struct {
	PlatformPath
	Provider string `path:"provider" maxLength:"63" doc:"Name or key"`
}

// ProjectProviderPath names a provider of a project in a path.
type ProjectProviderPath struct {
	ProjectPath
	Provider string `path:"provider" maxLength:"63" doc:"Name or key"`
}

type (
	providerCreateInput struct {
		PlatformPath
		Body ProviderCreate
	}
	providerUpdateInput struct {
		ProviderPath
		Condition
		Body ProviderUpdate
	}
	projectProvidersInput struct {
		ProjectPath
		Page
	}
	projectProviderCreateInput struct {
		ProjectPath
		Body ProviderCreate
	}
	projectProviderUpdateInput struct {
		ProjectProviderPath
		Condition
		Body ProviderUpdate
	}
)

func (a *API) registerProviders() {
	const tag = "providers"
	handle(a, route{method: http.MethodGet, path: "/providers", id: "list-providers", tag: tag, summary: "List the OpenID Connect providers of the server", flag: wire.PlatformProviders}, a.listProviders)
	handle(a, route{method: http.MethodPost, path: "/providers", id: "create-provider", tag: tag, summary: "Create an OpenID Connect provider", flag: wire.PlatformProviders, status: http.StatusCreated, body: providerBody}, a.createProvider)
	handle(a, route{method: http.MethodGet, path: "/providers/{provider}", id: "get-provider", tag: tag, summary: "Show a provider", flag: wire.PlatformProviders}, a.getProvider)
	handle(a, route{method: http.MethodPatch, path: "/providers/{provider}", id: "update-provider", tag: tag, summary: "Change a provider", flag: wire.PlatformProviders, body: providerBody}, a.updateProvider)
	handle(a, route{method: http.MethodDelete, path: "/providers/{provider}", id: "delete-provider", tag: tag, summary: "Delete a provider; its users cannot log in any more", flag: wire.PlatformProviders}, a.deleteProvider)

	const projects = "/projects/{project}/providers"
	handle(a, route{method: http.MethodGet, path: projects, id: "list-project-providers", tag: tag, summary: "List the OpenID Connect providers of a project", flag: wire.ProjectMembers}, a.listProjectProviders)
	handle(a, route{method: http.MethodPost, path: projects, id: "create-project-provider", tag: tag, summary: "Create an OpenID Connect provider of a project", flag: wire.ProjectMembers, status: http.StatusCreated, body: providerBody}, a.createProjectProvider)
	handle(a, route{method: http.MethodGet, path: projects + "/{provider}", id: "get-project-provider", tag: tag, summary: "Show a provider of a project", flag: wire.ProjectMembers}, a.getProjectProvider)
	handle(a, route{method: http.MethodPatch, path: projects + "/{provider}", id: "update-project-provider", tag: tag, summary: "Change a provider of a project", flag: wire.ProjectMembers, body: providerBody}, a.updateProjectProvider)
	handle(a, route{method: http.MethodDelete, path: projects + "/{provider}", id: "delete-project-provider", tag: tag, summary: "Delete a provider of a project; its users cannot log in any more", flag: wire.ProjectMembers}, a.deleteProjectProvider)
}

// providerBody leaves room for the certificates of an authority.
const providerBody = 256 << 10

// administrator is the caller of an operation on providers. Whether it may let a project reach beyond itself is asked where it tries to.
func (a *API) administrator(ctx context.Context, c caller) oidc.Administrator {
	return oidc.Administrator{Actor: c.actor, Platform: func() bool { return a.Authorizer.May(ctx, c.by, wire.PlatformProviders, platform) }}
}

func (a *API) listProviders(ctx context.Context, _ caller, in *listInput) (*reply[List[Provider]], error) {
	return a.pageOfProviders(ctx, 0, in.Page)
}

func (a *API) listProjectProviders(ctx context.Context, _ caller, in *projectProvidersInput) (*reply[List[Provider]], error) {
	return a.pageOfProviders(ctx, in.found.Key, in.Page)
}

func (a *API) pageOfProviders(ctx context.Context, project wire.Key, in Page) (*reply[List[Provider]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	found, err := a.Providers.List(ctx, project, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := pageOf(found, in.Limit, func(p oidc.Provider) string { return p.Name },
		func(p oidc.Provider) (Provider, bool) { return a.providerOf(p), true })
	return &reply[List[Provider]]{Body: page}, nil
}

func (a *API) createProvider(ctx context.Context, c caller, in *providerCreateInput) (*reply[Provider], error) {
	return a.makeProvider(ctx, c, 0, in.Body, "providers")
}

func (a *API) createProjectProvider(ctx context.Context, c caller, in *projectProviderCreateInput) (*reply[Provider], error) {
	return a.makeProvider(ctx, c, in.found.Key, in.Body, "projects", in.found.Key.String(), "providers")
}

func (a *API) makeProvider(ctx context.Context, c caller, project wire.Key, body ProviderCreate, collection ...string) (*reply[Provider], error) {
	p, err := a.Providers.Create(ctx, a.administrator(ctx, c), body.row(project), secret.FromString(body.ClientSecret))
	if err != nil {
		return nil, err
	}
	return &reply[Provider]{ETag: etagOf(p.Revision), Location: location(append(collection, p.Key.String())...), Body: a.providerOf(p)}, nil
}

func (a *API) getProvider(ctx context.Context, _ caller, in *ProviderPath) (*reply[Provider], error) {
	return a.showProvider(ctx, 0, in.Provider)
}

func (a *API) getProjectProvider(ctx context.Context, _ caller, in *ProjectProviderPath) (*reply[Provider], error) {
	return a.showProvider(ctx, in.found.Key, in.Provider)
}

func (a *API) showProvider(ctx context.Context, project wire.Key, text string) (*reply[Provider], error) {
	p, err := a.Providers.Find(ctx, project, text)
	if err != nil {
		return nil, err
	}
	return &reply[Provider]{ETag: etagOf(p.Revision), Body: a.providerOf(p)}, nil
}

func (a *API) updateProvider(ctx context.Context, c caller, in *providerUpdateInput) (*reply[Provider], error) {
	return a.changeProvider(ctx, c, 0, in.Provider, in.Condition, in.Body)
}

func (a *API) updateProjectProvider(ctx context.Context, c caller, in *projectProviderUpdateInput) (*reply[Provider], error) {
	return a.changeProvider(ctx, c, in.found.Key, in.Provider, in.Condition, in.Body)
}

func (a *API) changeProvider(ctx context.Context, c caller, project wire.Key, text string, condition Condition, body ProviderUpdate) (*reply[Provider], error) {
	revision, err := condition.revision()
	if err != nil {
		return nil, err
	}
	found, err := a.Providers.Find(ctx, project, text)
	if err != nil {
		return nil, err
	}
	var password *secret.Value
	if body.ClientSecret != nil {
		value := secret.FromString(*body.ClientSecret)
		password = &value
	}
	p, err := a.Providers.Update(ctx, a.administrator(ctx, c), found.Key, revision, body.apply, password)
	if errors.Is(err, oidc.ErrRevision) {
		return nil, newProblem(http.StatusPreconditionFailed, "the provider has changed since it was read: read it again")
	}
	if err != nil {
		return nil, err
	}
	return &reply[Provider]{ETag: etagOf(p.Revision), Body: a.providerOf(p)}, nil
}

func (a *API) deleteProvider(ctx context.Context, c caller, in *ProviderPath) (*nothing, error) {
	return a.dropProvider(ctx, c, 0, in.Provider)
}

func (a *API) deleteProjectProvider(ctx context.Context, c caller, in *ProjectProviderPath) (*nothing, error) {
	return a.dropProvider(ctx, c, in.found.Key, in.Provider)
}

func (a *API) dropProvider(ctx context.Context, c caller, project wire.Key, text string) (*nothing, error) {
	p, err := a.Providers.Find(ctx, project, text)
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Providers.Delete(ctx, a.administrator(ctx, c), p.Key)
}
