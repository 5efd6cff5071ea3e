package httpapi

import (
	"context"
	"net/http"

	"bulkhead/backend/asset"
	"bulkhead/realms"
	"bulkhead/wire"
)

// ProjectPath names a project in a path.
type ProjectPath struct {
	Project string `path:"project" maxLength:"63" doc:"Name or key"`
	found   asset.Project
}

func (p *ProjectPath) target(ctx context.Context, a *API) (_ Target, err error) {
	if key, err := wire.ParseKey(p.Project); err == nil { // that it exists would take time to find, and show
		if err := a.enters(ctx, key); err != nil {
			return Target{}, err
		}
	}
	if p.found, err = a.Assets.FindProject(ctx, p.Project); err == nil {
		err = a.enters(ctx, p.found.Key)
	}
	return projectTarget(p.found), err
}

func projectTarget(p asset.Project) Target {
	return Target{Kind: "project", Project: p.Key, Key: p.Key}
}

// PlatformPath is an operation about the server as a whole.
type PlatformPath struct{}

func (PlatformPath) target(context.Context, *API) (Target, error) { return platform, nil }

func projectOf(p asset.Project) Project {
	return Project{
		Key: p.Key, Name: p.Name, Title: p.Title, DeviceRealm: realms.OfProject(p.Key).Name(), Removing: p.Removing,
		CreatedAt: p.CreatedAt, ETag: etagOf(p.Revision),
	}
}

type (
	listInput struct {
		PlatformPath
		Page
	}
	projectCreateInput struct {
		PlatformPath
		Body ProjectCreate
	}
	projectUpdateInput struct {
		ProjectPath
		Condition
		Body ProjectUpdate
	}
	// reply is an answer with a body.
	reply[T any] struct {
		ETag     string `header:"ETag"`
		Location string `header:"Location"`
		Body     T
	}
	// nothing is an answer without one.
	nothing struct{}
)

func (a *API) registerProjects() {
	handle(a, route{method: http.MethodGet, path: "/projects", id: "list-projects", tag: "projects", summary: "List projects", flag: wire.ProjectRead, listing: true}, a.listProjects)
	handle(a, route{method: http.MethodPost, path: "/projects", id: "create-project", tag: "projects", summary: "Create a project", flag: wire.PlatformCreateProject, status: http.StatusCreated}, a.createProject)
	handle(a, route{method: http.MethodGet, path: "/projects/{project}", id: "get-project", tag: "projects", summary: "Show a project", flag: wire.ProjectRead}, a.getProject)
	handle(a, route{method: http.MethodPatch, path: "/projects/{project}", id: "update-project", tag: "projects", summary: "Change a project's name or title", flag: wire.ProjectUpdate}, a.updateProject)
	handle(a, route{method: http.MethodDelete, path: "/projects/{project}", id: "delete-project", tag: "projects", summary: "Delete a project with its installations, devices, apps and data", flag: wire.ProjectDelete}, a.deleteProject)
}

func (a *API) listProjects(ctx context.Context, c caller, in *listInput) (*reply[List[Project]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	page, err := visiblePage(in.Limit, after,
		func(after string, limit int) ([]asset.Project, error) { return a.Assets.Projects(ctx, after, limit) },
		func(p asset.Project) string { return p.Name },
		func(p asset.Project) (Project, bool) {
			return projectOf(p), a.Authorizer.Sees(ctx, c.by, projectTarget(p))
		})
	return &reply[List[Project]]{Body: page}, err
}

func (a *API) createProject(ctx context.Context, c caller, in *projectCreateInput) (*reply[Project], error) {
	p, err := a.Assets.CreateProject(ctx, c.actor, in.Body.Name, in.Body.Title, c.by.Key)
	if err != nil {
		return nil, err
	}
	if err := a.Granting.Refresh(ctx, p.Key); err != nil {
		return nil, err
	}
	return &reply[Project]{ETag: etagOf(p.Revision), Location: location("projects", p.Key.String()), Body: projectOf(p)}, nil
}

func (a *API) getProject(_ context.Context, _ caller, in *ProjectPath) (*reply[Project], error) {
	return &reply[Project]{ETag: etagOf(in.found.Revision), Body: projectOf(in.found)}, nil
}

func (a *API) updateProject(ctx context.Context, c caller, in *projectUpdateInput) (*reply[Project], error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	p, err := a.Assets.UpdateProject(ctx, c.actor, in.found.Key, revision, asset.ProjectChange{Name: in.Body.Name, Title: in.Body.Title})
	if err != nil {
		return nil, err
	}
	return &reply[Project]{ETag: etagOf(p.Revision), Body: projectOf(p)}, nil
}

func (a *API) deleteProject(ctx context.Context, c caller, in *ProjectPath) (*nothing, error) {
	return &nothing{}, a.Assets.DeleteProject(ctx, c.actor, in.found.Key)
}

// location is the path of what was made.
func location(components ...string) string {
	path := Prefix
	for _, c := range components {
		path += "/" + c
	}
	return path
}
