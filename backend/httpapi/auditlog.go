package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

type auditInput struct {
	Page
	Project  string    `query:"project" maxLength:"63" doc:"Name or key: entries of this project only"`
	Actor    string    `query:"actor" maxLength:"100" doc:"Key of who did it"`
	Action   string    `query:"action" maxLength:"60" pattern:"^[a-z_]*[.]?[a-z_]*$" doc:"One action, or a kind of asset for all of its actions" example:"device.create"`
	Asset    string    `query:"asset" maxLength:"200" doc:"Kind, key or name of what it was done to"`
	Severity string    `query:"severity" enum:"info,notice,warning"`
	Since    time.Time `query:"since" doc:"From this time on"`
	Until    time.Time `query:"until" doc:"Before this time"`
	Order    string    `query:"order" enum:"newest,oldest" default:"newest" doc:"Which come first"`
	After    int64     `query:"after" minimum:"0" doc:"Newer than the entry of this sequence: for following the log"`
	project  wire.Key
}

func (in *auditInput) target(ctx context.Context, a *API) (Target, error) {
	if in.Project == "" {
		return platform, nil
	}
	p, err := a.Assets.FindProject(ctx, in.Project)
	in.project = p.Key
	return projectTarget(p), err
}

func (in *auditInput) query() (audit.Query, error) {
	q := audit.Query{
		Project: in.project, Actor: in.Actor, Action: audit.Action(in.Action), Asset: in.Asset, Severity: audit.Severity(in.Severity),
		Since: in.Since, Until: in.Until, After: in.After, Oldest: in.Order == "oldest", Limit: in.Limit + 1,
	}
	before, err := in.after()
	if err != nil || before == "" {
		return q, err
	}
	bound := &q.Before
	if q.Oldest {
		bound = &q.After
	}
	*bound, err = strconv.ParseInt(before, 10, 64)
	return q, errs.As(wire.Invalid, err, "cursor: want what the page before gave as next")
}

func (a *API) registerAudit() {
	handle(a, route{method: http.MethodGet, path: "/audit", id: "list-audit", tag: "audit", summary: "List what was done, newest first", flag: wire.ProjectAudit}, a.listAudit)
	a.registerAuditLogs()
}

func (a *API) listAudit(ctx context.Context, _ caller, in *auditInput) (*reply[List[AuditEntry]], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	found, err := a.Audit.Entries(ctx, q)
	if err != nil {
		return nil, err
	}
	page := pageOf(found, in.Limit, func(e audit.Entry) string { return strconv.FormatInt(e.Sequence, 10) },
		func(e audit.Entry) (AuditEntry, bool) { return e, true })
	return &reply[List[AuditEntry]]{Body: page}, nil
}

// noteRefusal records that somebody asked for what it may not have.
func (a *API) noteRefusal(ctx context.Context, c caller, flag wire.Flag, on Target) {
	if a.Refusals == nil {
		return
	}
	a.Refusals.Note(ctx, audit.New(c.actor, audit.AccessRefuse, on.Project, audit.Asset{Kind: on.Kind, Key: on.Key}).
		Changed(nil, map[string]string{"flag": string(flag)}).Failing())
}

// noteLack records that somebody asked for what it may have, but was not proved surely enough to. What it is about is not
// in the entry: it was not looked for.
func (a *API) noteLack(ctx context.Context, c caller, r route, err error) {
	lacks, ok := lacking(err)
	if !ok || a.Refusals == nil {
		return
	}
	a.Refusals.Note(ctx, audit.New(c.actor, audit.AccessRefuse, 0, audit.Asset{Kind: "login"}).
		Changed(nil, map[string]string{"flag": string(r.flag), "path": r.path, "reason": "no " + lacks}).Failing())
}
