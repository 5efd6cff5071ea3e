package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/privilege"
	"bulkhead/backend/privilege/granting"
	"bulkhead/wire"
)

// selectGrants has the project of a platform's app as 0, so that it can be compared.
const selectGrants = `SELECT key, project_key, principal_key, asset_kind, asset_key, stage, flags, from_at, until_at, given_by_key, given_at FROM (
	SELECT key, COALESCE(project_key, 0) AS project_key, principal_key, asset_kind,
		COALESCE(device_key, group_key, app_key, project_key) AS asset_key, COALESCE(stage, '') AS stage,
		flags, from_at, until_at, given_by_key, given_at FROM privilege_grant) g`

func scanGrant(row pgx.CollectableRow) (g privilege.Grant, err error) {
	var from, until *time.Time
	err = row.Scan(&g.Key, &g.Asset.Project, &g.Principal, &g.Asset.Kind, &g.Asset.Key, &g.Asset.Stage, &g.Flags, &from, &until, &g.GivenBy, &g.GivenAt)
	g.From, g.Until, g.GivenAt = utc(from), utc(until), g.GivenAt.UTC()
	return g, err
}

// Grant finds a grant.
func (p *Privileges) Grant(ctx context.Context, key wire.Key) (privilege.Grant, error) {
	g, err := first(ctx, p.db.pool, scanGrant, selectGrants+` WHERE key = $1`, key)
	return g, found("grant", err)
}

// Grants lists grants in the order of their keys.
func (p *Privileges) Grants(ctx context.Context, q granting.GrantQuery) ([]privilege.Grant, error) {
	list, err := list(ctx, p.db.pool, scanGrant, selectGrants+`
		WHERE ($1::bigint < 0 OR project_key = $1) AND ($2::bigint = 0 OR principal_key = $2)
			AND ($3::text = '' OR (asset_kind = $3 AND asset_key = $4 AND stage = $5)) AND key > $6 ORDER BY key LIMIT $7`,
		q.Project, q.Principal, string(q.Asset.Kind), q.Asset.Key, string(q.Asset.Stage), q.After, q.Limit)
	return list, Error("db: grants", err)
}

// ChangeGrants makes all changes, where nothing of the project has changed since expected.
func (p *Privileges) ChangeGrants(ctx context.Context, project wire.Key, expected int64, changes []granting.GrantChange) error {
	return p.changing(ctx, project, expected, func(tx pgx.Tx) error { return changeGrants(ctx, tx, changes) })
}

func changeGrants(ctx context.Context, tx pgx.Tx, changes []granting.GrantChange) error {
	for _, c := range changes {
		if err := changeGrant(ctx, tx, c); err != nil {
			return err
		}
		if err := record(ctx, tx, c.Entry); err != nil {
			return err
		}
	}
	return nil
}

func changeGrant(ctx context.Context, tx pgx.Tx, c granting.GrantChange) error {
	switch {
	case c.Create:
		return insertGrant(ctx, tx, c.Grant)
	case len(c.Grant.Flags) == 0:
		tag, err := tx.Exec(ctx, `DELETE FROM privilege_grant WHERE key = $1`, c.Grant.Key)
		return touched(tag, err, missing("grant"))
	default:
		tag, err := tx.Exec(ctx, `UPDATE privilege_grant SET flags = $2 WHERE key = $1`, c.Grant.Key, c.Grant.Flags)
		return touched(tag, err, missing("grant"))
	}
}

func insertGrant(ctx context.Context, tx pgx.Tx, g privilege.Grant) error {
	var device, group, app *wire.Key
	var stage *string
	switch g.Asset.Kind {
	case wire.AssetDevice:
		device = &g.Asset.Key
	case wire.AssetGroup:
		group = &g.Asset.Key
	case wire.AssetApp:
		app = &g.Asset.Key
	case wire.AssetDataBackend:
		text := string(g.Asset.Stage)
		app, stage = &g.Asset.Key, &text
	}
	from, until := times(g.From, g.Until)
	_, err := tx.Exec(ctx, `INSERT INTO privilege_grant
		(key, project_key, principal_key, asset_kind, device_key, group_key, app_key, stage, flags, from_at, until_at, given_by_key, given_at)
		VALUES ($1, NULLIF($2::bigint, 0), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		g.Key, g.Asset.Project, g.Principal, string(g.Asset.Kind), device, group, app, stage, g.Flags, from, until, g.GivenBy, g.GivenAt)
	return err
}
