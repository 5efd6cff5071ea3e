package db

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/asset"
	"bulkhead/backend/audit"
	"bulkhead/realms"
)

func scanService(row pgx.CollectableRow) (s asset.Service, err error) {
	s.Realm.Kind = realms.Data
	err = row.Scan(&s.Realm.Project, &s.Realm.App, &s.Realm.Stage, &s.Name, &s.CreatedAt)
	s.CreatedAt = s.CreatedAt.UTC()
	return s, err
}

func scanSealedService(row pgx.CollectableRow) (s asset.SealedService, err error) {
	s.Realm.Kind = realms.Data
	err = row.Scan(&s.Realm.Project, &s.Realm.App, &s.Realm.Stage, &s.Name, &s.CreatedAt, &s.Sealed)
	s.CreatedAt = s.CreatedAt.UTC()
	return s, err
}

// Services lists the services of an installation in the order of their names.
func (a *Assets) Services(ctx context.Context, r realms.Realm, after string, limit int) ([]asset.Service, error) {
	list, err := list(ctx, a.db.pool, scanService, `SELECT project_key, app_key, stage, name, created_at FROM service`+whereRealm+`
		AND name COLLATE "C" > $4 ORDER BY name COLLATE "C" LIMIT $5`, r.Project, r.App, r.Stage, after, limit)
	return list, Error("db: services", err)
}

// InsertService keeps a new service of an installation that is ready, and keeps that from being removed meanwhile.
func (a *Assets) InsertService(ctx context.Context, s asset.Service, sealed []byte, e audit.Entry) error {
	r := s.Realm
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		var one int
		err := tx.QueryRow(ctx, `SELECT 1 FROM installation`+whereRealm+` AND state = 'ready' FOR SHARE`, r.Project, r.App, r.Stage).Scan(&one)
		if err != nil {
			return found("installation", err)
		}
		_, err = tx.Exec(ctx, `INSERT INTO service (project_key, app_key, stage, name, sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			r.Project, r.App, r.Stage, s.Name, sealed, s.CreatedAt)
		return err
	})
}

// DeleteService deletes a service.
func (a *Assets) DeleteService(ctx context.Context, s asset.Service, e audit.Entry) error {
	r := s.Realm
	return a.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM service`+whereRealm+` AND name = $4`, r.Project, r.App, r.Stage, s.Name)
		return touched(tag, err, missing("service"))
	})
}
