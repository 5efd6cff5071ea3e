package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
)

// timescale keeps rows in hypertables of TimescaleDB. Upkeep calls what its scheduler would call: the scheduler's jobs fail
// for ever when a table's owner cannot log in, and its workers do not suffice for a database per project.
type timescale struct{ now func() time.Time }

// compressionsPerRun is how many chunks of a table become columns in one upkeep.
const compressionsPerRun = 10

func (k timescale) create(ctx context.Context, tx pgx.Tx, s installation, t table) error {
	err := asOwner(ctx, tx, s, "CREATE TABLE "+ident(s.schema, t.Name)+" ("+definition(t)+")", timeIndex(s, t))
	if err != nil {
		return err
	}
	// Chunks are in the installation's own schema, so that they go with it and nobody else sees their names.
	_, err = tx.Exec(ctx, `SELECT public.create_hypertable($1::regclass, $2::name, associated_schema_name => $3::name,
		associated_table_prefix => $4::name, chunk_time_interval => $5::interval, create_default_indexes => false)`,
		ident(s.schema, t.Name), databackend.ColumnTime, s.schema, "_"+t.Name, interval(t.ChunkInterval))
	if err != nil {
		return err
	}
	return k.columnstore(ctx, tx, s, t)
}

func (k timescale) columnstore(ctx context.Context, tx pgx.Tx, s installation, t table) error {
	if t.ColumnstoreAfter == 0 {
		return nil
	}
	return execAll(ctx, tx, fmt.Sprintf("ALTER TABLE %s SET (timescaledb.compress, timescaledb.compress_segmentby = %s, timescaledb.compress_orderby = %s)",
		ident(s.schema, t.Name), literal(ident(databackend.ColumnDevice)), literal(ident(databackend.ColumnTime)+" DESC, "+ident(databackend.ColumnSeq)+" DESC")))
}

func (k timescale) adjust(ctx context.Context, tx pgx.Tx, s installation, t table) error {
	_, err := tx.Exec(ctx, "SELECT public.set_chunk_time_interval($1::regclass, $2::interval)", ident(s.schema, t.Name), interval(t.ChunkInterval))
	if err != nil {
		return err
	}
	var on bool
	err = tx.QueryRow(ctx, "SELECT compression_enabled FROM timescaledb_information.hypertables WHERE hypertable_schema = $1 AND hypertable_name = $2",
		s.schema, t.Name).Scan(&on)
	if err != nil || on {
		return err
	}
	return k.columnstore(ctx, tx, s, t)
}

func (k timescale) upkeep(ctx context.Context, conn *pgx.Conn, s installation, t table) error {
	if t.DropAfter > 0 {
		_, err := conn.Exec(ctx, "SELECT public.drop_chunks($1::regclass, older_than => $2::timestamptz)", ident(s.schema, t.Name), k.now().Add(-t.DropAfter))
		if err != nil {
			return err
		}
	}
	if t.ColumnstoreAfter == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, `SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks
		WHERE hypertable_schema = $1 AND hypertable_name = $2 AND NOT is_compressed AND range_end < $3 ORDER BY range_end LIMIT $4`,
		s.schema, t.Name, k.now().Add(-t.ColumnstoreAfter), compressionsPerRun)
	if err != nil {
		return err
	}
	chunks, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, chunk := range chunks {
		if _, err := conn.Exec(ctx, "SELECT public.compress_chunk($1::regclass, if_not_compressed => true)", chunk); err != nil {
			return err
		}
	}
	return nil
}

func (k timescale) drop(ctx context.Context, conn *pgx.Conn, s installation, t table) error {
	return execAll(ctx, conn, "DROP TABLE IF EXISTS "+ident(s.schema, t.Name)+" CASCADE")
}

func interval(d time.Duration) string { return fmt.Sprintf("%d microseconds", d.Microseconds()) }
