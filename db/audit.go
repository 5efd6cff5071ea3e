package db

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Audit reads the record of changes, entry by entry and as logs. It is written by the objects' own transactions, and by
// Record.
type Audit struct{ AuditLog }

var _ audit.Recorder = (*Audit)(nil)

// NewAudit gives the record of a database.
func NewAudit(d *DB) *Audit { return &Audit{AuditLog{d}} }

// change runs do and writes the entry in one transaction: without an entry there is no change.
func (d *DB) change(ctx context.Context, e audit.Entry, do func(tx pgx.Tx) error) error {
	return d.InTx(ctx, func(tx pgx.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}

func record(ctx context.Context, tx pgx.Tx, e audit.Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	f, err := e.File()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `SELECT audit_append($1, $2, $3, $4, $5, NULLIF($6::bigint, 0), NULLIF($7::text, ''), $8, $9, $10)`,
		e.Project, string(e.Action), string(e.Severity), f.Actor, f.Asset.Kind, f.Asset.Key, f.Asset.Name, f.Body, f.Personal.Salt, f.Personal.Data)
	return errs.As(wire.Unavailable, err, "the audit log cannot be written, so nothing was changed")
}

// Record writes an entry about what changes nothing in the database, such as the reveal of a secret.
func (a *Audit) Record(ctx context.Context, e audit.Entry) error {
	return Error("db: audit", a.db.change(ctx, e, func(pgx.Tx) error { return nil }))
}

const selectEntries = `SELECT e.leaf, p.salt, p.data FROM audit_entry e LEFT JOIN audit_personal p USING (sequence)`

// Entries lists entries.
func (a *Audit) Entries(ctx context.Context, q audit.Query) ([]audit.Entry, error) {
	kind, _, _ := strings.Cut(string(q.Action), ".")
	whole := string(q.Action)
	if whole == kind || whole == kind+"." {
		whole = ""
	}
	direction := "DESC"
	if q.Oldest {
		direction = "ASC"
	}
	rows, err := a.db.pool.Query(ctx, selectEntries+`
		WHERE ($1::bigint = 0 OR sequence < $1) AND ($2::bigint = 0 OR log_key = $2) AND ($3::bigint = 0 OR sequence > $3)
			AND ($4::text = '' OR actor_id = $4) AND ($5::text = '' OR action = $5) AND ($6::text = '' OR action LIKE replace($6, '_', '\_') || '.%')
			AND ($7::text = '' OR asset_kind = $7 OR asset_key::text = $7 OR asset_name = $7) AND ($8::text = '' OR severity = $8)
			AND ($9::timestamptz IS NULL OR recorded_at >= $9) AND ($10::timestamptz IS NULL OR recorded_at < $10)
		ORDER BY sequence `+direction+` LIMIT $11`,
		q.Before, q.Project, q.After, q.Actor, whole, kind, q.Asset, string(q.Severity), instant(q.Since), instant(q.Until), q.Limit)
	if err != nil {
		return nil, Error("db: audit entries", err)
	}
	entries, err := pgx.CollectRows(rows, scanEntry)
	return entries, Error("db: audit entries", err)
}

// instant gives nil for no time.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// scanEntry reads an entry from its leaf. One that cannot be read, or does not fit what is beside it, was not written by
// us: it is shown as it is, because hiding it would serve whoever wrote it.
func scanEntry(row pgx.CollectableRow) (audit.Entry, error) {
	var text []byte
	var beside audit.Personal
	if err := row.Scan(&text, &beside.Salt, &beside.Data); err != nil {
		return audit.Entry{}, err
	}
	leaf, err := audit.ParseLeaf(text)
	if err != nil {
		return audit.Entry{Severity: audit.Warning, After: quoted(text)}, nil //nolint:nilerr // see above
	}
	if beside.Salt == nil {
		return leaf.Entry, nil
	}
	entry, err := leaf.With(beside)
	if err != nil {
		entry.Severity = audit.Warning
	}
	return entry, nil
}

func quoted(text []byte) json.RawMessage {
	q, err := json.Marshal(string(text))
	if err != nil { // a string always is JSON
		return nil
	}
	return q
}
