package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"
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

// Record is what the server keeps of an API key.
type Record struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Hash      [sha256.Size]byte `json:"-"`
	Owner     bool              `json:"owner"`
	CreatedAt time.Time         `json:"created_at"`
	ExpiresAt time.Time         `json:"expires_at"`
	RevokedAt time.Time         `json:"revoked_at,omitzero"` // zero while it is not revoked
}

// Live reports whether the key opens anything at a time.
func (r Record) Live(now time.Time) bool { return r.RevokedAt.IsZero() && now.Before(r.ExpiresAt) }

func (r Record) principal() Principal {
	return Principal{Kind: KindAPIKey, ID: r.ID, Name: r.Name, Owner: r.Owner, Until: r.ExpiresAt}
}

// KeyStore keeps the records of API keys. What changes one writes the audit entry in the same transaction.
type KeyStore interface {
	APIKey(ctx context.Context, id string) (Record, error) // kind NotFound where there is none
	APIKeys(ctx context.Context, after string, limit int) ([]Record, error)
	InsertAPIKey(ctx context.Context, r Record, e audit.Entry) error
	// InsertFirstOwner inserts r unless there is an owner's key that is live at r.CreatedAt, and reports whether it did.
	InsertFirstOwner(ctx context.Context, r Record, e audit.Entry) (bool, error)
	// RevokeAPIKey sets RevokedAt; kind NotFound where there is none, nothing where it is set already.
	RevokeAPIKey(ctx context.Context, id string, at time.Time, e audit.Entry) error
}

// Keys makes, checks and revokes API keys. Make one with NewKeys.
type Keys struct {
	store   KeyStore
	now     func() time.Time
	seen    *cache
	revoked []func(id string)
}

// NewKeys makes Keys over a store. Each of revoked is told the id of a key that has just been revoked, so that what it
// opened can be ended; it must not block.
func NewKeys(store KeyStore, now func() time.Time, revoked ...func(id string)) *Keys {
	return &Keys{store: store, now: now, seen: newCache(store, now), revoked: revoked}
}

// errRefused is the one answer to an unknown, wrong, expired and revoked key.
var errRefused = errs.E(wire.Unauthenticated, "the API key is not valid: it may have expired or been revoked")

// Authenticate tells who holds the key. It is asked at every request; the record behind it is at most a second old.
func (k *Keys) Authenticate(ctx context.Context, text string) (Principal, error) {
	key, err := ParseAPIKey(text)
	if err != nil {
		return Principal{}, err
	}
	record, err := k.seen.record(ctx, key.ID)
	if err != nil && errs.KindOf(err) != wire.NotFound {
		return Principal{}, errs.As(wire.Unavailable, err, "API keys cannot be checked now")
	}
	hash := key.Hash()
	same := subtle.ConstantTimeCompare(hash[:], record.Hash[:]) == 1 // no key hashes to the zero record's hash
	if err != nil || !same || !record.Live(k.now()) {
		return Principal{}, errRefused
	}
	return record.principal(), nil
}

// Create makes an owner's key that lives for life (DefaultLife where it is zero) and gives its text, once.
func (k *Keys) Create(ctx context.Context, by audit.Actor, name string, life time.Duration) (Record, secret.Value, error) {
	if life == 0 {
		life = DefaultLife
	}
	if life < time.Minute || life > MaxLife {
		return Record{}, secret.Value{}, errs.E(wire.Invalid, "an API key lives from a minute to a year")
	}
	if name == "" || name != strings.TrimSpace(name) || utf8.RuneCountInString(name) > maxKeyName {
		return Record{}, secret.Value{}, errs.E(wire.Invalid, "an API key has a name of 1 to %d characters without spaces around it, by which you know it again", maxKeyName)
	}
	key := NewAPIKey()
	record := k.newRecord(key, name, life)
	if err := k.store.InsertAPIKey(ctx, record, created(by, record)); err != nil {
		return Record{}, secret.Value{}, errs.Wrap("account: create key", err)
	}
	return record, key.Text(), nil
}

func (k *Keys) newRecord(key APIKey, name string, life time.Duration) Record {
	now := k.now().UTC().Truncate(time.Microsecond) // what the database keeps
	return Record{ID: key.ID, Name: name, Hash: key.Hash(), Owner: true, CreatedAt: now, ExpiresAt: now.Add(life)}
}

func created(by audit.Actor, r Record) audit.Entry {
	return audit.New(by, audit.KeyCreate, 0, audit.Asset{Kind: "apikey", Name: r.ID}).Changed(nil, r)
}

// List gives the records of keys in the order of their ids, from the one after after.
func (k *Keys) List(ctx context.Context, after string, limit int) ([]Record, error) {
	records, err := k.store.APIKeys(ctx, after, limit)
	return records, errs.Wrap("account: list keys", err)
}

// Revoke ends a key: at once here, within a second in other processes.
func (k *Keys) Revoke(ctx context.Context, by audit.Actor, id string) error {
	if !idForm.MatchString(id) {
		return errs.E(wire.NotFound, "no such API key")
	}
	record, err := k.store.APIKey(ctx, id)
	if err != nil {
		return errs.Wrap("account: revoke key", err)
	}
	after := record
	after.RevokedAt = k.now().UTC()
	entry := audit.New(by, audit.KeyRevoke, 0, audit.Asset{Kind: "apikey", Name: id}).Changed(record, after)
	err = k.store.RevokeAPIKey(ctx, id, after.RevokedAt, entry)
	k.seen.forget(id) // also when it is not known whether the change was made
	if err != nil {
		return errs.Wrap("account: revoke key", err)
	}
	for _, tell := range k.revoked {
		tell(id)
	}
	return nil
}
