package httpapi

import (
	"context"
	"net/http"
	"strings"

	"bulkhead/backend/asset"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// maxTemplateBody has room for a template of the largest size, in which each byte may be escaped.
const maxTemplateBody = maxBody - 1

// InstallationPath names an installation of a project in a path.
type InstallationPath struct {
	ProjectPath
	Installation string `path:"installation" maxLength:"100" doc:"APP@STAGE or the name of the realm"`
	installed    asset.Installation
}

func (p *InstallationPath) target(ctx context.Context, a *API) (Target, error) {
	if _, err := p.ProjectPath.target(ctx, a); err != nil {
		return Target{}, err
	}
	ref := p.Installation
	if _, err := realms.Parse(ref); err != nil {
		ref = p.found.Key.String() + "/" + ref
	}
	in, err := a.Assets.FindInstallation(ctx, ref)
	if err == nil && in.Realm.Project != p.found.Key {
		err = errs.E(wire.NotFound, "no such installation")
	}
	p.installed = in
	return dataTarget(in.Realm), err
}

// dataTarget is the data backend of a realm, or the project where the realm is that of its devices.
func dataTarget(r realms.Realm) Target {
	if r.Kind == realms.Devices {
		return Target{Kind: "project", Project: r.Project, Key: r.Project, Realm: r}
	}
	return Target{Kind: "data_backend", Project: r.Project, Realm: r}
}

func installationOf(in asset.Installation) Installation {
	return Installation{
		Realm: in.Realm.Name(), ProjectKey: in.Realm.Project, Project: in.Project, AppKey: in.Realm.App, App: in.App,
		Stage: in.Realm.Stage, State: string(in.State), TemplateVersion: in.TemplateVersion, CreatedAt: in.CreatedAt,
	}
}

type (
	projectListInput struct {
		ProjectPath
		Page
	}
	installInput struct {
		ProjectPath
		Body InstallationCreate
	}
	uninstallInput struct {
		InstallationPath
		Export bool `query:"export" doc:"Keep an export of all rows on the server first"`
	}
)

func (a *API) registerInstallations() {
	const path = "/projects/{project}/installations"
	handle(a, route{method: http.MethodGet, path: path, id: "list-installations", tag: "installations", summary: "List a project's installations, without schema and tables", flag: wire.ProjectRead}, a.listInstallations)
	handle(a, route{method: http.MethodPost, path: path, id: "install-app", tag: "installations", summary: "Install an app: its realm, schema, roles and tables, all or nothing", flag: wire.ProjectInstallApp, status: http.StatusCreated, body: maxTemplateBody}, a.install)
	handle(a, route{method: http.MethodGet, path: path + "/{installation}", id: "get-installation", tag: "installations", summary: "Show an installation", flag: wire.DataBackendRead}, a.getInstallation)
	handle(a, route{method: http.MethodDelete, path: path + "/{installation}", id: "uninstall-app", tag: "installations", summary: "Remove an installation: its realm, then its data", flag: wire.DataBackendDelete}, a.uninstall)
}

func (a *API) listInstallations(ctx context.Context, c caller, in *projectListInput) (*reply[List[Installation]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	if _, err := realms.Parse(after); after != "" && err != nil {
		return nil, errs.As(wire.Invalid, err, "cursor: want what the page before gave as next")
	}
	page, err := visiblePage(in.Limit, after,
		func(after string, limit int) ([]asset.Installation, error) {
			from, _ := realms.Parse(after) // the zero realm is before all
			return a.Assets.Installations(ctx, in.found.Key, from, limit)
		},
		func(i asset.Installation) string { return i.Realm.Name() },
		func(i asset.Installation) (Installation, bool) {
			return installationOf(i), a.Authorizer.Sees(ctx, c.by, dataTarget(i.Realm))
		})
	return &reply[List[Installation]]{Body: page}, err
}

func (a *API) install(ctx context.Context, c caller, in *installInput) (*reply[Installation], error) {
	app, err := a.Assets.FindApp(ctx, in.Body.App)
	if err != nil {
		return nil, err
	}
	if err := a.may(ctx, c, wire.AppInstall, appTarget(app)); err != nil {
		return nil, err
	}
	made, err := a.Assets.Install(ctx, c.actor, in.found.Key, app.Key, in.Body.Stage, []byte(in.Body.Template))
	if err != nil {
		return nil, err
	}
	shown, err := a.withTables(ctx, made)
	if err != nil {
		a.logged(ctx, "describe a new installation", err) // it is there all the same
	}
	return &reply[Installation]{Location: location("projects", in.found.Key.String(), "installations", shown.Realm), Body: shown}, nil
}

func (a *API) withTables(ctx context.Context, in asset.Installation) (shown Installation, err error) {
	shown = installationOf(in)
	if in.State == asset.Ready {
		shown.Schema, shown.Tables, err = a.Backends.Describe(ctx, in.Realm)
	}
	return shown, err
}

func (a *API) getInstallation(ctx context.Context, _ caller, in *InstallationPath) (*reply[Installation], error) {
	shown, err := a.withTables(ctx, in.installed)
	return &reply[Installation]{Body: shown}, err
}

func (a *API) uninstall(ctx context.Context, c caller, in *uninstallInput) (*reply[InstallationDeleted], error) {
	where, err := a.Assets.Uninstall(ctx, c.actor, in.installed.Realm, in.Export)
	if err != nil {
		return nil, err
	}
	return &reply[InstallationDeleted]{Body: InstallationDeleted{ExportedTo: strings.TrimSpace(where)}}, nil
}
