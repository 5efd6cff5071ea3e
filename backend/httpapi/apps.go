package httpapi

import (
	"context"
	"net/http"

	"bulkhead/backend/asset"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// AppPath names an app in a path.
type AppPath struct {
	App   string `path:"app" maxLength:"63" doc:"Name or key"`
	found asset.App
}

func (p *AppPath) target(ctx context.Context, a *API) (_ Target, err error) {
	p.found, err = a.Assets.FindApp(ctx, p.App)
	return appTarget(p.found), err
}

func appTarget(app asset.App) Target {
	return Target{Kind: "app", Project: app.Owner, Key: app.Key}
}

func appOf(app asset.App) App {
	return App{
		Key: app.Key, Name: app.Name, Title: app.Title, OwnerKey: app.Owner, Epoch: app.Epoch,
		CreatedAt: app.CreatedAt, ETag: etagOf(app.Revision),
	}
}

type (
	appCreateInput struct {
		PlatformPath
		Body AppCreate
	}
	appUpdateInput struct {
		AppPath
		Condition
		Body AppUpdate
	}
)

func (a *API) registerApps() {
	handle(a, route{method: http.MethodGet, path: "/apps", id: "list-apps", tag: "apps", summary: "List apps", flag: wire.AppRead, listing: true}, a.listApps)
	handle(a, route{method: http.MethodPost, path: "/apps", id: "create-app", tag: "apps", summary: "Create an app", flag: wire.PlatformCreateApp, status: http.StatusCreated}, a.createApp)
	handle(a, route{method: http.MethodGet, path: "/apps/{app}", id: "get-app", tag: "apps", summary: "Show an app", flag: wire.AppRead}, a.getApp)
	handle(a, route{method: http.MethodPatch, path: "/apps/{app}", id: "update-app", tag: "apps", summary: "Change an app's title", flag: wire.AppUpdate}, a.updateApp)
	handle(a, route{method: http.MethodPost, path: "/apps/{app}/rotate", id: "rotate-app", tag: "apps", summary: "Give an app a new credential key; the one before is accepted for 15 minutes", flag: wire.AppRelease}, a.rotateApp)
	handle(a, route{method: http.MethodDelete, path: "/apps/{app}", id: "delete-app", tag: "apps", summary: "Delete an app that is installed nowhere", flag: wire.AppDelete}, a.deleteApp)
}

func (a *API) listApps(ctx context.Context, c caller, in *listInput) (*reply[List[App]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	found, err := a.Assets.Apps(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := pageOf(found, in.Limit, func(app asset.App) string { return app.Name },
		func(app asset.App) (App, bool) { return appOf(app), a.Authorizer.Sees(ctx, c.by, appTarget(app)) })
	return &reply[List[App]]{Body: page}, nil
}

func (a *API) createApp(ctx context.Context, c caller, in *appCreateInput) (*reply[App], error) {
	var owner wire.Key
	if in.Body.Owner != "" {
		p, err := a.Assets.FindProject(ctx, in.Body.Owner)
		if err != nil {
			return nil, err
		}
		if !a.Authorizer.Sees(ctx, c.by, projectTarget(p)) {
			return nil, errs.E(wire.NotFound, "no such project")
		}
		owner = p.Key
	}
	app, err := a.Assets.CreateApp(ctx, c.actor, in.Body.Name, in.Body.Title, owner)
	if err != nil {
		return nil, err
	}
	return &reply[App]{ETag: etagOf(app.Revision), Location: location("apps", app.Key.String()), Body: appOf(app)}, nil
}

func (a *API) getApp(_ context.Context, _ caller, in *AppPath) (*reply[App], error) {
	return &reply[App]{ETag: etagOf(in.found.Revision), Body: appOf(in.found)}, nil
}

func (a *API) updateApp(ctx context.Context, c caller, in *appUpdateInput) (*reply[App], error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	app, err := a.Assets.UpdateApp(ctx, c.actor, in.found.Key, revision, asset.AppChange{Title: in.Body.Title})
	if err != nil {
		return nil, err
	}
	return &reply[App]{ETag: etagOf(app.Revision), Body: appOf(app)}, nil
}

func (a *API) rotateApp(ctx context.Context, c caller, in *AppPath) (*reply[App], error) {
	app, err := a.Assets.RotateApp(ctx, c.actor, in.found.Key)
	if err != nil {
		return nil, err
	}
	return &reply[App]{ETag: etagOf(app.Revision), Body: appOf(app)}, nil
}

func (a *API) deleteApp(ctx context.Context, c caller, in *AppPath) (*nothing, error) {
	return &nothing{}, a.Assets.DeleteApp(ctx, c.actor, in.found.Key)
}
