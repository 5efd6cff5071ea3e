package db

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bulkhead/backend/asset"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Assets keeps what projects own. Its methods stand in one file per object.
type Assets struct{ db *DB }

var _ asset.Store = (*Assets)(nil)

// NewAssets gives the assets of a database.
func NewAssets(d *DB) *Assets { return &Assets{d} }

// found says what was not found.
func found(what string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errs.E(wire.NotFound, "no such %s", what)
	}
	return Error("db: "+what, err)
}

// touched gives missing where a statement changed no row.
func touched(tag pgconn.CommandTag, err, missing error) error {
	if err == nil && tag.RowsAffected() == 0 {
		return missing
	}
	return err
}

func missing(what string) error { return errs.E(wire.NotFound, "no such %s", what) }

// null gives SQL's null for the zero time.
func null(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// utc gives the zero time for SQL's null.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// holdProject keeps a project from being removed until the transaction ends.
func holdProject(ctx context.Context, tx pgx.Tx, key wire.Key) error {
	var one int
	err := tx.QueryRow(ctx, `SELECT 1 FROM project WHERE key = $1 AND NOT removing FOR SHARE`, key).Scan(&one)
	return found("project", err)
}

// list collects the rows of a query.
func list[T any](ctx context.Context, q querier, scan func(pgx.CollectableRow) (T, error), sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// first gives the one row of a query.
func first[T any](ctx context.Context, q querier, scan func(pgx.CollectableRow) (T, error), sql string, args ...any) (T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		var zero T
		return zero, err
	}
	return pgx.CollectExactlyOneRow(rows, scan)
}

// Inventory reads, at one moment, all that the directory is made of.
func (a *Assets) Inventory(ctx context.Context) (in asset.Inventory, err error) {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, a.db.pool, options, func(tx pgx.Tx) error { return readInventory(ctx, tx, &in) })
	return in, Error("db: inventory", err)
}

func readInventory(ctx context.Context, tx pgx.Tx, in *asset.Inventory) (err error) {
	read := func(step func() error) {
		if err == nil {
			err = step()
		}
	}
	read(func() (e error) {
		in.Projects, e = list(ctx, tx, scanProject, selectProjects+` WHERE NOT removing`)
		return e
	})
	read(func() (e error) { in.Apps, e = list(ctx, tx, scanApp, selectApps); return e })
	read(func() (e error) {
		in.Credentials, e = list(ctx, tx, scanCredential, `SELECT app_key, epoch, sealed, until FROM app_credential ORDER BY app_key, epoch DESC`)
		return e
	})
	read(func() (e error) {
		in.Installations, e = list(ctx, tx, scanInstallation, selectInstallations+` WHERE i.state = 'ready'`)
		return e
	})
	read(func() (e error) {
		in.Devices, e = list(ctx, tx, scanDevice, selectDevices+` WHERE project_key IN (SELECT key FROM project WHERE NOT removing)`)
		return e
	})
	read(func() (e error) {
		in.Secrets, e = list(ctx, tx, scanDeviceSecret, selectSecrets+` WHERE until IS NULL OR until > now() ORDER BY device_key, version DESC`)
		return e
	})
	read(func() (e error) {
		in.Services, e = list(ctx, tx, scanSealedService, `SELECT s.project_key, s.app_key, s.stage, s.name, s.created_at, s.sealed FROM service s
			JOIN installation i USING (project_key, app_key, stage) WHERE i.state = 'ready'`)
		return e
	})
	return err
}
