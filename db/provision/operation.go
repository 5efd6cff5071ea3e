package provision

import (
	"context"
	"hash/fnv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"bulkhead/db"
	"bulkhead/realms"
)

// operation is one change under a lock that keeps others out, in this process and in all. The lock dies with the
// connection, so a crash leaves none.
type operation struct {
	*Provisioner
	conn *pgx.Conn // to the platform's database
}

// adminConfig is for connections that change structure: they may take long, but do not wait for locks for long.
func adminConfig(d *db.DB) *pgx.ConnConfig {
	config := d.Pool().Config().ConnConfig.Copy()
	config.RuntimeParams = map[string]string{
		"application_name": "bulkhead provision", "timezone": "UTC", "datestyle": "ISO", "search_path": "pg_catalog, pg_temp",
		"standard_conforming_strings": "on", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s",
	}
	// Statements are run once, on connections that live for one operation.
	config.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	return config
}

// connect opens a connection with elevated rights to a database of the server.
func (p *Provisioner) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	config := p.admin.Copy()
	if database != "" {
		config.Database = database
	}
	return pgx.ConnectConfig(ctx, config)
}

// disconnect closes a connection, also when ctx has ended.
func disconnect(ctx context.Context, conn *pgx.Conn) { _ = conn.Close(context.WithoutCancel(ctx)) }

// during runs a change while nobody else changes what the lock names.
func (p *Provisioner) during(ctx context.Context, lock string, do func(context.Context, *operation) error) error {
	leave, err := p.turns.take(ctx, lock)
	if err != nil {
		return err
	}
	defer leave()
	conn, err := p.connect(ctx, "")
	if err != nil {
		return err
	}
	defer disconnect(ctx, conn)
	o := &operation{Provisioner: p, conn: conn}
	if err := o.lock(ctx, lock); err != nil {
		return err
	}
	return do(ctx, o)
}

// lock takes one more lock until the operation ends. Order: a project's, then the shared database's, then the server's.
func (o *operation) lock(ctx context.Context, name string) error {
	h := fnv.New64a()
	_, _ = h.Write([]byte("bulkhead provision " + name)) // never fails
	_, err := o.conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(h.Sum64()))
	return err
}

func projectLock(realm realms.Realm) string { return "project " + realm.Project.String() }

// in runs a change in one transaction in a database of the server.
func (o *operation) in(ctx context.Context, database string, do func(pgx.Tx) error) error {
	conn, err := o.connect(ctx, database)
	if err != nil {
		return err
	}
	defer disconnect(ctx, conn)
	return pgx.BeginFunc(ctx, conn, do)
}

// execAll runs statements one after the other.
func execAll(ctx context.Context, tx interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, statements ...string,
) error {
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
