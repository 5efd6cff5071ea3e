package db

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/wire"
)

const selectGroups = `SELECT key, project_key, name, title, revision, created_at FROM device_group`

func scanGroup(row pgx.CollectableRow) (g asset.Group, err error) {
	err = row.Scan(&g.Key, &g.Project, &g.Name, &g.Title, &g.Revision, &g.CreatedAt)
	g.CreatedAt = g.CreatedAt.UTC()
	return g, err
}

// Group finds a group by its key.
func (a *Assets) Group(ctx context.Context, key wire.Key) (asset.Group, error) {
	g, err := first(ctx, a.db.pool, scanGroup, selectGroups+` WHERE key = $1`, key)
	return g, found("group", err)
}

// GroupNamed finds a group of a project by its name.
func (a *Assets) GroupNamed(ctx context.Context, project wire.Key, name string) (asset.Group, error) {
	g, err := first(ctx, a.db.pool, scanGroup, selectGroups+` WHERE project_key = $1 AND name = $2`, project, name)
	return g, found("group", err)
}

// Groups lists the groups of a project in the order of their names.
func (a *Assets) Groups(ctx context.Context, project wire.Key, after string, limit int) ([]asset.Group, error) {
	list, err := list(ctx, a.db.pool, scanGroup, selectGroups+` WHERE project_key = $1 AND name COLLATE "C" > $2 ORDER BY name COLLATE "C" LIMIT $3`,
		project, after, limit)
	return list, Error("db: groups", err)
}

// InsertGroup keeps a new group.
func (a *Assets) InsertGroup(ctx context.Context, g asset.Group, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := holdProject(ctx, tx, g.Project); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO device_group (key, project_key, name, title, revision, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			g.Key, g.Project, g.Name, g.Title, g.Revision, g.CreatedAt)
		return err
	})
}

// UpdateGroup keeps name, title and revision where the stored revision is one lower.
func (a *Assets) UpdateGroup(ctx context.Context, g asset.Group, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE device_group SET name = $3, title = $4, revision = $2 WHERE key = $1 AND revision = $2 - 1`,
			g.Key, g.Revision, g.Name, g.Title)
		return touched(tag, err, asset.ErrRevision)
	})
}

// DeleteGroup deletes a group with what was granted on it.
func (a *Assets) DeleteGroup(ctx context.Context, key wire.Key, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM device_group WHERE key = $1`, key)
		return touched(tag, err, missing("group"))
	})
}

// DevicesIn lists the devices of a group in the order of their names.
func (a *Assets) DevicesIn(ctx context.Context, group wire.Key, after string, limit int) ([]asset.Device, error) {
	list, err := list(ctx, a.db.pool, scanDevice, selectDevices+` WHERE key IN (SELECT device_key FROM device_group_device WHERE group_key = $1)
		AND name COLLATE "C" > $2 ORDER BY name COLLATE "C" LIMIT $3`, group, after, limit)
	return list, Error("db: devices of a group", err)
}

// GroupsWith lists the keys of the groups that a device is in.
func (a *Assets) GroupsWith(ctx context.Context, device wire.Key) ([]wire.Key, error) {
	list, err := list(ctx, a.db.pool, pgx.RowTo[wire.Key], `SELECT group_key FROM device_group_device WHERE device_key = $1 ORDER BY 1`, device)
	return list, Error("db: groups of a device", err)
}

// AddToGroup puts a device into a group; one that is in it already gets no second entry.
func (a *Assets) AddToGroup(ctx context.Context, g asset.Group, device wire.Key, e audit.Entry) error {
	return a.inGroup(ctx, e, `INSERT INTO device_group_device (project_key, group_key, device_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		g.Project, g.Key, device)
}

// RemoveFromGroup takes a device out of a group; one that is not in it gets no entry.
func (a *Assets) RemoveFromGroup(ctx context.Context, g asset.Group, device wire.Key, e audit.Entry) error {
	return a.inGroup(ctx, e, `DELETE FROM device_group_device WHERE project_key = $1 AND group_key = $2 AND device_key = $3`, g.Project, g.Key, device)
}

func (a *Assets) inGroup(ctx context.Context, e audit.Entry, sql string, args ...any) error {
	return a.db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, args...)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return record(ctx, tx, e)
	})
}
