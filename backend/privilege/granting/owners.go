package granting

import (
	"context"

	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Owners lists who owns a project.
func (g *Granting) Owners(ctx context.Context, project wire.Key) ([]Owner, error) {
	found, err := g.store.Owners(ctx, project)
	return found, errs.Wrap("granting: owners", err)
}

var errOwners = errs.E(wire.Denied, "only an owner of the project may do this")

func ownerEntry(by By, action audit.Action, project wire.Key, name string) audit.Entry {
	return audit.New(by.Actor, action, project, audit.Asset{Kind: "project", Key: project, Name: name})
}

// Offer offers a project to a new owner. Where keep is set, the one who offers stays an owner too.
func (g *Granting) Offer(ctx context.Context, by By, project wire.Key, name string, to wire.Key, keep bool) (Transfer, error) {
	now := g.timestamp()
	t := Transfer{
		Key: wire.NewKey(), Project: project, ProjectName: name, From: by.Subject.Key, To: to, Keep: keep,
		OfferedAt: now, ExpiresAt: now.Add(OfferLife),
	}
	if t.From == t.To {
		return t, errs.E(wire.Invalid, "the project is yours already")
	}
	err := g.decided(ctx, project, func(s *privilege.Snapshot, revision int64) error {
		if !s.Owns(by.Subject, project) {
			return errOwners
		}
		return g.store.InsertTransfer(ctx, t, revision, ownerEntry(by, audit.OwnerOffer, project, name).Changed(nil, t))
	})
	return t, errs.Wrap("granting: offer", err)
}

// Offers lists the offers of a project, or to one principal where project is 0.
func (g *Granting) Offers(ctx context.Context, project, to wire.Key) ([]Transfer, error) {
	found, err := g.store.Transfers(ctx, project, to, g.now())
	return found, errs.Wrap("granting: offers", err)
}

// Withdraw takes an offer back, as one of the project's owners.
func (g *Granting) Withdraw(ctx context.Context, by By, project, key wire.Key) error {
	t, err := g.store.Transfer(ctx, key, g.now())
	if err == nil && t.Project != project {
		err = errs.E(wire.NotFound, "no such offer")
	}
	if err != nil {
		return errs.Wrap("granting: withdraw", err)
	}
	if !g.live.Snapshot().Owns(by.Subject, project) {
		return errOwners
	}
	return g.end(ctx, by, t, false, audit.OwnerDecline)
}

// Accept makes the one to whom a project was offered its owner.
func (g *Granting) Accept(ctx context.Context, by By, key wire.Key) (Transfer, error) {
	t, err := g.offered(ctx, by, key)
	if err != nil {
		return t, err
	}
	return t, g.end(ctx, by, t, true, audit.OwnerAccept)
}

// Decline refuses an offer, as the one to whom it was made.
func (g *Granting) Decline(ctx context.Context, by By, key wire.Key) error {
	t, err := g.offered(ctx, by, key)
	if err != nil {
		return err
	}
	return g.end(ctx, by, t, false, audit.OwnerDecline)
}

// offered finds an offer that was made to by. There are no others as far as by is told. An API key speaks for its holder
// here only where it names everything: who accepts has all of a project.
func (g *Granting) offered(ctx context.Context, by By, key wire.Key) (Transfer, error) {
	t, err := g.store.Transfer(ctx, key, g.now())
	if err == nil && t.To != by.Subject.Key {
		err = errs.E(wire.NotFound, "no such offer")
	}
	if err == nil && !by.Subject.Unbounded() {
		err = errs.E(wire.Denied, "the API key's scopes do not name everything, which an owner has")
	}
	return t, errs.Wrap("granting: offer", err)
}

func (g *Granting) end(ctx context.Context, by By, t Transfer, accepted bool, action audit.Action) error {
	entry := ownerEntry(by, action, t.Project, t.ProjectName).Changed(t, nil)
	if err := g.store.EndTransfer(ctx, t, accepted, g.timestamp(), entry); err != nil {
		return errs.Wrap("granting: end offer", err)
	}
	return g.Refresh(ctx, t.Project)
}

// RemoveOwner ends an ownership, one's own or that of another owner. The last owner cannot leave.
func (g *Granting) RemoveOwner(ctx context.Context, by By, project wire.Key, name string, principal wire.Key) error {
	err := g.decided(ctx, project, func(s *privilege.Snapshot, revision int64) error {
		if !s.Owns(by.Subject, project) {
			return errOwners
		}
		entry := ownerEntry(by, audit.OwnerRemove, project, name).Changed(Owner{Principal: principal}, nil)
		return g.store.RemoveOwner(ctx, project, principal, revision, entry)
	})
	return errs.Wrap("granting: remove owner", err)
}
