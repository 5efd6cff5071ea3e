package httpapi

import (
	"context"
	"net/http"

	"bulkhead/backend/asset"
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
		Body  AppCreate
		owner wire.Key
	}
	appUpdateInput struct {
		AppPath
		Condition
		Body AppUpdate
	}
)

// target is the project that is to own the app, or the platform.
func (in *appCreateInput) target(ctx context.Context, a *API) (Target, error) {
	if in.Body.Owner == "" {
		return platform, nil
	}
	of := ProjectPath{Project: in.Body.Owner}
	on, err := of.target(ctx, a)
	in.owner = of.found.Key
	return on, err
}

func (in *appCreateInput) wants(Target) wire.Flag {
	if in.Body.Owner != "" {
		return wire.ProjectInstallApp
	}
	return wire.PlatformCreateApp
}

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
	page, err := visiblePage(in.Limit, after,
		func(after string, limit int) ([]asset.App, error) { return a.Assets.Apps(ctx, after, limit) },
		func(app asset.App) string { return app.Name },
		func(app asset.App) (App, bool) { return appOf(app), a.Authorizer.Sees(ctx, c.by, appTarget(app)) })
	return &reply[List[App]]{Body: page}, err
}

func (a *API) createApp(ctx context.Context, c caller, in *appCreateInput) (*reply[App], error) {
	app, err := a.Assets.CreateApp(ctx, c.actor, in.Body.Name, in.Body.Title, in.owner)
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
