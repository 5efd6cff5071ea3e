package granting

import (
	"context"
	"slices"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// maxGrantLife bounds nothing but mistakes of a calendar.
const maxGrantLife = 100 * 365 * 24 * time.Hour

func assetOf(a privilege.Asset, name string) audit.Asset {
	return audit.Asset{Kind: string(a.Kind), Key: a.Key, Name: name}
}

// Request asks for a grant. Name is how people call the asset, for the record.
type Request struct {
	Principal wire.Key
	Asset     privilege.Asset
	Name      string
	Flags     []wire.Flag
	From      time.Time
	Until     time.Time
}

func (r Request) check(now time.Time) error {
	if len(r.Flags) == 0 {
		return errs.E(wire.Invalid, "nothing is to be granted: name flags or a set")
	}
	may := privilege.Grantable(r.Asset.Kind)
	for _, f := range r.Flags {
		if !may.Has(f) {
			return errs.E(wire.Invalid, "%s cannot be granted on a %s", f, r.Asset.Kind)
		}
	}
	switch {
	case !r.Until.IsZero() && !now.Before(r.Until):
		return errs.E(wire.Invalid, "until: that time is over")
	case !r.Until.IsZero() && !r.From.IsZero() && !r.From.Before(r.Until):
		return errs.E(wire.Invalid, "until: that is not after from")
	case r.From.After(now.Add(maxGrantLife)) || r.Until.After(now.Add(maxGrantLife)):
		return errs.E(wire.Invalid, "from and until lie within 100 years")
	default:
		return nil
	}
}

// Give grants flags on an asset. A member of a project, or an owner, may be granted something in it.
func (g *Granting) Give(ctx context.Context, by By, r Request) (privilege.Grant, error) {
	now := g.timestamp()
	if err := r.check(now); err != nil {
		return privilege.Grant{}, err
	}
	grant := privilege.Grant{
		Key: wire.NewKey(), Principal: r.Principal, Asset: r.Asset, Flags: privilege.Of(r.Flags...).Flags(),
		From: r.From.UTC().Truncate(time.Microsecond), Until: r.Until.UTC().Truncate(time.Microsecond), GivenBy: by.Subject.Key, GivenAt: now,
	}
	entry := audit.New(by.Actor, audit.GrantCreate, r.Asset.Project, assetOf(r.Asset, r.Name)).Changed(nil, grant)
	err := g.decided(ctx, r.Asset.Project, func(s *privilege.Snapshot, revision int64) error {
		if err := lacking(s.Lacks(by.Subject, grant, now)); err != nil {
			return err
		}
		if !s.Reaches(grant.Principal, grant.Asset) {
			return errs.E(wire.Conflict, "they are limited to groups in which this is not: widen that first, with bulkhead member limit")
		}
		return g.store.ChangeGrants(ctx, r.Asset.Project, revision, []GrantChange{{Grant: grant, Create: true, Entry: entry}})
	})
	return grant, errs.Wrap("granting: give", err)
}

// Grant finds a grant.
func (g *Granting) Grant(ctx context.Context, key wire.Key) (privilege.Grant, error) {
	found, err := g.store.Grant(ctx, key)
	return found, errs.Wrap("granting: find", err)
}

// Grants lists the grants of a project in the order of their keys.
func (g *Granting) Grants(ctx context.Context, q GrantQuery) ([]privilege.Grant, error) {
	found, err := g.store.Grants(ctx, q)
	return found, errs.Wrap("granting: list", err)
}

// Revoke ends a grant.
func (g *Granting) Revoke(ctx context.Context, by By, grant privilege.Grant, name string) error {
	err := g.decided(ctx, grant.Asset.Project, func(_ *privilege.Snapshot, revision int64) error {
		return g.store.ChangeGrants(ctx, grant.Asset.Project, revision, []GrantChange{ending(by, grant, nil, name)})
	})
	return errs.Wrap("granting: revoke", err)
}

// ending takes flags back from a grant: all of them where none are named.
func ending(by By, grant privilege.Grant, flags []wire.Flag, name string) GrantChange {
	next := grant
	next.Flags = privilege.Of(grant.Flags...).Without(privilege.Of(flags...)).Flags()
	if len(flags) == 0 {
		next.Flags = nil
	}
	entry := audit.New(by.Actor, audit.GrantRevoke, grant.Asset.Project, assetOf(grant.Asset, name)).Changed(grant, nil)
	if len(next.Flags) > 0 {
		entry = audit.New(by.Actor, audit.GrantUpdate, grant.Asset.Project, assetOf(grant.Asset, name)).Changed(grant, next)
	}
	return GrantChange{Grant: next, Entry: entry}
}

// maxRevoked bounds how many grants one call takes flags from.
const maxRevoked = 1000

// RevokeFlags takes flags back from all that somebody was granted on one asset; kind NotFound where it was granted none of
// them there.
func (g *Granting) RevokeFlags(ctx context.Context, by By, principal wire.Key, asset privilege.Asset, name string, flags []wire.Flag) error {
	err := g.decided(ctx, asset.Project, func(_ *privilege.Snapshot, revision int64) error {
		found, err := g.store.Grants(ctx, GrantQuery{Project: asset.Project, Principal: principal, Asset: asset, Limit: maxRevoked})
		if err != nil {
			return err
		}
		var changes []GrantChange
		for _, grant := range found {
			if slices.ContainsFunc(grant.Flags, func(f wire.Flag) bool { return slices.Contains(flags, f) }) {
				changes = append(changes, ending(by, grant, flags, name))
			}
		}
		if len(changes) == 0 {
			return errs.E(wire.NotFound, "they were not granted this here; see why they have it with: bulkhead privilege explain")
		}
		return g.store.ChangeGrants(ctx, asset.Project, revision, changes)
	})
	return errs.Wrap("granting: revoke", err)
}
