package oidc

import (
	"context"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// MaxPerProject bounds the providers of one project, and of the platform.
const MaxPerProject = maxChoices

// ErrRevision says that a provider has changed since it was read.
var ErrRevision = errs.E(wire.Conflict, "the provider has changed since it was read: read it again")

// Store keeps providers. What changes one writes the audit entry in the same transaction.
type Store interface {
	Rows
	// InsertProvider has kind Conflict where the name or a domain is taken, where there are MaxPerProject already, and where
	// the platform and a project would both have the issuer: whom the platform's provider vouches for must not come in
	// under the rules of a project's.
	InsertProvider(ctx context.Context, s Sealed, e audit.Entry) error
	// UpdateProvider changes the row of s.Key that has still s.Revision, or returns ErrRevision. Where it gets another
	// issuer, the users whom it vouched for go along; where it is suspended, the logins that it vouched for end, and ended
	// has their ids.
	UpdateProvider(ctx context.Context, s Sealed, e audit.Entry) (ended []string, err error)
	// DeleteProvider forgets the provider; its users stay, their logins by it end, and they cannot log in.
	DeleteProvider(ctx context.Context, key wire.Key, e audit.Entry) (ended []string, err error)
}

// Administrator is who changes a provider.
type Administrator struct {
	Actor audit.Actor
	// Platform decides whether the caller may administer the platform's own providers, and so may let those of projects
	// reach beyond the project. It is asked where that matters; nil says no.
	Platform func() bool
}

func (a Administrator) mayPlatform() bool { return a.Platform != nil && a.Platform() }

// Providers is what administrators do with providers. Make one with NewProviders.
type Providers struct {
	store  Store
	sealer Sealer
	now    func() time.Time
	ended  []func(login string)
}

// NewProviders makes Providers over a store. Each of ended is told the id of a login that has ended with its provider, so
// that what it opened can be ended; it must not block.
func NewProviders(store Store, sealer Sealer, now func() time.Time, ended ...func(login string)) *Providers {
	return &Providers{store: store, sealer: sealer, now: now, ended: ended}
}

// Find gives a provider of a project (0: the platform) by its name or key.
func (s *Providers) Find(ctx context.Context, project wire.Key, text string) (Provider, error) {
	if key, err := wire.ParseKey(text); err == nil {
		row, err := s.store.Provider(ctx, key)
		if err == nil && row.Project != project {
			err = errs.E(wire.NotFound, "no such provider")
		}
		if err != nil {
			return Provider{}, errs.Wrap("oidc: find provider", err)
		}
		return row.Provider, nil
	}
	if !nameForm.MatchString(text) {
		return Provider{}, errs.E(wire.NotFound, "no such provider")
	}
	row, err := s.store.ProviderNamed(ctx, project, text)
	return row.Provider, errs.Wrap("oidc: find provider", err)
}

// List gives the providers of a project (0: the platform) in the order of their names, from the one after after.
func (s *Providers) List(ctx context.Context, project wire.Key, after string, limit int) ([]Provider, error) {
	list, err := s.store.Providers(ctx, project, after, limit)
	return list, errs.Wrap("oidc: list providers", err)
}

// Create makes a provider of what p says; the zero password makes a public client.
func (s *Providers) Create(ctx context.Context, by Administrator, p Provider, password secret.Value) (Provider, error) {
	p = p.withDefaults()
	p.Key, p.Revision, p.HasSecret = wire.NewKey(), 1, !password.IsZero()
	p.CreatedAt = s.now().UTC().Truncate(time.Microsecond) // what the database keeps
	if err := admissible(by, Provider{Project: p.Project}, p); err != nil {
		return Provider{}, err
	}
	row := Sealed{Provider: p}
	if err := s.seal(&row, password); err != nil {
		return Provider{}, err
	}
	entry := audit.New(by.Actor, audit.ProviderCreate, p.Project, assetOf(p)).Changed(nil, p)
	if err := s.store.InsertProvider(ctx, row, entry); err != nil {
		return Provider{}, errs.Wrap("oidc: create provider", err)
	}
	return p, nil
}

// Update changes what edit changes, where the provider has still the revision (0: any). A password that is not nil takes the place
// of the client secret; the zero one removes it.
func (s *Providers) Update(ctx context.Context, by Administrator, key wire.Key, revision int64, edit func(*Provider), password *secret.Value) (Provider, error) {
	row, err := s.store.Provider(ctx, key)
	if err != nil {
		return Provider{}, errs.Wrap("oidc: update provider", err)
	}
	if revision != 0 && revision != row.Revision {
		return Provider{}, ErrRevision
	}
	before := row.Provider
	edit(&row.Provider)
	row.Provider = row.withDefaults()
	row.Key, row.Project, row.Name, row.Revision, row.CreatedAt = before.Key, before.Project, before.Name, before.Revision, before.CreatedAt
	if password != nil {
		row.HasSecret = !password.IsZero()
		if err := s.seal(&row, *password); err != nil {
			return Provider{}, err
		}
	}
	if err := admissible(by, before, row.Provider); err != nil {
		return Provider{}, err
	}
	entry := audit.New(by.Actor, audit.ProviderUpdate, row.Project, assetOf(row.Provider)).Changed(before, row.Provider)
	ended, err := s.store.UpdateProvider(ctx, row, entry)
	if err != nil {
		return Provider{}, errs.Wrap("oidc: update provider", err)
	}
	s.tell(ended)
	row.Revision++
	return row.Provider, nil
}

// Delete forgets a provider, and ends the logins that it vouched for.
func (s *Providers) Delete(ctx context.Context, by Administrator, key wire.Key) error {
	row, err := s.store.Provider(ctx, key)
	if err != nil {
		return errs.Wrap("oidc: delete provider", err)
	}
	entry := audit.New(by.Actor, audit.ProviderDelete, row.Project, assetOf(row.Provider)).Changed(row.Provider, nil)
	ended, err := s.store.DeleteProvider(ctx, key, entry)
	s.tell(ended)
	return errs.Wrap("oidc: delete provider", err)
}

func (s *Providers) tell(logins []string) {
	for _, id := range logins {
		for _, ended := range s.ended {
			ended(id)
		}
	}
}

// seal puts the password into the row, under the row's key.
func (s *Providers) seal(row *Sealed, password secret.Value) error {
	if row.Secret = nil; password.IsZero() {
		return nil
	}
	if len(password.Reveal()) > maxSecret {
		return errs.E(wire.Invalid, "client_secret: want at most %d characters", maxSecret)
	}
	var err error
	row.Secret, err = s.sealer.Seal(password, row.context())
	return errs.Wrap("oidc: seal", err)
}

// admissible decides whether a change may be made.
func admissible(by Administrator, before, after Provider) error {
	if err := after.check(); err != nil {
		return err
	}
	if field := needsPlatform(before, after); field != "" && !by.mayPlatform() {
		return errs.E(wire.Denied, "%s: an owner of the server alone sets it for a project", field)
	}
	return nil
}

func assetOf(p Provider) audit.Asset {
	return audit.Asset{Kind: "provider", Key: p.Key, Name: p.Slug()}
}
