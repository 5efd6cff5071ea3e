package httpapi

import (
	"context"
	"net/http"
	"time"

	"bulkhead/backend/account"
	"bulkhead/wire"
)

// ServiceAccount is a program that acts with API keys of its own.
type ServiceAccount struct {
	Key        wire.Key  `json:"key"`
	Name       string    `json:"name"`
	ProjectKey wire.Key  `json:"project_key,omitempty" doc:"It goes with this project; absent: the platform's"`
	Owner      bool      `json:"owner" doc:"May administer the server"`
	Suspended  bool      `json:"suspended"`
	CreatedAt  time.Time `json:"created_at"`
}

func serviceAccountOf(s account.ServiceAccount) ServiceAccount {
	return ServiceAccount{Key: s.Key, Name: s.Name, ProjectKey: s.Project, Owner: s.Owner, Suspended: s.Suspended, CreatedAt: s.CreatedAt}
}

// ServiceAccountCreate makes a service account.
type ServiceAccountCreate struct {
	Name    string `json:"name" minLength:"1" maxLength:"100" example:"ci"`
	Project string `json:"project,omitempty" maxLength:"63" doc:"Name or key of the project that it goes with; absent: the platform's"`
}

type (
	serviceAccountCreateInput struct {
		PlatformPath
		Body ServiceAccountCreate
	}
	// ServiceAccountPath names a service account in a path.
	ServiceAccountPath struct {
		Account string `path:"service_account" maxLength:"100" doc:"Key or name"`
		found   account.ServiceAccount
	}
)

func (p *ServiceAccountPath) target(ctx context.Context, a *API) (_ Target, err error) {
	if !a.mayLookUp(ctx, wire.PlatformUsers) {
		return platform, nil
	}
	p.found, err = a.Services.Find(ctx, p.Account)
	return platform, err
}

func (a *API) registerServiceAccounts() {
	const path, one, tag = "/service-accounts", "/service-accounts/{service_account}", "service accounts"
	handle(a, route{method: http.MethodGet, path: path, id: "list-service-accounts", tag: tag, summary: "List service accounts", flag: wire.PlatformUsers}, a.listServiceAccounts)
	handle(a, route{method: http.MethodPost, path: path, id: "create-service-account", tag: tag, summary: "Create a service account; it has no rights until they are granted", flag: wire.PlatformUsers, status: http.StatusCreated}, a.createServiceAccount)
	handle(a, route{method: http.MethodGet, path: one, id: "get-service-account", tag: tag, summary: "Show a service account", flag: wire.PlatformUsers}, a.getServiceAccount)
	handle(a, route{method: http.MethodPost, path: one + "/suspend", id: "suspend-service-account", tag: tag, summary: "Keep a service account out, and end what its keys have open", flag: wire.PlatformUsers}, a.suspendServiceAccount)
	handle(a, route{method: http.MethodPost, path: one + "/resume", id: "resume-service-account", tag: tag, summary: "Let a suspended service account in again", flag: wire.PlatformUsers}, a.resumeServiceAccount)
	handle(a, route{method: http.MethodDelete, path: one, id: "delete-service-account", tag: tag, summary: "Delete a service account with its keys", flag: wire.PlatformUsers}, a.deleteServiceAccount)
}

func (a *API) listServiceAccounts(ctx context.Context, _ caller, in *listInput) (*reply[List[ServiceAccount]], error) {
	after, err := in.afterKey()
	if err != nil {
		return nil, err
	}
	found, err := a.Services.List(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := pageOf(found, in.Limit, func(s account.ServiceAccount) string { return s.Key.String() },
		func(s account.ServiceAccount) (ServiceAccount, bool) { return serviceAccountOf(s), true })
	return &reply[List[ServiceAccount]]{Body: page}, nil
}

func (a *API) createServiceAccount(ctx context.Context, c caller, in *serviceAccountCreateInput) (*reply[ServiceAccount], error) {
	var project wire.Key
	if in.Body.Project != "" {
		p, err := a.Assets.FindProject(ctx, in.Body.Project)
		if err != nil {
			return nil, err
		}
		project = p.Key
	}
	s, err := a.Services.Create(ctx, c.actor, in.Body.Name, project)
	if err != nil {
		return nil, err
	}
	return &reply[ServiceAccount]{Location: location("service-accounts", s.Key.String()), Body: serviceAccountOf(s)}, nil
}

func (a *API) getServiceAccount(_ context.Context, _ caller, in *ServiceAccountPath) (*reply[ServiceAccount], error) {
	return &reply[ServiceAccount]{Body: serviceAccountOf(in.found)}, nil
}

func (a *API) suspendServiceAccount(ctx context.Context, c caller, in *ServiceAccountPath) (*nothing, error) {
	return &nothing{}, a.Services.Suspend(ctx, c.by, c.actor, in.found)
}

func (a *API) resumeServiceAccount(ctx context.Context, c caller, in *ServiceAccountPath) (*nothing, error) {
	return &nothing{}, a.Services.Resume(ctx, c.actor, in.found)
}

func (a *API) deleteServiceAccount(ctx context.Context, c caller, in *ServiceAccountPath) (*nothing, error) {
	return &nothing{}, a.Services.Delete(ctx, c.by, c.actor, in.found)
}
