package provision

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/quota"
	"bulkhead/db"
	"bulkhead/wire"
)

var _ quota.Tables = (*Provisioner)(nil)

// Places lists the projects that have tables, with the sizes of their databases.
func (p *Provisioner) Places(ctx context.Context) ([]quota.Place, error) {
	rows, err := p.config.DB.Pool().Query(ctx, `
		WITH placed AS (SELECT project_key, database_name, bool_and(read_only) AS read_only, bool_and(read_only) <> bool_or(read_only) AS mixed FROM bulkhead.placement WHERE state = 'ready' GROUP BY 1, 2),
			sized AS MATERIALIZED (SELECT d.datname, pg_database_size(d.oid) AS bytes FROM pg_database d WHERE d.datname IN (SELECT database_name FROM placed))
		SELECT p.project_key, p.database_name, s.bytes, p.read_only, p.mixed FROM placed p JOIN sized s ON s.datname = p.database_name`)
	if err != nil {
		return nil, db.Error("provision: places", err)
	}
	places, err := pgx.CollectRows(rows, pgx.RowToStructByPos[quota.Place])
	return places, db.Error("provision: places", err)
}

// Limits of a measurement. It must not wait behind what holds a table, and others must not wait behind it.
const (
	sizesLockTimeout = "2s"
	sizesTimeout     = "60s"
)

// Sizes gives the bytes of the tables of each project in a database, with their indexes and all else that belongs to them.
func (p *Provisioner) Sizes(ctx context.Context, database string) (map[wire.Key]int64, error) {
	sizes, err := p.sizes(ctx, database)
	return sizes, db.Error("provision: sizes", err)
}

// schemas tells whose the schemas of a database are, and whether their tables are hypertables.
func (p *Provisioner) schemas(ctx context.Context, database string) (owners map[string]wire.Key, timescale bool, err error) {
	rows, err := p.config.DB.Pool().Query(ctx, `SELECT p.schema_name, p.project_key, d.timescale FROM bulkhead.placement p
		JOIN bulkhead.placement_database d ON d.name = p.database_name WHERE d.name = $1`, database)
	if err != nil {
		return nil, false, err
	}
	owners = map[string]wire.Key{}
	var schema string
	var project wire.Key
	_, err = pgx.ForEachRow(rows, []any{&schema, &project, &timescale}, func() error {
		owners[schema] = project
		return nil
	})
	return owners, timescale, err
}

func (p *Provisioner) sizes(ctx context.Context, database string) (map[wire.Key]int64, error) {
	owners, timescale, err := p.schemas(ctx, database)
	if err != nil {
		return nil, err
	}
	conn, err := p.connect(ctx, database)
	if err != nil {
		return nil, err
	}
	defer disconnect(ctx, conn)
	if err := execAll(ctx, conn, "SET lock_timeout = "+literal(sizesLockTimeout), "SET statement_timeout = "+literal(sizesTimeout)); err != nil {
		return nil, err
	}
	query := sizesOfTables
	if timescale {
		query = sizesOfHypertables
	}
	rows, err := conn.Query(ctx, query, slices.Collect(maps.Keys(owners)))
	if err != nil {
		return nil, err
	}
	sizes := map[wire.Key]int64{}
	var schema string
	var bytes int64
	_, err = pgx.ForEachRow(rows, []any{&schema, &bytes}, func() error {
		sizes[owners[schema]] += bytes
		return nil
	})
	return sizes, err
}

const (
	sizesOfTables = `SELECT n.nspname::text, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = ANY ($1) GROUP BY 1`
	// A hypertable's columnstore is kept outside the schema that the hypertable is in.
	sizesOfHypertables = `SELECT hypertable_schema::text, coalesce(sum(public.hypertable_size(format('%I.%I', hypertable_schema, hypertable_name)::regclass)), 0)::bigint
		FROM timescaledb_information.hypertables WHERE hypertable_schema = ANY ($1) GROUP BY 1`
)

// SetReadOnly has the logins of a project read and add nothing, or lets them add rows again. What they are doing when they
// lose the right is ended. Rows that come by RPC are not concerned.
func (p *Provisioner) SetReadOnly(ctx context.Context, project wire.Key, on bool) error {
	err := p.during(ctx, "project "+project.String(), func(ctx context.Context, o *operation) error {
		found, err := queryPlacements(ctx, o.conn, "WHERE p.project_key = $1 AND p.state = 'ready' AND p.read_only <> $2", project, on)
		failed := []error{err}
		for _, placed := range found {
			failed = append(failed, o.setReadOnly(ctx, placed, on))
		}
		return errors.Join(failed...)
	})
	return db.Error("provision: read-only", err)
}

func (o *operation) setReadOnly(ctx context.Context, p placement, on bool) error {
	rows, err := o.conn.Query(ctx, "SELECT role FROM bulkhead.placement_login WHERE realm = $1 AND access = $2 AND state <> 'off'", p.Realm, string(rw))
	if err != nil {
		return err
	}
	logins, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	next := p
	next.ReadOnly = on
	err = pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		for _, role := range logins {
			if err := execAll(ctx, tx, "GRANT "+ident(next.group(rw))+" TO "+ident(role), "REVOKE "+ident(p.group(rw))+" FROM "+ident(role)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "UPDATE bulkhead.placement SET read_only = $2 WHERE realm = $1", p.Realm, on)
		return err
	})
	if err != nil || !on {
		return err
	}
	for _, role := range logins {
		if err := execAll(ctx, o.conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "+literal(role)); err != nil {
			return err
		}
	}
	return nil
}
