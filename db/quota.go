package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/backend/quota"
	"bulkhead/wire"
)

// Quotas keeps how much projects may store, and what they stored when it was measured.
type Quotas struct{ db *DB }

var _ quota.Store = (*Quotas)(nil)

// NewQuotas gives the quotas of a database.
func NewQuotas(d *DB) *Quotas { return &Quotas{d} }

func scanQuota(row pgx.CollectableRow) (r quota.Record, err error) {
	var at *time.Time
	err = row.Scan(&r.Project, &r.Name, &r.Quota, &r.Level, &r.Recorded, &r.Tables, &r.Disk, &r.Database, &at)
	r.At = utc(at)
	return r, err
}

// Records lists all projects.
func (s *Quotas) Records(ctx context.Context) ([]quota.Record, error) {
	list, err := list(ctx, s.db.pool, scanQuota, `SELECT p.key, p.name, s.quota, COALESCE(s.level, 'room'),
		(SELECT coalesce(sum(u.bytes), 0)::bigint FROM recording_usage u WHERE u.project_key = p.key), COALESCE(s.table_bytes, 0),
		COALESCE(s.disk_bytes, 0), COALESCE(s.database_bytes, 0), s.measured_at FROM project p LEFT JOIN project_storage s ON s.project_key = p.key`)
	return list, Error("db: quotas", err)
}

// SetQuota keeps a quota with the entry that is made of the project and its quota before.
func (s *Quotas) SetQuota(ctx context.Context, project wire.Key, bytes *int64, entry func(name string, before *int64) audit.Entry) error {
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		var name string
		var before *int64
		// The project's row is what two who change its quota meet at: there may be none of the quota yet.
		err := tx.QueryRow(ctx, `SELECT name FROM project WHERE key = $1 AND NOT removing FOR NO KEY UPDATE`, project).Scan(&name)
		if err != nil {
			return found("project", err)
		}
		err = tx.QueryRow(ctx, `SELECT (SELECT quota FROM project_storage WHERE project_key = $1)`, project).Scan(&before)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO project_storage (project_key, quota) VALUES ($1, $2)
			ON CONFLICT (project_key) DO UPDATE SET quota = excluded.quota`, project, bytes)
		if err != nil {
			return err
		}
		return record(ctx, tx, entry(name, before))
	})
	return Error("db: quota", err)
}

// KeepMeasured keeps measurements; those of projects that are gone are forgotten.
func (s *Quotas) KeepMeasured(ctx context.Context, measured map[wire.Key]quota.Measured) error {
	batch := &pgx.Batch{}
	for project, m := range measured {
		batch.Queue(`INSERT INTO project_storage (project_key, table_bytes, disk_bytes, database_bytes, measured_at)
			SELECT key, $2, $3, $4, $5 FROM project WHERE key = $1 FOR KEY SHARE
			ON CONFLICT (project_key) DO UPDATE SET table_bytes = excluded.table_bytes, disk_bytes = excluded.disk_bytes,
				database_bytes = excluded.database_bytes, measured_at = excluded.measured_at`, project, m.Tables, m.Disk, m.Database, m.At)
	}
	return Error("db: measured storage", s.db.pool.SendBatch(ctx, batch).Close())
}

// KeepLevel keeps how full a project is.
func (s *Quotas) KeepLevel(ctx context.Context, project wire.Key, level quota.Level, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO project_storage (project_key, level) SELECT key, $2 FROM project WHERE key = $1 FOR KEY SHARE
			ON CONFLICT (project_key) DO UPDATE SET level = excluded.level`, project, string(level))
		return touched(tag, err, missing("project"))
	})
}
