package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/rotation"
	"bulkhead/internal/secret"
)

// Sealed finds the sealed values of all tables, to give them another key-encryption key.
type Sealed struct{ db *DB }

var _ rotation.Store = (*Sealed)(nil)

// NewSealed gives the sealed values of a database.
func NewSealed(d *DB) *Sealed { return &Sealed{d} }

// sealedColumn is one column of sealed values, t being its table. Values of the first format need the context in which
// they were sealed, as their writers make it: an SQL expression, empty where there never were such values.
type sealedColumn struct{ table, column, context, join string }

// sealedColumns are all of them; a test compares them with the database.
var sealedColumns = []sealedColumn{
	{"device_secret", "sealed", `'device|' || d.project_key || '|' || d.serial || '|' || t.version`, `JOIN device d ON d.key = t.device_key`},
	{"app_credential", "sealed", `'app|' || t.app_key || '|' || t.epoch`, ``},
	{"service", "sealed", `'service|realm-' || t.project_key || '-' || t.app_key || '-' || t.stage || '|' || t.name`, ``},
	{"placement_login", "sealed", `'database login ' || t.role`, ``},
	{"placement_server", "ingestor_sealed", `'database login ' || t.ingestor`, ``},
	{"user_factor", "sealed", `'factor|' || t.user_key`, ``},
	{"user_enrolment", "sealed", `'enrolment|' || t.login_id`, ``},
	{"login", "id_token", `'login|' || t.id || '|id_token'`, ``},
	{"provider", "sealed", ``, ``},
	{"recording_key", "sealed", ``, ``},
	{"replay", "sealed", `'replay|' || t.principal || '|' || t.key`, ``},
}

// KnownSealed names the columns as table.column.
func KnownSealed() []string {
	names := make([]string, len(sealedColumns))
	for i, c := range sealedColumns {
		names[i] = c.table + "." + c.column
	}
	return names
}

// headSize is how much of a value says which format and key it has.
const headSize = 5

// Uses counts the values by table and head.
func (s *Sealed) Uses(ctx context.Context) ([]rotation.Use, error) {
	var uses []rotation.Use
	for _, c := range sealedColumns {
		sql := fmt.Sprintf(`SELECT substring(t.%[2]s FROM 1 FOR %[3]d), count(*) FROM %[1]s t WHERE t.%[2]s IS NOT NULL GROUP BY 1 ORDER BY 1`,
			c.table, c.column, headSize)
		found, err := list(ctx, s.db.pool, func(row pgx.CollectableRow) (u rotation.Use, err error) {
			u.Table = c.table
			err = row.Scan(&u.Head, &u.Values)
			return u, err
		}, sql)
		if err != nil {
			return nil, Error("db: sealed values of "+c.table, err)
		}
		uses = append(uses, found...)
	}
	return uses, nil
}

// Rewrap gives values the primary key, at most limit in each transaction, and tells step of each batch. Rows that somebody
// else holds are left out, and so are those whose rewrap fails, which are counted; it goes over each table once.
func (s *Sealed) Rewrap(ctx context.Context, primary secret.KeyID, limit int, rewrap rotation.Rewrapper, step func(rotation.Batch)) error {
	head := secret.EnvelopeHead(primary)
	for _, c := range sealedColumns {
		for after, more := "(0,0)", true; more; {
			var b rotation.Batch
			err := s.db.InTx(ctx, func(tx pgx.Tx) (err error) {
				b, after, more, err = c.rewrap(ctx, tx, head, after, limit, rewrap)
				return err
			})
			if err != nil {
				return fmt.Errorf("db: rewrap %s: %w", c.table, err)
			}
			step(b)
		}
	}
	return nil
}

// sealedRow is a row by its place: within the transaction that has locked it, it stays there.
type sealedRow struct {
	place   string
	sealed  []byte
	context string
}

func (c sealedColumn) rewrap(ctx context.Context, tx pgx.Tx, head []byte, after string, limit int, rewrap rotation.Rewrapper) (b rotation.Batch, last string, more bool, err error) {
	rows, err := c.next(ctx, tx, head, after, limit)
	if err != nil || len(rows) == 0 {
		return b, after, false, err
	}
	b.Table = c.table
	var places []string
	var anew [][]byte
	for _, row := range rows {
		sealed, err := rewrap(row.sealed, row.context)
		if err != nil {
			b.Failed++
			continue
		}
		places, anew = append(places, row.place), append(anew, sealed)
	}
	sql := fmt.Sprintf(`UPDATE %[1]s t SET %[2]s = v.sealed FROM unnest($1::text[], $2::bytea[]) v(place, sealed) WHERE t.ctid = v.place::tid`, c.table, c.column)
	tag, err := tx.Exec(ctx, sql, places, anew)
	b.Done = int(tag.RowsAffected())
	if err == nil && b.Done != len(places) {
		err = fmt.Errorf("%d of %d rows were changed", b.Done, len(places))
	}
	return b, rows[len(rows)-1].place, len(rows) == limit, err
}

// next locks the next rows that have another head, in the order of their places.
func (c sealedColumn) next(ctx context.Context, tx pgx.Tx, head []byte, after string, limit int) ([]sealedRow, error) {
	context := c.context
	if context == "" {
		context = "''"
	}
	sql := fmt.Sprintf(`SELECT t.ctid::text, t.%[2]s, %[3]s FROM %[1]s t %[4]s
		WHERE t.%[2]s IS NOT NULL AND substring(t.%[2]s FROM 1 FOR %[5]d) <> $1 AND t.ctid > $2::text::tid
		ORDER BY t.ctid LIMIT $3 FOR UPDATE OF t SKIP LOCKED`, c.table, c.column, context, c.join, headSize)
	return list(ctx, tx, func(row pgx.CollectableRow) (r sealedRow, err error) {
		err = row.Scan(&r.place, &r.sealed, &r.context)
		return r, err
	}, sql, head, after, limit)
}
