package db

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Audit reads the record of changes. It is written by the objects' own transactions, and by Record.
type Audit struct{ db *DB }

// NewAudit gives the record of a database.
func NewAudit(d *DB) *Audit { return &Audit{d} }

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
	_, err := tx.Exec(ctx, `SELECT audit_append($1, $2, $3, $4, $5, $6, $7, $8, $9, NULLIF($10::bigint, 0), $11, NULLIF($12::bigint, 0), $13, $14, $15)`,
		e.Version, string(e.Actor.Kind), e.Actor.ID, e.Actor.Name, e.Actor.Address, e.Actor.RequestID,
		string(e.Action), string(e.Severity), string(e.Outcome), e.Project, e.Asset.Kind, e.Asset.Key, e.Asset.Name,
		text(e.Before), text(e.After))
	return errs.As(wire.Unavailable, err, "the audit log cannot be written, so nothing was changed")
}

// text gives nil for what is not told.
func text(raw json.RawMessage) *string {
	if raw == nil {
		return nil
	}
	s := string(raw)
	return &s
}

// Record writes an entry about what changes nothing in the database, such as the reveal of a secret.
func (a *Audit) Record(ctx context.Context, e audit.Entry) error {
	return Error("db: audit", a.db.change(ctx, e, func(pgx.Tx) error { return nil }))
}

const selectEntries = `SELECT sequence, recorded_at, version, actor_kind, actor_id, actor_name, address, request_id, action, severity, outcome,
	COALESCE(project_key, 0), asset_kind, COALESCE(asset_key, 0), asset_name, before, after FROM audit_entry`

// Entries lists entries, newest first, that are older than sequence before (all where it is 0) and of a project (all
// where it is 0).
func (a *Audit) Entries(ctx context.Context, q audit.Query) ([]audit.Entry, error) {
	rows, err := a.db.pool.Query(ctx, selectEntries+`
		WHERE ($1::bigint = 0 OR sequence < $1) AND ($2::bigint = 0 OR project_key = $2) ORDER BY sequence DESC LIMIT $3`,
		q.Before, q.Project, q.Limit)
	if err != nil {
		return nil, Error("db: audit entries", err)
	}
	entries, err := pgx.CollectRows(rows, scanEntry)
	return entries, Error("db: audit entries", err)
}

func scanEntry(row pgx.CollectableRow) (e audit.Entry, err error) {
	var before, after *string
	err = row.Scan(&e.Sequence, &e.Time, &e.Version, &e.Actor.Kind, &e.Actor.ID, &e.Actor.Name, &e.Actor.Address, &e.Actor.RequestID,
		&e.Action, &e.Severity, &e.Outcome, &e.Project, &e.Asset.Kind, &e.Asset.Key, &e.Asset.Name, &before, &after)
	e.Time = e.Time.UTC()
	if before != nil {
		e.Before = json.RawMessage(*before)
	}
	if after != nil {
		e.After = json.RawMessage(*after)
	}
	return e, err
}
