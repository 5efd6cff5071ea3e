package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/backend/databackend"
	"bulkhead/db/pgerr"
	"bulkhead/wire"
)

// Pools gives connections to a database on which installations' data is. Their login has no right of its own: each
// transaction takes the role of one installation first, and no SQL that is not ours ever runs on them.
type Pools interface {
	Pool(ctx context.Context, database string) (*pgxpool.Pool, error)
}

// Ingest stores records by COPY. Of a shared pool each project has a part only.
type Ingest struct {
	pools Pools
	turns turns
}

// NewIngest makes an Ingest.
func NewIngest(p Pools) *Ingest { return &Ingest{pools: p} }

var _ databackend.Writer = (*Ingest)(nil)

// Write stores records in one transaction. It copies as if none of them were there; only where the database says that one
// is, which is after a redelivery, it inserts those that are not.
func (in *Ingest) Write(ctx context.Context, p databackend.Placement, t databackend.Table, records []databackend.Record) error {
	pool, err := in.pools.Pool(ctx, p.Database)
	if err != nil {
		return err
	}
	release, err := in.turns.take(ctx, pool, ownerOf(p), writeShare(p, int(pool.Config().MaxConns)))
	if err != nil {
		return Error("db: ingest", err)
	}
	defer release()
	err = in.as(ctx, pool, p, func(tx pgx.Tx) error { return copyRecords(ctx, tx, p, t, records) })
	if pgerr.Is(err, pgerr.UniqueViolation) {
		err = in.as(ctx, pool, p, func(tx pgx.Tx) error { return insertMissing(ctx, tx, p, t, records) })
	}
	return writeFault(err)
}

// as runs do with the right to write an installation's rows.
func (in *Ingest) as(ctx context.Context, pool *pgxpool.Pool, p databackend.Placement, do func(tx pgx.Tx) error) error {
	return asRole(ctx, pool, p.RW, pgx.ReadWrite, func(tx pgx.Tx) error {
		if p.Timescale {
			// Late rows that land in a compressed chunk open what they may be duplicates of, however much that is.
			if _, err := tx.Exec(ctx, "SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0", pgx.QueryExecModeExec); err != nil {
				return err
			}
		}
		return do(tx)
	})
}

// errRole says that a role could not be taken.
type errRole struct{ error }

func (e errRole) Unwrap() error { return e.error }

// asRole runs do in one transaction with the rights of a role and no others.
func asRole(ctx context.Context, pool *pgxpool.Pool, role string, mode pgx.TxAccessMode, do func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{AccessMode: mode}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL ROLE "+ident(role), pgx.QueryExecModeExec); err != nil {
			return errRole{err}
		}
		return do(tx)
	})
}

// ident makes a name SQL.
func ident(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

func idents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = ident(n)
	}
	return strings.Join(quoted, ", ")
}

// columnsOf are the columns of a table in the order in which records are written.
func columnsOf(t databackend.Table) []string {
	names := []string{databackend.ColumnDevice, databackend.ColumnAuthID, databackend.ColumnSeq}
	for _, c := range t.Columns {
		names = append(names, c.ID)
	}
	return names
}

func copyRecords(ctx context.Context, tx pgx.Tx, p databackend.Placement, t databackend.Table, records []databackend.Record) error {
	row := make([]any, 0, len(t.Columns)+3)
	_, err := tx.CopyFrom(ctx, pgx.Identifier{p.Schema, t.Name}, columnsOf(t), pgx.CopyFromSlice(len(records), func(i int) ([]any, error) {
		r := records[i]
		row = append(append(row[:0], int64(r.Device), r.AuthID, r.Seq), r.Values...)
		return row, nil
	}))
	return err
}

// insertMissing inserts the records that are not there yet.
func insertMissing(ctx context.Context, tx pgx.Tx, p databackend.Placement, t databackend.Table, records []databackend.Record) error {
	types := []string{"bigint", "text", "bigint"}
	for _, c := range t.Columns {
		types = append(types, c.Type.SQL())
	}
	var selected, unnested []string
	for i, typ := range types {
		selected = append(selected, fmt.Sprintf("c%d::%s", i, typ))
		unnested = append(unnested, fmt.Sprintf("$%d::%s[]", i+1, arrayType(typ)))
	}
	names := columnsOf(t)
	aliases := make([]string, len(names))
	for i := range names {
		aliases[i] = fmt.Sprintf("c%d", i)
	}
	sql := "INSERT INTO " + ident(p.Schema, t.Name) + " (" + idents(names) + ") SELECT " + strings.Join(selected, ", ") +
		" FROM unnest(" + strings.Join(unnested, ", ") + ") AS r (" + strings.Join(aliases, ", ") + ") ON CONFLICT (" +
		idents([]string{databackend.ColumnDevice, databackend.ColumnTime, databackend.ColumnSeq}) + ") DO NOTHING"
	args := append([]any{pgx.QueryExecModeDescribeExec}, columnArrays(t, records)...)
	_, err := tx.Exec(ctx, sql, args...)
	return err
}

// arrayType is what an array of a type is sent as: JSON goes as the text that it is.
func arrayType(typ string) string {
	if typ == databackend.JSON.SQL() {
		return "text"
	}
	return typ
}

// columnArrays turns records into one array per column.
func columnArrays(t databackend.Table, records []databackend.Record) []any {
	devices, authids, seqs := make([]int64, len(records)), make([]string, len(records)), make([]int64, len(records))
	arrays := []any{devices, authids, seqs}
	for i, r := range records {
		devices[i], authids[i], seqs[i] = int64(r.Device), r.AuthID, r.Seq
	}
	for j := range t.Columns {
		values := make([]any, len(records))
		for i, r := range records {
			values[i] = r.Values[j]
			if raw, ok := values[i].(json.RawMessage); ok {
				values[i] = string(raw)
			}
		}
		arrays = append(arrays, values)
	}
	return arrays
}

// writeFault tells what trying again does not mend from the database's weather.
func writeFault(err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 {
		return Error("db: ingest", err)
	}
	class := pg.Code[:2]
	var role errRole
	switch {
	case errors.As(err, &role) && class != "08" && class != "57" && class != "53":
		return &databackend.WriteFault{Kind: databackend.RightFault, Reason: "the database refuses our role", Err: err}
	case pg.Code == pgerr.UniqueViolation:
		return &databackend.WriteFault{
			Kind: databackend.RowFault, Err: err, URI: wire.ErrEntityKeyConflict,
			Reason: "another row has the same key at the same time",
		}
	case class == "22" || class == "23" || class == "54":
		return &databackend.WriteFault{Kind: databackend.RowFault, Reason: rowReason(pg), Err: err}
	case class == "42" || class == "28" || class == "3D" || class == "3F" || class == "0L" || class == "0P":
		return &databackend.WriteFault{Kind: databackend.RightFault, Reason: "the database refuses our role or has no such table", Err: err}
	default:
		return Error("db: ingest", err)
	}
}

// rowReasons has what a tenant reads of a refused row. The server's own text is not used: it repeats values.
var rowReasons = map[string]string{
	"22003":                "a number is out of range",
	"22P05":                "a text has a character that the database cannot hold",
	"22021":                "a text has a character that the database cannot hold",
	"54000":                "a value of an indexed column is too long",
	pgerr.NotNullViolation: "a column that must have a value has none",
	pgerr.CheckViolation:   "a value is not among those that are allowed",
}

func rowReason(pg *pgconn.PgError) string {
	reason, ok := rowReasons[pg.Code]
	if !ok {
		reason = "the database refuses the row (" + pg.Code + ")"
	}
	if pg.ColumnName != "" {
		return pg.ColumnName + ": " + reason
	}
	return reason
}
