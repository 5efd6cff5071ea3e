package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/wire"
)

const selectApps = `SELECT key, name, title, COALESCE(owner_key, 0), epoch, revision, created_at FROM app`

func scanApp(row pgx.CollectableRow) (app asset.App, err error) {
	err = row.Scan(&app.Key, &app.Name, &app.Title, &app.Owner, &app.Epoch, &app.Revision, &app.CreatedAt)
	app.CreatedAt = app.CreatedAt.UTC()
	return app, err
}

func scanCredential(row pgx.CollectableRow) (c asset.Credential, err error) {
	var until *time.Time
	err = row.Scan(&c.App, &c.Epoch, &c.Sealed, &until)
	c.Until = utc(until)
	return c, err
}

// App finds an app by its key.
func (a *Assets) App(ctx context.Context, key wire.Key) (asset.App, error) {
	app, err := first(ctx, a.db.pool, scanApp, selectApps+` WHERE key = $1`, key)
	return app, found("app", err)
}

// AppNamed finds an app by its name.
func (a *Assets) AppNamed(ctx context.Context, name string) (asset.App, error) {
	app, err := first(ctx, a.db.pool, scanApp, selectApps+` WHERE name = $1`, name)
	return app, found("app", err)
}

// Apps lists apps in the order of their names.
func (a *Assets) Apps(ctx context.Context, after string, limit int) ([]asset.App, error) {
	list, err := list(ctx, a.db.pool, scanApp, selectApps+` WHERE name COLLATE "C" > $1 ORDER BY name COLLATE "C" LIMIT $2`, after, limit)
	return list, Error("db: apps", err)
}

// InsertApp keeps a new app with its credential key.
func (a *Assets) InsertApp(ctx context.Context, app asset.App, c asset.Credential, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		if app.Owner != 0 {
			if err := holdProject(ctx, tx, app.Owner); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO app (key, name, title, owner_key, epoch, revision, created_at) VALUES ($1, $2, $3, NULLIF($4::bigint, 0), $5, $6, $7)`,
			app.Key, app.Name, app.Title, app.Owner, app.Epoch, app.Revision, app.CreatedAt)
		if err != nil {
			return err
		}
		return insertCredential(ctx, tx, c)
	})
}

func insertCredential(ctx context.Context, tx pgx.Tx, c asset.Credential) error {
	_, err := tx.Exec(ctx, `INSERT INTO app_credential (app_key, epoch, sealed, until) VALUES ($1, $2, $3, $4)`,
		c.App, c.Epoch, c.Sealed, null(c.Until))
	return err
}

// UpdateApp keeps title and revision where the stored revision is one lower.
func (a *Assets) UpdateApp(ctx context.Context, app asset.App, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE app SET title = $3, revision = $2 WHERE key = $1 AND revision = $2 - 1`, app.Key, app.Revision, app.Title)
		return touched(tag, err, asset.ErrRevision)
	})
}

// RotateApp adds the new epoch, lets the one before it end and deletes those that have ended.
func (a *Assets) RotateApp(ctx context.Context, c asset.AppRotation, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE app SET epoch = $3, revision = $2 WHERE key = $1 AND revision = $2 - 1`, c.App.Key, c.App.Revision, c.App.Epoch)
		if err := touched(tag, err, asset.ErrRevision); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM app_credential WHERE app_key = $1 AND until <= $2`, c.App.Key, c.Now); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE app_credential SET until = $2 WHERE app_key = $1 AND until IS NULL`, c.App.Key, c.Until); err != nil {
			return err
		}
		return insertCredential(ctx, tx, c.Next)
	})
}

// DeleteApp deletes an app that is installed nowhere.
func (a *Assets) DeleteApp(ctx context.Context, key wire.Key, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM app WHERE key = $1`, key)
		return touched(tag, err, missing("app"))
	})
}
