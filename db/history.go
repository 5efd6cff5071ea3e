package db

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/backend/databackend"
	"bulkhead/db/pgerr"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// historyTimeout is how long one query may take in the database.
const historyTimeout = 20 * time.Second // less than the pool's own limit, which is for writes

// History answers queries about stored rows. It takes at most half of a pool's connections, so that readers never keep
// writers out, and of a shared pool a part of that for each project.
type History struct {
	pools   Pools
	turns   turns
	timeout time.Duration
}

// NewHistory makes a History.
func NewHistory(p Pools) *History { return &History{pools: p, timeout: historyTimeout} }

var _ databackend.Reader = (*History)(nil)

// Rows calls each with every row that q asks for, the newest first.
func (h *History) Rows(ctx context.Context, p databackend.Placement, q databackend.Query, each func(wire.Row) error) error {
	sql, args := rowsSQL(p.Schema, q)
	columns := make([]column, len(q.Columns))
	for i, ref := range q.Columns {
		columns[i] = column{ref.ID, ref.Type}
	}
	return h.read(ctx, p, sql, args, columns, each)
}

// Series calls each with every bucket that s asks for, the newest first.
func (h *History) Series(ctx context.Context, p databackend.Placement, s databackend.Series, each func(wire.Row) error) error {
	sql, args := seriesSQL(p.Schema, s)
	columns := []column{{databackend.ColumnTime, databackend.Timestamp}}
	for _, g := range s.GroupBy {
		columns = append(columns, column{g.ID, g.Type})
	}
	for _, m := range s.Metrics {
		columns = append(columns, column{m.Column(), resultType(m)})
	}
	return h.read(ctx, p, sql, args, columns, each)
}

// column is one column of an answer.
type column struct {
	name string
	typ  databackend.DataType
}

func (h *History) read(ctx context.Context, p databackend.Placement, sql string, args []any, columns []column, each func(wire.Row) error) error {
	pool, err := h.pools.Pool(ctx, p.Database)
	if err != nil {
		return err
	}
	release, err := h.turn(ctx, pool, p)
	if err != nil {
		return Error("db: history", err)
	}
	defer release()
	err = asRole(ctx, pool, p.RO, pgx.ReadOnly, func(tx pgx.Tx) error {
		limit := "SET LOCAL statement_timeout = " + milliseconds(h.timeout)
		if _, err := tx.Exec(ctx, limit, pgx.QueryExecModeExec); err != nil {
			return err
		}
		// The text differs from query to query: a prepared statement would be used once and stay.
		rows, err := tx.Query(ctx, sql, append([]any{pgx.QueryExecModeDescribeExec}, args...)...)
		if err != nil {
			return err
		}
		return forEach(rows, columns, each)
	})
	return historyError(err)
}

// turn waits until one more may read.
func (h *History) turn(ctx context.Context, pool *pgxpool.Pool, p databackend.Placement) (release func(), err error) {
	return h.turns.take(ctx, pool, ownerOf(p), readShare(p, int(pool.Config().MaxConns)))
}

func forEach(rows pgx.Rows, columns []column, each func(wire.Row) error) error {
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		row := make(wire.Row, len(columns))
		for i, c := range columns {
			row[c.name] = c.wire(values[i])
		}
		if err := each(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// wire gives a value of the database the form in which clients see it. JSON comes as text.
func (c column) wire(v any) any {
	if text, ok := v.(string); ok && c.typ == databackend.JSON {
		return databackend.WireValue(json.RawMessage(text))
	}
	return databackend.WireValue(v)
}

func historyError(err error) error {
	switch {
	case err == nil:
		return nil
	case pgerr.Is(err, pgerr.QueryCanceled):
		return errs.As(wire.Unavailable, err, "the query takes too long: ask for less time or fewer rows")
	case pgerr.Is(err, "22003", "22012"):
		return errs.As(wire.Invalid, err, "an aggregate is out of range")
	default:
		return Error("db: history", err)
	}
}
