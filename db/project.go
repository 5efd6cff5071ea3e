package db

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

const selectProjects = `SELECT key, name, title, removing, revision, created_at FROM project`

func scanProject(row pgx.CollectableRow) (p asset.Project, err error) {
	err = row.Scan(&p.Key, &p.Name, &p.Title, &p.Removing, &p.Revision, &p.CreatedAt)
	p.CreatedAt = p.CreatedAt.UTC()
	return p, err
}

// Project finds a project by its key.
func (a *Assets) Project(ctx context.Context, key wire.Key) (asset.Project, error) {
	p, err := first(ctx, a.db.pool, scanProject, selectProjects+` WHERE key = $1`, key)
	return p, found("project", err)
}

// ProjectNamed finds a project by its name.
func (a *Assets) ProjectNamed(ctx context.Context, name string) (asset.Project, error) {
	p, err := first(ctx, a.db.pool, scanProject, selectProjects+` WHERE name = $1`, name)
	return p, found("project", err)
}

// Projects lists projects in the order of their names.
func (a *Assets) Projects(ctx context.Context, after string, limit int) ([]asset.Project, error) {
	list, err := list(ctx, a.db.pool, scanProject, selectProjects+` WHERE name COLLATE "C" > $1 ORDER BY name COLLATE "C" LIMIT $2`, after, limit)
	return list, Error("db: projects", err)
}

// ProjectsRemoving lists the projects whose removal has begun.
func (a *Assets) ProjectsRemoving(ctx context.Context) ([]asset.Project, error) {
	list, err := list(ctx, a.db.pool, scanProject, selectProjects+` WHERE removing ORDER BY key`)
	return list, Error("db: projects", err)
}

// InsertProject keeps a new project with its owners; without any, it is the bootstrap owner's.
func (a *Assets) InsertProject(ctx context.Context, p asset.Project, e audit.Entry, owners ...wire.Key) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO project (key, name, title, revision, created_at) VALUES ($1, $2, $3, $4, $5)`,
			p.Key, p.Name, p.Title, p.Revision, p.CreatedAt)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO project_owner (project_key, principal_key, since)
			SELECT $1::bigint, o, $2::timestamptz FROM unnest($3::bigint[]) o
			UNION SELECT $1::bigint, key, $2::timestamptz FROM service_account WHERE bootstrap AND cardinality($3::bigint[]) = 0`, p.Key, p.CreatedAt, keysOf(owners))
		return err
	})
}

// keysOf gives an empty list where there is none: SQL's null has no cardinality.
func keysOf(keys []wire.Key) []wire.Key {
	if keys == nil {
		return []wire.Key{}
	}
	return keys
}

// UpdateProject keeps name, title and revision where the stored revision is one lower.
func (a *Assets) UpdateProject(ctx context.Context, p asset.Project, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE project SET name = $3, title = $4, revision = $2 WHERE key = $1 AND revision = $2 - 1`,
			p.Key, p.Revision, p.Name, p.Title)
		return touched(tag, err, asset.ErrRevision)
	})
}

// BeginProjectRemoval makes a project and its installations removing, and gives the serials of its devices.
func (a *Assets) BeginProjectRemoval(ctx context.Context, key wire.Key, e audit.Entry) (serials []wire.Serial, err error) {
	err = a.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := lockForRemoval(ctx, tx, key); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE project SET removing = true WHERE key = $1`, key); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE installation SET state = 'removing' WHERE project_key = $1`, key); err != nil {
			return err
		}
		serials, err = list(ctx, tx, pgx.RowTo[wire.Serial], `SELECT serial::text FROM device WHERE project_key = $1`, key)
		return err
	})
	return serials, err
}

// lockForRemoval waits for what holds the project, and refuses while an installation of it is being made or removed.
func lockForRemoval(ctx context.Context, tx pgx.Tx, key wire.Key) error {
	var removing, busy bool
	err := tx.QueryRow(ctx, `SELECT removing FROM project WHERE key = $1 FOR UPDATE`, key).Scan(&removing)
	if err != nil {
		return found("project", err)
	}
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM installation WHERE project_key = $1 AND state <> 'ready')`, key).Scan(&busy)
	if err == nil && busy && !removing {
		return errs.E(wire.Conflict, "an installation of the project is being made or removed: wait until that is done")
	}
	return err
}

// DeleteProject deletes a project that is removing and has no installation, with its devices and apps.
func (a *Assets) DeleteProject(ctx context.Context, key wire.Key, e audit.Entry) error {
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM project WHERE key = $1 AND removing`, key)
		return touched(tag, err, missing("project"))
	})
}
