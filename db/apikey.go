package db

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/wire"
)

// APIKeys keeps the records of API keys.
type APIKeys struct{ db *DB }

var _ account.KeyStore = (*APIKeys)(nil)

// NewAPIKeys gives the API keys of a database.
func NewAPIKeys(d *DB) *APIKeys { return &APIKeys{d} }

const selectAPIKeys = `SELECT k.id, k.name, k.hash, k.scopes, k.created_at, k.expires_at, k.revoked_at, k.last_used_at,
	p.kind, p.key, p.name, p.owner, p.suspended FROM api_key k JOIN principal p ON p.key = k.holder_key`

func scanAPIKey(row pgx.CollectableRow) (r account.Record, err error) {
	var hash []byte
	var revoked, used *time.Time
	h := &r.Holder
	err = row.Scan(&r.ID, &r.Name, &hash, &r.Scopes, &r.CreatedAt, &r.ExpiresAt, &revoked, &used, &h.Kind, &h.Key, &h.Name, &h.Owner, &h.Suspended)
	copy(r.Hash[:], hash)
	r.CreatedAt, r.ExpiresAt, r.RevokedAt, r.LastUsedAt = r.CreatedAt.UTC(), r.ExpiresAt.UTC(), utc(revoked), utc(used)
	return r, err
}

// APIKey finds the record of a key.
func (k *APIKeys) APIKey(ctx context.Context, id string) (account.Record, error) {
	r, err := first(ctx, k.db.pool, scanAPIKey, selectAPIKeys+` WHERE k.id = $1`, id)
	return r, found("API key", err)
}

// APIKeys lists records in the order of their ids.
func (k *APIKeys) APIKeys(ctx context.Context, holder wire.Key, after string, limit int) ([]account.Record, error) {
	list, err := list(ctx, k.db.pool, scanAPIKey, selectAPIKeys+`
		WHERE ($1::bigint = 0 OR k.holder_key = $1) AND k.id COLLATE "C" > $2 ORDER BY k.id COLLATE "C" LIMIT $3`, holder, after, limit)
	return list, Error("db: API keys", err)
}

// InsertAPIKey keeps the record of a new key.
func (k *APIKeys) InsertAPIKey(ctx context.Context, r account.Record, e audit.Entry) error {
	return k.db.change(ctx, e, func(tx pgx.Tx) error { return insertAPIKey(ctx, tx, r) })
}

func insertAPIKey(ctx context.Context, tx pgx.Tx, r account.Record) error {
	_, err := tx.Exec(ctx, `INSERT INTO api_key (id, name, hash, holder_key, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		r.ID, r.Name, r.Hash[:], r.Holder.Key, r.Scopes, r.CreatedAt, r.ExpiresAt)
	return err
}

// HasOwner reports whether somebody can administer the server.
func (k *APIKeys) HasOwner(ctx context.Context, at time.Time) (bool, error) {
	has, err := hasOwner(ctx, k.db.pool, at)
	return has, Error("db: owner", err)
}

func hasOwner(ctx context.Context, q querier, at time.Time) (bool, error) {
	return first(ctx, q, pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM principal p WHERE p.owner AND NOT p.suspended AND (
		EXISTS (SELECT FROM user_factor f WHERE f.user_key = p.key) OR
		EXISTS (SELECT FROM api_key k WHERE k.holder_key = p.key AND '*' = ANY (k.scopes) AND k.revoked_at IS NULL AND k.expires_at > $1)))`, at)
}

// InsertFirstOwner keeps r unless an owner's key is live. The lock makes servers that start together wait for each other.
func (k *APIKeys) InsertFirstOwner(ctx context.Context, r account.Record, e audit.Entry) (inserted bool, err error) {
	err = k.db.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE api_key IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		has, err := hasOwner(ctx, tx, r.CreatedAt)
		if err != nil || has {
			return err
		}
		inserted = true
		if r.Holder.Key, err = bootstrap(ctx, tx, r); err != nil {
			return err
		}
		if err := insertAPIKey(ctx, tx, r); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	return inserted && err == nil, err
}

// bootstrap gives the service account of the first owner, which may have been suspended or made no owner since. Keys that it
// had then do not come to life again.
func bootstrap(ctx context.Context, tx pgx.Tx, r account.Record) (key wire.Key, err error) {
	_, err = tx.Exec(ctx, `UPDATE api_key SET revoked_at = $1 WHERE revoked_at IS NULL AND holder_key = (SELECT key FROM service_account WHERE bootstrap)`, r.CreatedAt)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `UPDATE principal SET owner = true, suspended = false, revision = revision + 1
		WHERE key = (SELECT key FROM service_account WHERE bootstrap) RETURNING key`).Scan(&key)
	if !errors.Is(err, pgx.ErrNoRows) {
		return key, err
	}
	h := r.Holder
	if err := insertPrincipal(ctx, tx, h, r.CreatedAt); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO service_account (key, bootstrap) VALUES ($1, true)`, h.Key)
	return h.Key, err
}

func insertPrincipal(ctx context.Context, tx pgx.Tx, h account.Holder, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO principal (key, kind, name, owner, created_at) VALUES ($1, $2, $3, $4, $5)`, h.Key, h.Kind, h.Name, h.Owner, at)
	return err
}

// RevokeAPIKey ends a key; one that is ended keeps the time of its end and gets no second entry.
func (k *APIKeys) RevokeAPIKey(ctx context.Context, id string, at time.Time, e audit.Entry) error {
	return k.db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE api_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL`, id, at)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return record(ctx, tx, e)
	})
}

// SeeAPIKey keeps when a key was used.
func (k *APIKeys) SeeAPIKey(ctx context.Context, id string, at time.Time) error {
	_, err := k.db.pool.Exec(ctx, `UPDATE api_key SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)`, id, at)
	return Error("db: API key", err)
}
