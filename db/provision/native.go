package provision

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
)

// native keeps rows in range partitions of PostgreSQL's own.
//
// Each table has a default partition, so that no row is ever refused for lack of a partition, however late or early it
// is. Partitions are made ahead of time; for rows that landed in the default partition, upkeep makes the partition that
// they belong in and moves them, in one transaction. What is too old or too far ahead for a partition of its own, or
// comes after the table has its fill of partitions, stays in the default one, where it is found all the same.
type native struct{ now func() time.Time }

const (
	ahead         = 2                        // how many partitions beyond the current one are ready
	reach         = 2 * 365 * 24 * time.Hour // rows older than this get no partition of their own
	maxPartitions = 1000                     // of a table; plans and locks grow with them
	movesPerRun   = 20                       // partitions made for rows of the default one in one upkeep
	dropBatch     = 50                       // partitions dropped in one transaction
)

func (n native) create(ctx context.Context, tx pgx.Tx, s installation, t table) error {
	name := ident(s.schema, t.Name)
	statements := []string{
		"CREATE TABLE " + name + " (" + definition(t) + ") PARTITION BY RANGE (" + ident(databackend.ColumnTime) + ")",
		timeIndex(s, t),
		"CREATE TABLE " + ident(s.schema, defaultPartition(t.Name)) + " PARTITION OF " + name + " DEFAULT",
	}
	for _, g := range n.aheadOf(nil, t) {
		statements = append(statements, "CREATE TABLE "+ident(s.schema, partitionName(t.Name, g))+" PARTITION OF "+name+" "+bounds(g))
	}
	return asOwner(ctx, tx, s, statements...)
}

// adjust has nothing to do: upkeep makes the next partitions as the template says.
func (n native) adjust(context.Context, pgx.Tx, installation, table) error { return nil }

func (n native) aheadOf(existing []span, t table) []span {
	now := n.now()
	return missing(existing, now, now.Add(ahead*t.ChunkInterval+1), t.ChunkInterval)
}

func bounds(s span) string {
	const layout = "2006-01-02 15:04:05+00"
	return fmt.Sprintf("FOR VALUES FROM ('%s') TO ('%s')", s.from.UTC().Format(layout), s.to.UTC().Format(layout))
}

func (n native) upkeep(ctx context.Context, conn *pgx.Conn, s installation, t table) error {
	parts, err := partitions(ctx, conn, s, t)
	if err != nil {
		return err
	}
	if t.DropAfter > 0 {
		if err := n.retire(ctx, conn, s, t, parts); err != nil {
			return err
		}
	}
	for _, g := range n.aheadOf(spans(parts), t) {
		if err := adopt(ctx, conn, s, t, g); err != nil {
			return err
		}
		parts = append(parts, part{partitionName(t.Name, g), g})
	}
	return n.tidy(ctx, conn, s, t, spans(parts))
}

// tidy makes partitions for rows in the default one.
func (n native) tidy(ctx context.Context, conn *pgx.Conn, s installation, t table, existing []span) error {
	from, to := n.now().Add(-reach), n.now().Add(ahead*t.ChunkInterval)
	for range movesPerRun {
		if len(existing) >= maxPartitions {
			return nil
		}
		var oldest *time.Time
		err := conn.QueryRow(ctx, "SELECT min("+ident(databackend.ColumnTime)+") FROM "+ident(s.schema, defaultPartition(t.Name))+
			" WHERE "+within("$1", "$2"), from, to).Scan(&oldest)
		if err != nil || oldest == nil {
			return err
		}
		g, ok := gap(existing, *oldest, t.ChunkInterval)
		if !ok {
			return fmt.Errorf("table %s: a row of %s is in the default partition beside the one for it", t.Name, oldest)
		}
		if err := adopt(ctx, conn, s, t, g); err != nil {
			return err
		}
		existing = append(existing, g)
		from = g.to
	}
	return nil
}

func within(from, to string) string {
	c := ident(databackend.ColumnTime)
	return c + " >= " + from + " AND " + c + " < " + to
}

// adopt makes a partition for a stretch and moves the rows there that are in the default one. Writers wait meanwhile: one
// that had found its way to the default partition before would be refused there after.
func adopt(ctx context.Context, conn *pgx.Conn, s installation, t table, g span) error {
	fresh, old, parent := ident(s.schema, partitionName(t.Name, g)), ident(s.schema, defaultPartition(t.Name)), ident(s.schema, t.Name)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := asOwner(ctx, tx, s, "CREATE TABLE "+fresh+" (LIKE "+parent+" INCLUDING DEFAULTS INCLUDING STORAGE)",
			"LOCK TABLE ONLY "+parent+" IN SHARE MODE", "LOCK TABLE "+old+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
		columns := columnList(t)
		_, err := tx.Exec(ctx, "WITH moved AS (DELETE FROM "+old+" WHERE "+within("$1", "$2")+" RETURNING *) INSERT INTO "+
			fresh+" ("+columns+") SELECT "+columns+" FROM moved", g.from, g.to)
		if err != nil {
			return err
		}
		return asOwner(ctx, tx, s, "ALTER TABLE "+parent+" ATTACH PARTITION "+fresh+" "+bounds(g))
	})
}

func columnList(t table) string {
	names := []string{databackend.ColumnTime, databackend.ColumnDevice, databackend.ColumnAuthID, databackend.ColumnSeq}
	for _, c := range t.declared() {
		names = append(names, c.ID)
	}
	return idents(names...)
}

// retire drops partitions all of whose rows are too old, and such rows of the default one.
func (n native) retire(ctx context.Context, conn *pgx.Conn, s installation, t table, parts []part) error {
	cutoff := n.now().Add(-t.DropAfter)
	for _, old := range expired(spans(parts), cutoff) {
		i := slices.IndexFunc(parts, func(p part) bool { return p.span == old })
		if err := execAll(ctx, conn, "DROP TABLE IF EXISTS "+ident(s.schema, parts[i].name)); err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, "DELETE FROM "+ident(s.schema, defaultPartition(t.Name))+" WHERE "+ident(databackend.ColumnTime)+" < $1", cutoff)
	return err
}

// part is a partition that is not the default one.
type part struct {
	name string
	span span
}

func spans(parts []part) []span {
	all := make([]span, len(parts))
	for i, p := range parts {
		all[i] = p.span
	}
	return all
}

func partitions(ctx context.Context, conn *pgx.Conn, s installation, t table) ([]part, error) {
	rows, err := conn.Query(ctx, `SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid)
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
		JOIN pg_namespace n ON n.oid = parent.relnamespace
		WHERE n.nspname = $1 AND parent.relname = $2 AND c.relname <> $3 ORDER BY c.relname`, s.schema, t.Name, defaultPartition(t.Name))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (part, error) {
		var p part
		var bound string
		if err := row.Scan(&p.name, &bound); err != nil {
			return part{}, err
		}
		var err error
		p.span, err = parseBound(bound)
		return p, err
	})
}

func (n native) drop(ctx context.Context, conn *pgx.Conn, s installation, t table) error {
	parts, err := partitions(ctx, conn, s, t)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(parts, dropBatch) {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			for _, p := range batch {
				if err := execAll(ctx, tx, "DROP TABLE IF EXISTS "+ident(s.schema, p.name)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return execAll(ctx, conn, "DROP TABLE IF EXISTS "+ident(s.schema, t.Name))
}
