package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

type auditInput struct {
	Page
	Project string `query:"project" maxLength:"63" doc:"Name or key: entries of this project only"`
	project wire.Key
}

func (in *auditInput) target(ctx context.Context, a *API) (Target, error) {
	if in.Project == "" {
		return platform, nil
	}
	p, err := a.Assets.FindProject(ctx, in.Project)
	in.project = p.Key
	return projectTarget(p), err
}

func (a *API) registerAudit() {
	handle(a, route{method: http.MethodGet, path: "/audit", id: "list-audit", tag: "audit", summary: "List what was done, newest first", flag: wire.ProjectAudit}, a.listAudit)
}

func (a *API) listAudit(ctx context.Context, _ caller, in *auditInput) (*reply[List[AuditEntry]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	q := audit.Query{Project: in.project, Limit: in.Limit + 1}
	if after != "" {
		if q.Before, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, errs.As(wire.Invalid, err, "cursor: want what the page before gave as next")
		}
	}
	found, err := a.Audit.Entries(ctx, q)
	if err != nil {
		return nil, err
	}
	page := pageOf(found, in.Limit, func(e audit.Entry) string { return strconv.FormatInt(e.Sequence, 10) },
		func(e audit.Entry) (AuditEntry, bool) { return e, true })
	return &reply[List[AuditEntry]]{Body: page}, nil
}
