package httpapi

import (
	"context"
	"net/http"

	"bulkhead/backend/privilege"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

type explainInput struct {
	Principal string    `query:"principal" maxLength:"320" doc:"Key, login name, display name or e-mail address; absent: oneself"`
	Flag      wire.Flag `query:"flag" required:"true" maxLength:"100" example:"device.tunnel"`
	Asset     string    `query:"asset" required:"true" maxLength:"200" doc:"As in a grant" example:"device:plant-a/press-1"`
	referred
}

func (in *explainInput) target(ctx context.Context, a *API) (_ Target, err error) {
	in.referred, err = a.refer(ctx, in.Asset)
	return in.on, err
}

// wants lets everybody ask about themselves what they see, and about others on what they may grant on.
func (in *explainInput) wants(Target) wire.Flag {
	if in.Principal == "" {
		return wire.Flag(string(in.asset.Kind) + ".read")
	}
	return grantFlag(in.asset.Kind)
}

func (a *API) registerPrivileges() {
	handle(a, route{method: http.MethodGet, path: "/privileges", id: "list-privileges", tag: "privileges", summary: "List every privilege and every named set", flag: wire.Self}, a.listPrivileges)
	handle(a, route{method: http.MethodGet, path: "/explain", id: "explain-privilege", tag: "privileges", summary: "Tell why somebody may do something to an asset, or why not; about others it asks for the privilege grant of the asset's kind", flag: wire.ProjectRead}, a.explainPrivilege)
}

func (a *API) listPrivileges(context.Context, caller, *SelfPath) (*reply[Catalogue], error) {
	body := Catalogue{Privileges: wire.Catalogue}
	for _, name := range wire.Sets {
		flags, _ := wire.Set(name)
		body.Sets = append(body.Sets, NamedSet{name, flags})
	}
	return &reply[Catalogue]{Body: body}, nil
}

func (a *API) explainPrivilege(ctx context.Context, c caller, in *explainInput) (*reply[Explanation], error) {
	if !in.Flag.Known() {
		return nil, errs.E(wire.Invalid, "flag: no such privilege; see: bulkhead privilege catalogue")
	}
	subject := SubjectOf(c.by)
	if in.Principal != "" {
		p, err := a.Granting.Person(ctx, in.asset.Project, in.Principal)
		if err != nil {
			return nil, err
		}
		subject = privilege.Subject{Key: p.Key}
	}
	told := a.Granting.Live().Snapshot().Explain(subject, in.Flag, in.asset, a.Now())
	persons, err := a.persons(ctx, []wire.Key{subject.Key})
	if err != nil {
		return nil, err
	}
	body := Explanation{
		Principal: persons(subject.Key), Flag: in.Flag, Asset: refOf(in.asset, in.name), Allowed: told.Allowed, Reasons: []Reason{},
	}
	for _, r := range told.Reasons {
		shown, err := a.reasonOf(ctx, r)
		if err != nil {
			return nil, err
		}
		body.Reasons = append(body.Reasons, shown)
	}
	return &reply[Explanation]{Body: body}, nil
}

func (a *API) reasonOf(ctx context.Context, r privilege.Reason) (Reason, error) {
	shown := Reason{Rule: r.Rule, Says: r.Says, Text: r.Text}
	if r.Grant == nil {
		return shown, nil
	}
	list, err := a.grantsOf(ctx, []privilege.Grant{*r.Grant})
	if err == nil {
		shown.Grant = &list[0]
	}
	return shown, err
}
