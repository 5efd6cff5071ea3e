package granting

import (
	"context"

	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Demand is the one provider that vouches for the users of a project.
type Demand struct {
	Provider wire.Key `json:"provider_key,omitempty"` // 0: whoever
}

// Demand tells which provider a project demands; 0: none.
func (g *Granting) Demand(ctx context.Context, project wire.Key) (wire.Key, error) {
	provider, err := g.store.Demand(ctx, project)
	return provider, errs.Wrap("granting: demanded provider", err)
}

// SetDemand says, as an owner, that whatever users have in a project counts for those of one provider alone; 0 lets all
// others in again. What they have open there ends. Service accounts are not asked.
func (g *Granting) SetDemand(ctx context.Context, by By, project wire.Key, name string, provider wire.Key) error {
	err := g.decided(ctx, project, func(s *privilege.Snapshot, revision int64) error {
		if !s.Owns(by.Subject, project) {
			return errOwners
		}
		old, err := g.store.Demand(ctx, project)
		if err != nil {
			return err
		}
		entry := ownerEntry(by, audit.DemandUpdate, project, name).Changed(Demand{old}, Demand{provider})
		return g.store.SetDemand(ctx, project, provider, revision, entry)
	})
	return errs.Wrap("granting: demand a provider", err)
}
