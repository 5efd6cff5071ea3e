package httpapi

import (
	"context"
	"net/http"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/wire"
)

func serviceOf(s asset.Service) Service {
	return Service{Realm: s.Realm.Name(), Name: s.Name, AuthID: s.AuthID(), CreatedAt: s.CreatedAt}
}

type (
	dataRealmListInput struct {
		DataRealmPath
		Page
	}
	serviceCreateInput struct {
		DataRealmPath
		Body ServiceCreate
	}
	serviceInput struct {
		DataRealmPath
		Service string `path:"service" maxLength:"63" doc:"Name"`
	}
	appCredentialInput struct {
		DataRealmPath
		Body AppCredentialCreate
	}
)

func (a *API) registerServices() {
	const path = "/realms/{realm}/services"
	handle(a, route{method: http.MethodGet, path: path, id: "list-services", tag: "services", summary: "List the service principals of an installation", flag: wire.DataBackendRead}, a.listServices)
	handle(a, route{method: http.MethodPost, path: path, id: "create-service", tag: "services", summary: "Create a service principal; its secret is shown this once", flag: wire.DataBackendCredentials, status: http.StatusCreated}, a.createService)
	handle(a, route{method: http.MethodDelete, path: path + "/{service}", id: "delete-service", tag: "services", summary: "Delete a service principal and end its sessions", flag: wire.DataBackendCredentials}, a.deleteService)
	handle(a, route{method: http.MethodPost, path: "/realms/{realm}/app-credential", id: "reveal-app-credential", tag: "services", summary: "Reveal what the app on a device joins with", flag: wire.DataBackendCredentials}, a.revealAppCredential)
}

func (a *API) listServices(ctx context.Context, _ caller, in *dataRealmListInput) (*reply[List[Service]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	found, err := a.Assets.Services(ctx, in.realm, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := pageOf(found, in.Limit, func(s asset.Service) string { return s.Name },
		func(s asset.Service) (Service, bool) { return serviceOf(s), true })
	return &reply[List[Service]]{Body: page}, nil
}

func (a *API) createService(ctx context.Context, c caller, in *serviceCreateInput) (*reply[ServiceSecret], error) {
	s, value, err := a.Assets.CreateService(ctx, c.actor, in.realm, in.Body.Name)
	if err != nil {
		return nil, err
	}
	return &reply[ServiceSecret]{
		Location: location("realms", in.realm.Name(), "services", s.Name),
		Body:     ServiceSecret{Service: serviceOf(s), Secret: string(value.Reveal())},
	}, nil
}

func (a *API) deleteService(ctx context.Context, c caller, in *serviceInput) (*nothing, error) {
	return &nothing{}, a.Assets.DeleteService(ctx, c.actor, in.realm, in.Service)
}

func (a *API) revealAppCredential(ctx context.Context, c caller, in *appCredentialInput) (*reply[AppCredential], error) {
	d, err := a.Assets.FindDeviceOf(ctx, in.realm.Project, in.Body.Device)
	if err != nil {
		return nil, err
	}
	login, err := a.Assets.AppSecret(in.realm, d.Serial)
	if err != nil {
		return nil, err
	}
	entry := audit.New(c.actor, audit.AppSecretReveal, d.Project, audit.Asset{Kind: "device", Key: d.Key, Name: d.Name})
	if err := a.Audit.Record(ctx, entry); err != nil {
		return nil, err
	}
	return &reply[AppCredential]{Body: AppCredential{
		Realm: in.realm.Name(), AuthID: login.AuthID, Secret: string(login.Secret.Reveal()),
	}}, nil
}
