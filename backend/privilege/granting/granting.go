// Package granting says who owns a project, who belongs to it, what is granted to whom, and keeps the snapshot that
// decisions are made from.
//
// It promises that nobody gives what they do not hold at the moment at which it is written; that a project always has an
// owner; that the new owner of a project has agreed; that a change is in force here when the call returns, and elsewhere
// within a second; and that each change writes its audit entry in the same transaction.
package granting

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/backend/privilege"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// ErrStale is returned by a Store for a change that was decided about on what is not so any more.
var ErrStale = errs.E(wire.Unavailable, "privileges are being changed by others at the same time: try again")

// Store keeps what is granted. Each method that changes something is one transaction with its audit entry; where it is
// given the revision that was decided on, it fails with ErrStale where the project has another.
type Store interface {
	Following
	PrincipalNamed(ctx context.Context, project wire.Key, text string) (Person, error)
	Persons(ctx context.Context, keys []wire.Key) (map[wire.Key]Person, error)

	Grant(ctx context.Context, key wire.Key) (privilege.Grant, error)
	Grants(ctx context.Context, q GrantQuery) ([]privilege.Grant, error)
	ChangeGrants(ctx context.Context, project wire.Key, expected int64, changes []GrantChange) error

	Members(ctx context.Context, project, after wire.Key, limit int) ([]privilege.Member, error)
	Member(ctx context.Context, project, principal wire.Key) (privilege.Member, error)
	AddMember(ctx context.Context, m privilege.Member, expected int64, e audit.Entry) error
	LimitMember(ctx context.Context, m privilege.Member, expected int64, ended []GrantChange, e audit.Entry) error
	RemoveMember(ctx context.Context, m privilege.Member, expected int64, e audit.Entry) error
	SetDefaults(ctx context.Context, project wire.Key, flags []wire.Flag, expected int64, e audit.Entry) error

	Demand(ctx context.Context, project wire.Key) (provider wire.Key, err error)
	SetDemand(ctx context.Context, project, provider wire.Key, expected int64, e audit.Entry) error

	Owners(ctx context.Context, project wire.Key) ([]Owner, error)
	RemoveOwner(ctx context.Context, project, principal wire.Key, expected int64, e audit.Entry) error
	Transfers(ctx context.Context, project, to wire.Key, now time.Time) ([]Transfer, error)
	Transfer(ctx context.Context, key wire.Key, now time.Time) (Transfer, error)
	InsertTransfer(ctx context.Context, t Transfer, expected int64, e audit.Entry) error
	EndTransfer(ctx context.Context, t Transfer, accepted bool, now time.Time, e audit.Entry) error
}

// Person is a principal as others see it.
type Person struct {
	Key       wire.Key `json:"key"`
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Login     string   `json:"login,omitempty"` // of a local account
	Suspended bool     `json:"suspended,omitempty"`
}

// GrantQuery selects the grants of one project; those on apps of the platform have the project 0.
type GrantQuery struct {
	Project   wire.Key
	Principal wire.Key        // 0: of all
	Asset     privilege.Asset // zero: on all
	After     wire.Key
	Limit     int
}

// GrantChange is one change of grants: a new one, or one that keeps Flags and ends where these are none.
type GrantChange struct {
	Grant  privilege.Grant
	Create bool
	Entry  audit.Entry
}

// Owner is one of those who own a project.
type Owner struct {
	Principal wire.Key  `json:"principal_key"`
	Since     time.Time `json:"since"`
}

// Transfer offers a project to a new owner.
type Transfer struct {
	Key         wire.Key  `json:"key"`
	Project     wire.Key  `json:"project_key"`
	ProjectName string    `json:"project"`
	From        wire.Key  `json:"from_key"`
	To          wire.Key  `json:"to_key"`
	Keep        bool      `json:"keep"` // the one who offers stays an owner too
	OfferedAt   time.Time `json:"offered_at"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// OfferLife is how long an offer waits to be accepted.
const OfferLife = 7 * 24 * time.Hour

// By is who asks for a change, as the snapshot and as the record know it.
type By struct {
	Subject privilege.Subject
	Actor   audit.Actor
}

// Granting has the use cases. Make one with New.
type Granting struct {
	store Store
	live  *Live
	now   func() time.Time
	log   *slog.Logger
}

// New makes Granting over a store; live follows the same.
func New(store Store, live *Live, now func() time.Time, log *slog.Logger) *Granting {
	return &Granting{store: store, live: live, now: now, log: log}
}

// Live is the snapshot that decisions are made from.
func (g *Granting) Live() *Live { return g.live }

// attempts is how often a change is decided about again because others change privileges of the project meanwhile.
const attempts = 8

// decided decides on the newest snapshot and writes the change where nothing has changed since. When it returns the change
// is in force.
func (g *Granting) decided(ctx context.Context, project wire.Key, change func(s *privilege.Snapshot, revision int64) error) error {
	for attempt := 1; ; attempt++ {
		if err := g.live.Refresh(ctx, project); err != nil {
			return errs.Wrap("granting: read", err)
		}
		s := g.live.Snapshot()
		err := change(s, s.Revision(project))
		if errors.Is(err, ErrStale) && attempt < attempts && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return err
		}
		return g.Refresh(ctx, project)
	}
}

// Refresh brings a change into force that was committed. It does so also when the caller has gone; what fails here is tried
// again by whoever follows.
func (g *Granting) Refresh(ctx context.Context, project wire.Key) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshTimeout)
	defer cancel()
	return errs.As(wire.Unavailable, g.live.Refresh(ctx, project), "the change was made; it is in force within a second")
}

const refreshTimeout = 5 * time.Second

// lacking refuses to give what is not held.
func lacking(flags []wire.Flag) error {
	if len(flags) == 0 {
		return nil
	}
	return errs.E(wire.Denied, "nobody gives what they do not hold there, for as long: you lack %s", joined(flags))
}

func joined(flags []wire.Flag) string {
	words := make([]string, len(flags))
	for i, f := range flags {
		words[i] = string(f)
	}
	return strings.Join(words, ", ")
}

// timestamp gives the time in the precision that the database keeps.
func (g *Granting) timestamp() time.Time { return g.now().UTC().Truncate(time.Microsecond) }

// Person finds somebody whom a project may know: by key, login name, display name or e-mail address.
func (g *Granting) Person(ctx context.Context, project wire.Key, text string) (Person, error) {
	if text == "" || len(text) > 320 {
		return Person{}, errs.E(wire.NotFound, "no such user or service account")
	}
	p, err := g.store.PrincipalNamed(ctx, project, text)
	return p, errs.Wrap("granting: find", err)
}

// Persons tells of principals by their keys. Those that are gone are left out.
func (g *Granting) Persons(ctx context.Context, keys []wire.Key) (map[wire.Key]Person, error) {
	slices.Sort(keys)
	persons, err := g.store.Persons(ctx, slices.Compact(keys))
	return persons, errs.Wrap("granting: persons", err)
}
