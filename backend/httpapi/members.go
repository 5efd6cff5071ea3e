package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"bulkhead/backend/account"
	"bulkhead/backend/privilege"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// MemberPath names a member of a project in a path.
type MemberPath struct {
	ProjectPath
	Member string `path:"member" maxLength:"320" doc:"Key, login name, display name or e-mail address"`
}

type (
	memberListInput struct {
		ProjectPath
		Page
	}
	memberCreateInput struct {
		ProjectPath
		Body MemberCreate
	}
	memberUpdateInput struct {
		MemberPath
		Body MemberUpdate
	}
	defaultsInput struct {
		ProjectPath
		Body Defaults
	}
)

func (a *API) registerMembers() {
	const path = "/projects/{project}/members"
	handle(a, route{method: http.MethodGet, path: path, id: "list-members", tag: "members", summary: "List a project's members", flag: wire.ProjectMembers}, a.listMembers)
	handle(a, route{method: http.MethodPost, path: path, id: "add-member", tag: "members", summary: "Let somebody into a project, all of it or some groups", flag: wire.ProjectMembers, status: http.StatusCreated}, a.addMember)
	handle(a, route{method: http.MethodPatch, path: path + "/{member}", id: "limit-member", tag: "members", summary: "Say anew to which groups a member is limited", flag: wire.ProjectMembers}, a.limitMember)
	handle(a, route{method: http.MethodDelete, path: path + "/{member}", id: "remove-member", tag: "members", summary: "Take somebody out of a project, with all that they were granted in it", flag: wire.ProjectMembers}, a.removeMember)
	handle(a, route{method: http.MethodDelete, path: "/projects/{project}/membership", id: "leave-project", tag: "members", summary: "Leave a project that one is a member of", flag: wire.ProjectRead}, a.leaveProject)
	handle(a, route{method: http.MethodGet, path: "/projects/{project}/defaults", id: "get-defaults", tag: "members", summary: "Show what each member may do with every asset of a project", flag: wire.ProjectRead}, a.getDefaults)
	handle(a, route{method: http.MethodPut, path: "/projects/{project}/defaults", id: "set-defaults", tag: "members", summary: "Say what each member may do with every asset of a project", flag: wire.ProjectGrant}, a.setDefaults)
}

func (a *API) listMembers(ctx context.Context, _ caller, in *memberListInput) (*reply[List[Member]], error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	from, _ := wire.ParseKey(after) // none is before all
	found, err := a.Granting.Members(ctx, in.found.Key, from, in.Limit+1)
	if err != nil {
		return nil, err
	}
	var keys []wire.Key
	for _, m := range found {
		keys = append(keys, m.Principal)
	}
	persons, err := a.persons(ctx, keys)
	page := pageOf(found, in.Limit, func(m privilege.Member) string { return m.Principal.String() },
		func(m privilege.Member) (Member, bool) { return memberOf(m, persons(m.Principal)), true })
	return &reply[List[Member]]{Body: page}, err
}

func memberOf(m privilege.Member, p Person) Member {
	return Member{Principal: p, Limited: m.Limited, Groups: m.Groups, AddedAt: m.AddedAt}
}

// groupKeys finds groups of a project that the caller sees.
func (a *API) groupKeys(ctx context.Context, c caller, project wire.Key, refs []string) ([]wire.Key, error) {
	var keys []wire.Key
	for _, ref := range refs {
		g, err := a.Assets.FindGroupOf(ctx, project, ref)
		if err == nil && !a.Authorizer.Sees(ctx, c.by, groupTarget(g)) {
			err = errs.E(wire.NotFound, "no such group")
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, g.Key)
	}
	return keys, nil
}

func (a *API) addMember(ctx context.Context, c caller, in *memberCreateInput) (*reply[Member], error) {
	p, err := a.Granting.Person(ctx, in.found.Key, in.Body.Principal)
	if err != nil {
		return nil, err
	}
	groups, err := a.groupKeys(ctx, c, in.found.Key, in.Body.Groups)
	if err != nil {
		return nil, err
	}
	m := privilege.Member{Project: in.found.Key, Principal: p.Key, Limited: in.Body.Limited || len(groups) > 0, Groups: groups}
	m, err = a.Granting.AddMember(ctx, a.granting(c), m, p.Name)
	if err != nil {
		return nil, err
	}
	made := memberOf(m, personOf(p))
	if made.Warning, err = a.barred(ctx, in.found.Key, made.Principal); err != nil {
		return nil, err
	}
	return &reply[Member]{Location: location("projects", in.found.Key.String(), "members", p.Key.String()), Body: made}, nil
}

// barred tells why a member does not come in; empty where they do.
func (a *API) barred(ctx context.Context, project wire.Key, p Person) (string, error) {
	demanded, err := a.Granting.Demand(ctx, project)
	if err != nil || !demanded.Valid() || p.Kind != string(account.KindUser) {
		return "", err
	}
	u, err := a.Users.Find(ctx, p.Key.String())
	if err != nil || u.Provider == demanded {
		return "", err
	}
	provider, err := a.providerFor(ctx, project, demanded.String())
	return fmt.Sprintf("the project demands the provider %s, and %s logs in another way: what they have in it does not count", provider.Name, p.Name), err
}

func (a *API) limitMember(ctx context.Context, c caller, in *memberUpdateInput) (*reply[Member], error) {
	p, err := a.Granting.Person(ctx, in.found.Key, in.Member)
	if err != nil {
		return nil, err
	}
	groups, err := a.groupKeys(ctx, c, in.found.Key, in.Body.Groups)
	if err != nil {
		return nil, err
	}
	m := privilege.Member{Project: in.found.Key, Principal: p.Key, Limited: in.Body.Limited, Groups: groups}
	m, err = a.Granting.LimitMember(ctx, a.granting(c), m, p.Name)
	return &reply[Member]{Body: memberOf(m, personOf(p))}, err
}

func (a *API) removeMember(ctx context.Context, c caller, in *MemberPath) (*nothing, error) {
	p, err := a.Granting.Person(ctx, in.found.Key, in.Member)
	if err != nil {
		return nil, err
	}
	return &nothing{}, a.Granting.RemoveMember(ctx, a.granting(c), in.found.Key, p.Key, p.Name)
}

func (a *API) leaveProject(ctx context.Context, c caller, in *ProjectPath) (*nothing, error) {
	if !c.by.InScope(wire.ProjectMembers) { // a key that only reads, and leaks, must not put its holder out
		return nil, errs.E(wire.Denied, "the API key does not have the scope %s", wire.ProjectMembers)
	}
	return &nothing{}, a.Granting.RemoveMember(ctx, a.granting(c), in.found.Key, c.by.Key, c.by.Name)
}

func (a *API) getDefaults(_ context.Context, _ caller, in *ProjectPath) (*reply[Defaults], error) {
	return &reply[Defaults]{Body: Defaults{Flags: a.Granting.Live().Snapshot().Defaults(in.found.Key).Flags()}}, nil
}

func (a *API) setDefaults(ctx context.Context, c caller, in *defaultsInput) (*reply[Defaults], error) {
	flags, err := a.Granting.SetDefaults(ctx, a.granting(c), in.found.Key, in.found.Name, in.Body.Flags)
	return &reply[Defaults]{Body: Defaults{Flags: flags}}, err
}
