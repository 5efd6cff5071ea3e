package db

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/wire"
)

// ServiceAccounts keeps service accounts.
type ServiceAccounts struct{ db *DB }

var _ account.ServiceAccountStore = (*ServiceAccounts)(nil)

// NewServiceAccounts gives the service accounts of a database.
func NewServiceAccounts(d *DB) *ServiceAccounts { return &ServiceAccounts{d} }

const selectServiceAccounts = `SELECT p.key, p.name, COALESCE(s.project_key, 0), p.owner, p.suspended, s.bootstrap, p.created_at
	FROM principal p JOIN service_account s ON s.key = p.key`

func scanServiceAccount(row pgx.CollectableRow) (a account.ServiceAccount, err error) {
	err = row.Scan(&a.Key, &a.Name, &a.Project, &a.Owner, &a.Suspended, &a.Bootstrap, &a.CreatedAt)
	a.CreatedAt = a.CreatedAt.UTC()
	return a, err
}

// FindServiceAccounts gives at most two service accounts that text may mean.
func (s *ServiceAccounts) FindServiceAccounts(ctx context.Context, text string) ([]account.ServiceAccount, error) {
	found, err := list(ctx, s.db.pool, scanServiceAccount, selectServiceAccounts+`
		WHERE p.key::text = $1 OR p.name = $1 ORDER BY p.key::text = $1 DESC, p.key LIMIT 2`, text)
	return found, Error("db: service accounts", err)
}

// ServiceAccounts lists service accounts in the order of their keys.
func (s *ServiceAccounts) ServiceAccounts(ctx context.Context, after wire.Key, limit int) ([]account.ServiceAccount, error) {
	found, err := list(ctx, s.db.pool, scanServiceAccount, selectServiceAccounts+` WHERE p.key > $1 ORDER BY p.key LIMIT $2`, after, limit)
	return found, Error("db: service accounts", err)
}

// InsertServiceAccount keeps a new service account.
func (s *ServiceAccounts) InsertServiceAccount(ctx context.Context, a account.ServiceAccount, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := insertPrincipal(ctx, tx, a.Holder(), a.CreatedAt); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO service_account (key, project_key) VALUES ($1, NULLIF($2::bigint, 0))`, a.Key, a.Project)
		return err
	})
}

// SuspendServiceAccount keeps whether a service account is suspended.
func (s *ServiceAccounts) SuspendServiceAccount(ctx context.Context, key wire.Key, suspended bool, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE principal SET suspended = $2, revision = revision + 1 WHERE key = $1 AND kind = 'service_account'`, key, suspended)
		return touched(tag, err, missing("service account"))
	})
}

// DeleteServiceAccount deletes a service account and its keys, and gives their ids. Who makes a key for it waits for the lock,
// and then finds nobody.
func (s *ServiceAccounts) DeleteServiceAccount(ctx context.Context, key wire.Key, e audit.Entry) (keys []string, err error) {
	err = s.db.change(ctx, e, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM principal WHERE key = $1 FOR UPDATE`, key); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT id FROM api_key WHERE holder_key = $1`, key)
		if err != nil {
			return err
		}
		if keys, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM principal WHERE key = $1 AND kind = 'service_account'`, key)
		return touched(tag, err, missing("service account"))
	})
	return keys, err
}
