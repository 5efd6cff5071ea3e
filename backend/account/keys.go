package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Lifetimes of API keys.
const (
	DefaultLife = 90 * 24 * time.Hour
	MaxLife     = 365 * 24 * time.Hour
)

const maxKeyName = 100

// unreadable is what would steer a terminal, or turn or hide what is beside it.
func unreadable(r rune) bool { return !unicode.IsPrint(r) }

const maxScopes = 100

// Record is what the server keeps of an API key.
type Record struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Hash       [sha256.Size]byte `json:"-"`
	Holder     Holder            `json:"holder"`
	Scopes     []wire.Flag       `json:"scopes"`
	CreatedAt  time.Time         `json:"created_at"`
	ExpiresAt  time.Time         `json:"expires_at"`
	RevokedAt  time.Time         `json:"revoked_at,omitzero"` // zero while it is not revoked
	LastUsedAt time.Time         `json:"-"`                   // to the minute
}

// Holder is who acts with a key.
type Holder struct {
	Kind      Kind     `json:"kind"`
	Key       wire.Key `json:"key"`
	Name      string   `json:"-"`
	Owner     bool     `json:"owner"`
	Suspended bool     `json:"suspended"`
}

// Live reports whether the key opens anything at a time.
func (r Record) Live(now time.Time) bool {
	return r.RevokedAt.IsZero() && now.Before(r.ExpiresAt) && r.Holder.Key.Valid() && !r.Holder.Suspended
}

func (r Record) principal() Principal {
	return Principal{
		Kind: r.Holder.Kind, Key: r.Holder.Key, Name: r.Holder.Name, Login: r.ID, Proof: ProofAPIKey, Owner: r.Holder.Owner,
		Scopes: r.Scopes, Level: AAL2, Until: r.ExpiresAt,
	}
}

// KeyStore keeps the records of API keys. What changes one writes the audit entry in the same transaction.
type KeyStore interface {
	APIKey(ctx context.Context, id string) (Record, error) // kind NotFound where there is none
	// APIKeys lists the keys of a holder, or of all where it is 0.
	APIKeys(ctx context.Context, holder wire.Key, after string, limit int) ([]Record, error)
	InsertAPIKey(ctx context.Context, r Record, e audit.Entry) error
	// HasOwner reports whether somebody can administer the server at a time: by an owner's key that is live, or as an owner
	// with a second factor.
	HasOwner(ctx context.Context, at time.Time) (bool, error)
	// InsertFirstOwner inserts r, held by the service account of the first owner, unless HasOwner at
	// r.CreatedAt, and reports whether it did. Where there is no such service account it makes r.Holder.
	InsertFirstOwner(ctx context.Context, r Record, e audit.Entry) (bool, error)
	// RevokeAPIKey sets RevokedAt; kind NotFound where there is none, nothing where it is set already.
	RevokeAPIKey(ctx context.Context, id string, at time.Time, e audit.Entry) error
	SeeAPIKey(ctx context.Context, id string, at time.Time) error
}

// Keys makes, checks and revokes API keys. Make one with NewKeys.
type Keys struct {
	store     KeyStore
	now       func() time.Time
	seen      *cache[Record]
	uses      *uses
	strangers *strangers
	revoked   []func(id string)
}

// NewKeys makes Keys over a store. Each of revoked is told the id of a key that has just been revoked, so that what it
// opened can be ended; it must not block.
func NewKeys(store KeyStore, now func() time.Time, revoked ...func(id string)) *Keys {
	return &Keys{store: store, now: now, seen: newCache(store.APIKey, now), uses: newUses(now), strangers: newStrangers(now), revoked: revoked}
}

// errRefused is the one answer to an unknown, wrong, expired and revoked key.
var errRefused = errs.E(wire.Unauthenticated, "the API key is not valid: it may have expired or been revoked")

// Authenticate tells who holds the key. It is asked at every request; the record behind it is at most a second old. A key
// is used at a bounded rate, and addresses from which wrong ones come ask for others at one.
func (k *Keys) Authenticate(ctx context.Context, c Client, text string) (Principal, error) {
	key, err := ParseAPIKey(text)
	if err != nil {
		return Principal{}, err
	}
	if err := k.strangers.admit(key.ID, c.Address); err != nil {
		return Principal{}, err
	}
	record, err := k.seen.record(ctx, key.ID)
	if err != nil && errs.KindOf(err) != wire.NotFound {
		return Principal{}, errs.As(wire.Unavailable, err, "API keys cannot be checked now")
	}
	hash := key.Hash()
	same := subtle.ConstantTimeCompare(hash[:], record.Hash[:]) == 1 // no key hashes to the zero record's hash
	now := k.now()
	if err != nil || !same || !record.Live(now) {
		k.strangers.fail(c.Address)
		return Principal{}, errRefused
	}
	k.strangers.pass(key.ID)
	first, err := k.uses.right(key.ID, record.LastUsedAt)
	if err != nil {
		return Principal{}, err
	}
	if first {
		// That it is not kept is no reason to refuse; the next minute tries again.
		_ = k.store.SeeAPIKey(ctx, key.ID, now.UTC().Truncate(time.Microsecond))
	}
	return record.principal(), nil
}

// KeyRequest asks for an API key.
type KeyRequest struct {
	Holder Holder
	Name   string
	Scopes []wire.Flag
	Life   time.Duration // 0: DefaultLife
}

func (q KeyRequest) check() error {
	switch {
	case q.Life < time.Minute || q.Life > MaxLife:
		return errs.E(wire.Invalid, "an API key lives from a minute to a year")
	case q.Name == "" || q.Name != strings.TrimSpace(q.Name) || utf8.RuneCountInString(q.Name) > maxKeyName || strings.ContainsFunc(q.Name, unreadable):
		return errs.E(wire.Invalid, "an API key has a name of 1 to %d characters that can be read, without spaces around it, by which you know it again", maxKeyName)
	case len(q.Scopes) == 0 || len(q.Scopes) > maxScopes:
		return errs.E(wire.Invalid, "an API key has 1 to %d scopes: the privileges that it may use, or *", maxScopes)
	case slices.ContainsFunc(q.Scopes, func(f wire.Flag) bool { return f != AllScopes && !f.Known() }):
		return errs.E(wire.Invalid, "a scope is the name of a privilege, such as device.read, or *")
	case !q.Holder.Key.Valid() || q.Holder.Suspended:
		return errs.E(wire.Invalid, "an API key is held by a user or a service account that is not suspended")
	default:
		return nil
	}
}

// Create makes a key and gives its text, once. What a key makes reaches no farther than itself, and nobody but an owner
// makes a key that acts as one.
func (k *Keys) Create(ctx context.Context, by Principal, actor audit.Actor, q KeyRequest) (Record, secret.Value, error) {
	if q.Life == 0 {
		q.Life = DefaultLife
	}
	if err := q.check(); err != nil {
		return Record{}, secret.Value{}, err
	}
	if beyond := slices.IndexFunc(q.Scopes, func(f wire.Flag) bool { return !by.InScope(f) }); beyond >= 0 {
		return Record{}, secret.Value{}, errs.E(wire.Denied, "your own API key does not have the scope %s, so it cannot give it to another", q.Scopes[beyond])
	}
	if q.Holder.Owner && !by.Owner {
		return Record{}, secret.Value{}, errs.E(wire.Denied, "only an owner of the platform makes a key for one")
	}
	key := NewAPIKey()
	record := k.newRecord(key, q)
	if err := k.store.InsertAPIKey(ctx, record, created(actor, record)); err != nil {
		return Record{}, secret.Value{}, errs.Wrap("account: create key", err)
	}
	return record, key.Text(), nil
}

func (k *Keys) newRecord(key APIKey, q KeyRequest) Record {
	now := k.now().UTC().Truncate(time.Microsecond) // what the database keeps
	return Record{
		ID: key.ID, Name: q.Name, Hash: key.Hash(), Holder: q.Holder, Scopes: slices.Clone(q.Scopes), CreatedAt: now, ExpiresAt: now.Add(q.Life),
	}
}

func created(by audit.Actor, r Record) audit.Entry {
	return audit.New(by, audit.KeyCreate, 0, audit.Asset{Kind: "apikey", Name: r.ID}).Changed(nil, r)
}

// Find gives the record of a key.
func (k *Keys) Find(ctx context.Context, id string) (Record, error) {
	if !idForm.MatchString(id) {
		return Record{}, errs.E(wire.NotFound, "no such API key")
	}
	record, err := k.store.APIKey(ctx, id)
	return record, errs.Wrap("account: find key", err)
}

// List gives the records of a holder's keys (of all where holder is 0) in the order of their ids, from the one after after.
func (k *Keys) List(ctx context.Context, holder wire.Key, after string, limit int) ([]Record, error) {
	records, err := k.store.APIKeys(ctx, holder, after, limit)
	return records, errs.Wrap("account: list keys", err)
}

// Revoke ends a key: at once here, within a second in other processes.
func (k *Keys) Revoke(ctx context.Context, by audit.Actor, id string) error {
	record, err := k.Find(ctx, id)
	if err != nil {
		return err
	}
	after := record
	after.RevokedAt = k.now().UTC()
	entry := audit.New(by, audit.KeyRevoke, 0, audit.Asset{Kind: "apikey", Name: id}).Changed(record, after)
	err = k.store.RevokeAPIKey(ctx, id, after.RevokedAt, entry)
	k.seen.forget(id) // also when it is not known whether the change was made
	if err != nil {
		return errs.Wrap("account: revoke key", err)
	}
	k.ended([]string{id})
	return nil
}

// ended forgets keys and tells who has opened something for them.
func (k *Keys) ended(ids []string) {
	for _, id := range ids {
		k.seen.forget(id)
		k.uses.forget(id)
		k.strangers.forget(id)
		for _, tell := range k.revoked {
			tell(id)
		}
	}
}

// idsOf gives the ids of a holder's keys.
func (k *Keys) idsOf(ctx context.Context, holder wire.Key) (ids []string, err error) {
	const page = 200
	for after := ""; ; {
		records, err := k.store.APIKeys(ctx, holder, after, page)
		if err != nil {
			return nil, errs.Wrap("account: keys of a holder", err)
		}
		for _, r := range records {
			ids, after = append(ids, r.ID), r.ID
		}
		if len(records) < page {
			return ids, nil
		}
	}
}

// endOf ends what the keys of a holder have opened who may no longer act.
func (k *Keys) endOf(ctx context.Context, holder wire.Key) error {
	ids, err := k.idsOf(ctx, holder)
	k.ended(ids)
	return err
}

// forgetOf has the keys of a holder looked up again.
func (k *Keys) forgetOf(ctx context.Context, holder wire.Key) error {
	ids, err := k.idsOf(ctx, holder)
	for _, id := range ids {
		k.seen.forget(id)
	}
	return err
}
