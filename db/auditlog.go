package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/backend/audit/ledger"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// AuditLog shows the logs to readers: checkpoints, tiles, bundles of entries. What it gives proves itself, or not: nothing
// is checked here.
type AuditLog struct{ db *DB }

var _ ledger.Source = (*AuditLog)(nil)

// Checkpoint gives the newest checkpoint of a log.
func (a *AuditLog) Checkpoint(ctx context.Context, l ledger.Log) ([]byte, error) {
	note, err := first(ctx, a.db.pool, pgx.RowTo[string], `SELECT note FROM audit_checkpoint WHERE log_key = $1`, l)
	return []byte(note), found("log", err)
}

// Logs lists the logs that have a checkpoint.
func (a *AuditLog) Logs(ctx context.Context) ([]ledger.Log, error) {
	logs, err := list(ctx, a.db.pool, pgx.RowTo[ledger.Log], `SELECT log_key FROM audit_checkpoint ORDER BY log_key`)
	return logs, Error("db: audit logs", err)
}

// Tile gives a tile or a bundle of a width; kind NotFound where the log has no such one.
func (a *AuditLog) Tile(ctx context.Context, l ledger.Log, level int, place int64, width int) ([]byte, error) {
	if level == ledger.Entries {
		return a.bundle(ctx, l, place, width)
	}
	text, err := hashes(ctx, a.db.pool, l, level, place)
	if err == nil && len(text) < width*hashSize {
		err = errs.E(wire.NotFound, "the log has no such tile")
	}
	if err != nil {
		return nil, err
	}
	return text[:width*hashSize], nil
}

const hashSize = 32

func (a *AuditLog) bundle(ctx context.Context, l ledger.Log, place int64, width int) (bundle []byte, err error) {
	found, err := leaves(ctx, a.db.pool, l, place<<ledger.Height, width)
	if err != nil {
		return nil, err
	}
	if len(found) < width {
		return nil, errs.E(wire.NotFound, "the log has no such entries")
	}
	for _, leaf := range found {
		if bundle, err = ledger.AppendBundle(bundle, leaf); err != nil {
			return nil, err
		}
	}
	return bundle, nil
}

// Placed finds an entry that has a place; kind Unavailable where it has none yet.
func (a *AuditLog) Placed(ctx context.Context, sequence int64) (ledger.Placed, error) {
	p, err := first(ctx, a.db.pool, func(row pgx.CollectableRow) (p ledger.Placed, err error) {
		var place *int64
		var beside audit.Personal
		err = row.Scan(&p.Log, &place, &p.Leaf, &beside.Salt, &beside.Data)
		if beside.Salt != nil {
			p.Personal = &beside
		}
		if err == nil && place == nil {
			return p, errs.E(wire.Unavailable, "the entry is not part of a signed log yet: ask again in a second")
		}
		if place != nil {
			p.Place = *place
		}
		return p, err
	}, `SELECT e.log_key, l.place, e.leaf, p.salt, p.data FROM audit_entry e LEFT JOIN audit_leaf l USING (sequence)
		LEFT JOIN audit_personal p USING (sequence) WHERE e.sequence = $1`, sequence)
	return p, found("entry", err)
}

// Guards tells which of the database's own guards of the log are off: triggers that are gone or disabled, tables that
// belong to others, entries that are in no log and do not wait for a place.
func (a *AuditLog) Guards(ctx context.Context) ([]string, error) {
	off, err := list(ctx, a.db.pool, pgx.RowTo[string], `
		SELECT format('the trigger %s is off or gone', wanted) FROM unnest($1::text[]) AS wanted
		WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgname = wanted AND t.tgenabled = 'A'
			AND t.tgrelid = to_regclass('bulkhead.' || substring(wanted FROM '^audit_[a-z]+'))
			AND t.tgfoid IN (to_regproc('bulkhead.audit_refuse'), to_regproc('bulkhead.audit_grow')))
		UNION ALL SELECT format('the table %s does not belong to bulkhead_audit_owner', relname) FROM pg_class
		WHERE relnamespace = 'bulkhead'::regnamespace AND relkind = 'r' AND relname LIKE 'audit\_%' AND relowner::regrole::text <> 'bulkhead_audit_owner'
		UNION ALL SELECT format('%s may change the table %s', COALESCE(NULLIF(grantee, 0)::regrole::text, 'everybody'), relname) FROM pg_class, aclexplode(relacl)
		WHERE relnamespace = 'bulkhead'::regnamespace AND relname IN ('audit_entry', 'audit_personal', 'audit_leaf')
			AND grantee <> relowner AND privilege_type <> 'SELECT' AND NOT (grantee = to_regrole($2) AND relname = 'audit_leaf' AND privilege_type = 'INSERT')`,
		auditTriggers, auditSequencerRole)
	return off, Error("db: audit guards", err)
}

var auditTriggers = []string{
	"audit_entry_keep_rows", "audit_entry_keep_all", "audit_personal_keep_rows", "audit_personal_keep_all", "audit_leaf_keep_rows", "audit_leaf_keep_all",
	"audit_tile_keep_rows", "audit_tile_keep_all", "audit_tile_grow", "audit_checkpoint_keep_rows", "audit_checkpoint_keep_all", "audit_checkpoint_grow",
}

// Strays lists entries that are in no log and wait for no place, or whose copied columns are not what the leaf says.
func (a *AuditLog) Strays(ctx context.Context) ([]string, error) {
	strays, err := list(ctx, a.db.pool, func(row pgx.CollectableRow) (string, error) {
		var sequence int64
		var placed bool
		err := row.Scan(&sequence, &placed)
		if placed {
			return fmt.Sprintf("entry %d is not filed as what its leaf says", sequence), err
		}
		return fmt.Sprintf("entry %d is in no log", sequence), err
	}, `SELECT e.sequence, l.sequence IS NOT NULL OR q.sequence IS NOT NULL FROM audit_entry e LEFT JOIN audit_leaf l USING (sequence) LEFT JOIN audit_queue q USING (sequence)
		WHERE (l.sequence IS NULL AND q.sequence IS NULL) OR l.log_key <> e.log_key
			OR (SELECT (told ->> 'sequence')::bigint <> e.sequence OR COALESCE((told ->> 'project_key')::bigint, 0) <> e.log_key OR told ->> 'action' <> e.action
				OR told ->> 'severity' <> e.severity OR told #>> '{actor,id}' <> e.actor_id OR told #>> '{asset,kind}' <> e.asset_kind
				OR COALESCE((told #>> '{asset,key}')::bigint, 0) <> COALESCE(e.asset_key, 0) OR told #>> '{asset,name}' IS DISTINCT FROM e.asset_name
				OR (told ->> 'time')::timestamptz <> e.recorded_at FROM (SELECT convert_from(e.leaf, 'UTF8')::jsonb) AS leaf (told))
		ORDER BY e.sequence LIMIT 5`)
	return strays, Error("db: audit strays", err)
}
