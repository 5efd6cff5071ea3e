package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
)

// APIKeys keeps the records of API keys.
type APIKeys struct{ db *DB }

var _ account.KeyStore = (*APIKeys)(nil)

// NewAPIKeys gives the API keys of a database.
func NewAPIKeys(d *DB) *APIKeys { return &APIKeys{d} }

const selectAPIKeys = `SELECT id, name, hash, owner, created_at, expires_at, revoked_at FROM api_key`

func scanAPIKey(row pgx.CollectableRow) (r account.Record, err error) {
	var hash []byte
	var revoked *time.Time
	err = row.Scan(&r.ID, &r.Name, &hash, &r.Owner, &r.CreatedAt, &r.ExpiresAt, &revoked)
	copy(r.Hash[:], hash)
	r.CreatedAt, r.ExpiresAt, r.RevokedAt = r.CreatedAt.UTC(), r.ExpiresAt.UTC(), utc(revoked)
	return r, err
}

// APIKey finds the record of a key.
func (k *APIKeys) APIKey(ctx context.Context, id string) (account.Record, error) {
	r, err := first(ctx, k.db.pool, scanAPIKey, selectAPIKeys+` WHERE id = $1`, id)
	return r, found("API key", err)
}

// APIKeys lists records in the order of their ids.
func (k *APIKeys) APIKeys(ctx context.Context, after string, limit int) ([]account.Record, error) {
	list, err := list(ctx, k.db.pool, scanAPIKey, selectAPIKeys+` WHERE id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2`, after, limit)
	return list, Error("db: API keys", err)
}

// InsertAPIKey keeps the record of a new key.
func (k *APIKeys) InsertAPIKey(ctx context.Context, r account.Record, e audit.Entry) error {
	return k.db.change(ctx, e, func(tx pgx.Tx) error { return insertAPIKey(ctx, tx, r) })
}

func insertAPIKey(ctx context.Context, tx pgx.Tx, r account.Record) error {
	_, err := tx.Exec(ctx, `INSERT INTO api_key (id, name, hash, owner, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		r.ID, r.Name, r.Hash[:], r.Owner, r.CreatedAt, r.ExpiresAt)
	return err
}

// InsertFirstOwner keeps r unless an owner's key is live. The lock makes servers that start together wait for each other.
func (k *APIKeys) InsertFirstOwner(ctx context.Context, r account.Record, e audit.Entry) (inserted bool, err error) {
	err = k.db.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE api_key IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		var has bool
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM api_key WHERE owner AND revoked_at IS NULL AND expires_at > $1)`, r.CreatedAt).Scan(&has)
		if err != nil || has {
			return err
		}
		inserted = true
		if err := insertAPIKey(ctx, tx, r); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	return inserted && err == nil, err
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
