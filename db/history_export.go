package db

import (
	"context"
	"io"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
)

// Export writes all rows of a table to w as CSV with a header line, the oldest first, as they were when it began.
func (h *History) Export(ctx context.Context, p databackend.Placement, t databackend.Table, w io.Writer) error {
	pool, err := h.pools.Pool(ctx, p.Database)
	if err != nil {
		return err
	}
	release, err := h.turn(ctx, pool, p)
	if err != nil {
		return Error("db: export", err)
	}
	defer release()
	names := []string{databackend.ColumnTime, databackend.ColumnDevice, databackend.ColumnAuthID}
	for _, c := range t.Columns {
		if c.ID != databackend.ColumnTime {
			names = append(names, c.ID)
		}
	}
	sql := "COPY (SELECT " + idents(names) + " FROM " + ident(p.Schema, t.Name) + " ORDER BY " + ident(databackend.ColumnTime) +
		", " + ident(databackend.ColumnSeq) + ") TO STDOUT WITH (FORMAT csv, HEADER)"
	return Error("db: export", asRole(ctx, pool, p.RO, pgx.ReadOnly, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0", pgx.QueryExecModeExec); err != nil {
			return err // a large table takes as long as w does; ctx ends it
		}
		_, err := tx.Conn().PgConn().CopyTo(ctx, w, sql)
		return err
	}))
}
