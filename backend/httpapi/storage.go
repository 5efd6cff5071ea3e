package httpapi

import (
	"context"
	"net/http"

	"bulkhead/backend/account"
	"bulkhead/backend/quota"
	"bulkhead/wire"
)

// LimitedPath names a project to who limits all of them, and need not belong to one.
type LimitedPath struct{ ProjectPath }

type storageInput struct {
	LimitedPath
	Body StorageQuota
}

func (p *LimitedPath) target(ctx context.Context, a *API) (_ Target, err error) {
	by, _ := ctx.Value(callerKey{}).(account.Principal)
	if !a.Authorizer.May(ctx, by, wire.PlatformLimits, platform) {
		return p.ProjectPath.target(ctx, a)
	}
	p.found, err = a.Assets.FindProject(ctx, p.Project)
	return platform, err
}

func (a *API) registerStorage() {
	const tag, path = "storage", "/projects/{project}/storage"
	handle(a, route{method: http.MethodGet, path: "/storage", id: "list-storage", tag: tag, summary: "List what every project stores, and how much it may", flag: wire.PlatformLimits}, a.listStorage)
	handle(a, route{method: http.MethodGet, path: path, id: "get-storage", tag: tag, summary: "Show what a project stores, and how much it may", flag: wire.ProjectRead}, a.getStorage)
	handle(a, route{method: http.MethodPut, path: path, id: "set-storage-quota", tag: tag, summary: "Say how much a project may store", flag: wire.PlatformLimits}, a.setStorageQuota)
}

func storageOf(u quota.Use) ProjectStorage {
	return ProjectStorage{
		ProjectKey: u.Project, Project: u.Name, QuotaBytes: u.Quota, Default: !u.Own, UsedBytes: u.Used(), TableBytes: u.Tables, DiskBytes: u.Disk,
		SinceBytes: u.Since, MeasuredAt: u.MeasuredAt, Level: string(u.Level),
	}
}

func (a *API) listStorage(_ context.Context, _ caller, in *listInput) (*reply[List[ProjectStorage]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	page := pageOf(a.Quotas.Uses(after), in.Limit, func(u quota.Use) string { return u.Name },
		func(u quota.Use) (ProjectStorage, bool) { return storageOf(u), true })
	return &reply[List[ProjectStorage]]{Body: page}, nil
}

func (a *API) getStorage(_ context.Context, _ caller, in *ProjectPath) (*reply[ProjectStorage], error) {
	return a.storage(in, a.Quotas.Use(in.found.Key))
}

// storage shows a use under the name that the project has now.
func (a *API) storage(in *ProjectPath, u quota.Use) (*reply[ProjectStorage], error) {
	u.Name = in.found.Name
	return &reply[ProjectStorage]{Body: storageOf(u)}, nil
}

func (a *API) setStorageQuota(ctx context.Context, c caller, in *storageInput) (*reply[ProjectStorage], error) {
	u, err := a.Quotas.Set(ctx, c.actor, in.found.Key, in.Body.QuotaBytes)
	if err != nil {
		return nil, err
	}
	out, err := a.storage(&in.ProjectPath, u)
	out.Body.OverBytes = a.Quotas.Left().Over()
	return out, err
}
