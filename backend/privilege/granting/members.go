package granting

import (
	"context"
	"slices"

	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func memberEntry(by By, action audit.Action, m privilege.Member, name string) audit.Entry {
	return audit.New(by.Actor, action, m.Project, audit.Asset{Kind: "member", Key: m.Principal, Name: name})
}

// maxLimits bounds the groups that a member is limited to.
const maxLimits = 1000

// AddMember lets somebody into a project, all of it or some groups. Who does so holds what the project's defaults give them.
func (g *Granting) AddMember(ctx context.Context, by By, m privilege.Member, name string) (privilege.Member, error) {
	m.AddedAt = g.timestamp()
	if err := sortGroups(&m); err != nil {
		return m, err
	}
	err := g.decided(ctx, m.Project, func(s *privilege.Snapshot, revision int64) error {
		gives := s.Wide(m.Project, m.Principal)
		if err := lacking(s.LacksAll(by.Subject, m.Project, gives, m.Limited, m.Groups, g.now())); err != nil {
			return err
		}
		return g.store.AddMember(ctx, m, revision, memberEntry(by, audit.MemberAdd, m, name).Changed(nil, m))
	})
	return m, errs.Wrap("granting: add member", err)
}

func sortGroups(m *privilege.Member) error {
	if len(m.Groups) > maxLimits {
		return errs.E(wire.Invalid, "a member is limited to at most %d groups", maxLimits)
	}
	slices.Sort(m.Groups)
	m.Groups = slices.Compact(m.Groups)
	if !m.Limited && len(m.Groups) > 0 {
		return errs.E(wire.Invalid, "groups limit a member: say limited too, or no groups")
	}
	return nil
}

// LimitMember says anew to which groups a member is limited. Who does so holds what the member has on the whole project
// wherever the member is let in. Grants on single devices and groups that were beyond the limits, or are now, end with it:
// nobody would remember them when the limits are widened.
func (g *Granting) LimitMember(ctx context.Context, by By, m privilege.Member, name string) (privilege.Member, error) {
	if err := sortGroups(&m); err != nil {
		return m, err
	}
	err := g.decided(ctx, m.Project, func(s *privilege.Snapshot, revision int64) error {
		old, err := g.store.Member(ctx, m.Project, m.Principal)
		if err != nil {
			return err
		}
		m.AddedAt = old.AddedAt
		more := slices.DeleteFunc(slices.Clone(m.Groups), func(k wire.Key) bool { return slices.Contains(old.Groups, k) })
		if old.Limited && (!m.Limited || len(more) > 0) {
			gives := s.Wide(m.Project, m.Principal)
			if err := lacking(s.LacksAll(by.Subject, m.Project, gives, m.Limited, more, g.now())); err != nil {
				return err
			}
		}
		var ended []GrantChange
		for _, grant := range s.Beyond(m.Project, m.Principal, old, m) {
			ended = append(ended, ending(by, grant, nil, ""))
		}
		return g.store.LimitMember(ctx, m, revision, ended, memberEntry(by, audit.MemberUpdate, m, name).Changed(old, m))
	})
	return m, errs.Wrap("granting: limit member", err)
}

// RemoveMember takes somebody out of a project, with all that they were granted in it.
func (g *Granting) RemoveMember(ctx context.Context, by By, project, principal wire.Key, name string) error {
	err := g.decided(ctx, project, func(_ *privilege.Snapshot, revision int64) error {
		old, err := g.store.Member(ctx, project, principal)
		if err != nil {
			return err
		}
		return g.store.RemoveMember(ctx, old, revision, memberEntry(by, audit.MemberRemove, old, name).Changed(old, nil))
	})
	return errs.Wrap("granting: remove member", err)
}

// Members lists the members of a project in the order of their keys.
func (g *Granting) Members(ctx context.Context, project, after wire.Key, limit int) ([]privilege.Member, error) {
	found, err := g.store.Members(ctx, project, after, limit)
	return found, errs.Wrap("granting: members", err)
}

// Member finds a member.
func (g *Granting) Member(ctx context.Context, project, principal wire.Key) (privilege.Member, error) {
	m, err := g.store.Member(ctx, project, principal)
	return m, errs.Wrap("granting: member", err)
}

// Defaults is what each member may do with every asset of a project.
type Defaults struct {
	Flags []wire.Flag `json:"flags"`
}

// SetDefaults says what each member may do with every asset of a project. Who does so holds what is new in it, everywhere.
func (g *Granting) SetDefaults(ctx context.Context, by By, project wire.Key, name string, flags []wire.Flag) ([]wire.Flag, error) {
	may := privilege.Grantable(wire.AssetProject)
	for _, f := range flags {
		if !may.Has(f) {
			return nil, errs.E(wire.Invalid, "%s is no privilege of members of a project", f)
		}
	}
	set := privilege.Of(flags...)
	err := g.decided(ctx, project, func(s *privilege.Snapshot, revision int64) error {
		old := s.Defaults(project)
		if err := lacking(s.LacksAll(by.Subject, project, set.Without(old), false, nil, g.now())); err != nil {
			return err
		}
		on := audit.Asset{Kind: "project", Key: project, Name: name}
		entry := audit.New(by.Actor, audit.DefaultsUpdate, project, on).Changed(Defaults{old.Flags()}, Defaults{set.Flags()})
		return g.store.SetDefaults(ctx, project, set.Flags(), revision, entry)
	})
	return set.Flags(), errs.Wrap("granting: defaults", err)
}
