package dev

import (
	"context"
	"slices"

	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/backend/privilege/granting"
	"bulkhead/internal/errs"
	"bulkhead/internal/server"
	"bulkhead/wire"
)

// assignRoles gives the sample users what they show: owner owns both projects, operator is a member of the first with the set
// of an operator. What is so already stays as it is.
func (p *people) assignRoles(ctx context.Context, s *server.Server, projects []ReadyProject) error {
	owner, _, err := p.find(ctx, s, sampleUsers[0].Name)
	if err != nil {
		return err
	}
	operator, _, err := p.find(ctx, s, sampleUsers[1].Name)
	if err != nil {
		return err
	}
	for i, project := range projects {
		first, err := ensureOwner(ctx, s.Granting(), project, owner.Key)
		if err == nil && i == 0 {
			err = ensureOperator(ctx, s.Granting(), project, first, operator.Key, sampleUsers[1].FullName)
		}
		if err != nil {
			return errs.Wrap("roles in "+project.Name, err)
		}
	}
	return nil
}

// as is the server acting for somebody.
func as(key wire.Key) granting.By {
	return granting.By{Subject: privilege.Subject{Key: key}, Actor: audit.Server}
}

// ensureOwner has the first owner share the project, and tells who that is.
func ensureOwner(ctx context.Context, g *granting.Granting, project ReadyProject, key wire.Key) (first wire.Key, err error) {
	owners, err := g.Owners(ctx, project.Key)
	if err != nil || len(owners) == 0 {
		return 0, err
	}
	first = owners[0].Principal
	if slices.ContainsFunc(owners, func(o granting.Owner) bool { return o.Principal == key }) {
		return first, nil
	}
	offer, err := g.Offer(ctx, as(first), project.Key, project.Name, key, true)
	if err != nil {
		return first, err
	}
	_, err = g.Accept(ctx, as(key), offer.Key)
	return first, err
}

func ensureOperator(ctx context.Context, g *granting.Granting, project ReadyProject, by, key wire.Key, name string) error {
	_, err := g.Member(ctx, project.Key, key)
	if errs.KindOf(err) != wire.NotFound {
		return err
	}
	if _, err := g.AddMember(ctx, as(by), privilege.Member{Project: project.Key, Principal: key}, name); err != nil {
		return err
	}
	flags, _ := wire.Set(wire.SetOperator)
	_, err = g.Give(ctx, as(by), granting.Request{Principal: key, Asset: privilege.ProjectAsset(project.Key), Name: project.Name, Flags: flags})
	return err
}
