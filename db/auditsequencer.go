package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/backend/audit/ledger"
	"bulkhead/backend/audit/sequencer"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// auditSequencerRole may give entries places and do nothing else: it cannot write, change or remove one.
const auditSequencerRole = "bulkhead_audit_sequencer"

// AuditSequencer keeps the places of entries and the hashes of logs. Its sessions have a role of their own.
type AuditSequencer struct{ pool *pgxpool.Pool }

var _ sequencer.Store = (*AuditSequencer)(nil)

// NewAuditSequencer opens sessions of the sequencer's role. Close ends them.
func NewAuditSequencer(ctx context.Context, d *DB) (*AuditSequencer, error) {
	config := d.pool.Config().Copy()
	config.MaxConns, config.MinConns = 2, 0
	config.ConnConfig.RuntimeParams["application_name"] = "bulkhead audit sequencer"
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET ROLE "+auditSequencerRole)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return &AuditSequencer{pool}, Error("db: audit sequencer", err)
}

// Close ends the sessions.
func (s *AuditSequencer) Close() { s.pool.Close() }

// Take takes or renews the lease.
func (s *AuditSequencer) Take(ctx context.Context, holder string, life time.Duration) (epoch int64, err error) {
	err = s.pool.QueryRow(ctx, `UPDATE audit_lease SET epoch = epoch + (holder <> $1)::int, holder = $1, until = clock_timestamp() + $2
		WHERE holder = $1 OR until < clock_timestamp() RETURNING epoch`, holder, life).Scan(&epoch)
	if errs.KindOf(Error("", err)) == wire.NotFound {
		return 0, errs.E(wire.Conflict, "another sequencer has the lease of the audit log")
	}
	return epoch, Error("db: audit lease", err)
}

// Leave gives the lease back; who had it is still named, so that the next epoch is another.
func (s *AuditSequencer) Leave(ctx context.Context, holder string) error {
	_, err := s.pool.Exec(ctx, `UPDATE audit_lease SET until = '-infinity' WHERE holder = $1`, holder)
	return Error("db: audit lease", err)
}

// Backlog tells how many entries wait, up to most.
func (s *AuditSequencer) Backlog(ctx context.Context, most int) (n int, err error) {
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM (SELECT FROM audit_queue LIMIT $1) AS waiting`, most).Scan(&n)
	return n, Error("db: audit queue", err)
}

// Waiting lists entries that have no place, in the order in which they were written.
func (s *AuditSequencer) Waiting(ctx context.Context, limit int, except []ledger.Log) ([]sequencer.Waiting, error) {
	excluded := make([]int64, len(except))
	for i, l := range except {
		excluded[i] = int64(l)
	}
	found, err := list(ctx, s.pool, func(row pgx.CollectableRow) (w sequencer.Waiting, err error) {
		return w, row.Scan(&w.Sequence, &w.Log, &w.Leaf)
	}, `SELECT sequence, log_key, leaf FROM audit_queue q JOIN audit_entry e USING (sequence)
		WHERE log_key <> ALL ($2) ORDER BY sequence LIMIT $1`, limit, excluded)
	return found, Error("db: audit queue", err)
}

// Heads tells how far each log is.
func (s *AuditSequencer) Heads(ctx context.Context) ([]sequencer.Head, error) {
	// The newest place of each log, from one index entry each.
	found, err := list(ctx, s.pool, func(row pgx.CollectableRow) (h sequencer.Head, err error) {
		return h, row.Scan(&h.Log, &h.Placed, &h.Note)
	}, `WITH RECURSIVE log AS (
			SELECT min(log_key) AS key FROM audit_leaf
			UNION ALL SELECT (SELECT min(log_key) FROM audit_leaf WHERE log_key > key) FROM log WHERE key IS NOT NULL
		), known AS (SELECT key FROM log WHERE key IS NOT NULL UNION SELECT log_key FROM audit_checkpoint)
		SELECT key, COALESCE((SELECT max(place) + 1 FROM audit_leaf WHERE log_key = key), 0), COALESCE(note, '')
		FROM known LEFT JOIN audit_checkpoint ON log_key = key`)
	return found, Error("db: audit heads", err)
}

const selectLeaves = `SELECT l.place, COALESCE(l.leaf, e.leaf) FROM audit_leaf l LEFT JOIN audit_entry e USING (sequence)
	WHERE l.log_key = $1 AND l.place >= $2 ORDER BY l.place LIMIT $3`

// Leaves gives the leaves of a log from a place on, up to the first that is missing.
func (s *AuditSequencer) Leaves(ctx context.Context, l ledger.Log, from int64, limit int) ([][]byte, error) {
	return leaves(ctx, s.pool, l, from, limit)
}

func leaves(ctx context.Context, q querier, l ledger.Log, from int64, limit int) (found [][]byte, err error) {
	rows, err := q.Query(ctx, selectLeaves, l, from, limit)
	if err != nil {
		return nil, Error("db: audit leaves", err)
	}
	defer rows.Close()
	for rows.Next() {
		var place int64
		var leaf []byte
		if err := rows.Scan(&place, &leaf); err != nil {
			return nil, Error("db: audit leaves", err)
		}
		if place != from+int64(len(found)) || leaf == nil {
			break
		}
		found = append(found, leaf)
	}
	return found, Error("db: audit leaves", rows.Err())
}

// Hashes gives a tile as it is stored; none where it is not.
func (s *AuditSequencer) Hashes(ctx context.Context, l ledger.Log, level int, place int64) ([]byte, error) {
	return hashes(ctx, s.pool, l, level, place)
}

func hashes(ctx context.Context, q querier, l ledger.Log, level int, place int64) ([]byte, error) {
	text, err := first(ctx, q, pgx.RowTo[[]byte], `SELECT hashes FROM audit_tile WHERE log_key = $1 AND level = $2 AND place = $3`, l, level, place)
	if err = Error("db: audit tile", err); errs.KindOf(err) == wire.NotFound {
		return nil, nil
	}
	return text, err
}

// fenced runs do in a transaction of the lease's newest holder.
func (s *AuditSequencer) fenced(ctx context.Context, epoch int64, do func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var newest int64
		if err := tx.QueryRow(ctx, `SELECT epoch FROM audit_lease FOR UPDATE`).Scan(&newest); err != nil {
			return err
		}
		if newest != epoch {
			return errs.E(wire.Conflict, "another sequencer has taken over the audit log")
		}
		return do(tx)
	})
}

// Place gives entries their places.
func (s *AuditSequencer) Place(ctx context.Context, epoch int64, placements []sequencer.Placement) error {
	return Error("db: audit place", s.fenced(ctx, epoch, func(tx pgx.Tx) error {
		for _, p := range placements {
			if err := place(ctx, tx, p); err != nil {
				return err
			}
		}
		return nil
	}))
}

func place(ctx context.Context, tx pgx.Tx, p sequencer.Placement) error {
	if p.Log == ledger.Logs {
		if _, err := tx.Exec(ctx, `INSERT INTO audit_leaf (log_key, place, leaf)
			SELECT $1, $2 + n - 1, leaf FROM unnest($3::bytea[]) WITH ORDINALITY AS given (leaf, n)`, p.Log, p.First, p.Leaves); err != nil {
			return err
		}
	} else if err := placeEntries(ctx, tx, p); err != nil {
		return err
	}
	levels, places, texts := make([]int16, len(p.Tiles)), make([]int64, len(p.Tiles)), make([][]byte, len(p.Tiles))
	for i, t := range p.Tiles {
		levels[i], places[i], texts[i] = int16(t.Level), t.Place, t.Hashes
	}
	_, err := tx.Exec(ctx, `INSERT INTO audit_tile (log_key, level, place, hashes)
		SELECT $1, level, place, hashes FROM unnest($2::smallint[], $3::bigint[], $4::bytea[]) AS given (level, place, hashes)
		ON CONFLICT (log_key, level, place) DO UPDATE SET hashes = EXCLUDED.hashes`, p.Log, levels, places, texts)
	return err
}

func placeEntries(ctx context.Context, tx pgx.Tx, p sequencer.Placement) error {
	if _, err := tx.Exec(ctx, `INSERT INTO audit_leaf (log_key, place, sequence)
		SELECT $1, $2 + n - 1, sequence FROM unnest($3::bigint[]) WITH ORDINALITY AS given (sequence, n)`, p.Log, p.First, p.Sequences); err != nil {
		return err
	}
	gone, err := tx.Exec(ctx, `DELETE FROM audit_queue WHERE sequence = ANY ($1)`, p.Sequences)
	if err == nil && gone.RowsAffected() != int64(len(p.Sequences)) {
		return errs.E(wire.Conflict, "entries have left the queue of the audit log that nobody placed")
	}
	return err
}

// Publish shows checkpoints, all at once: what the log of the logs tells of another log is never ahead of that.
func (s *AuditSequencer) Publish(ctx context.Context, epoch int64, signed map[ledger.Log]ledger.Checkpoint) error {
	var logs, sizes []int64
	var notes []string
	for l, c := range signed {
		logs, sizes, notes = append(logs, int64(l)), append(sizes, c.Size), append(notes, c.Note)
	}
	return Error("db: audit publish", s.fenced(ctx, epoch, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO audit_checkpoint (log_key, size, note, made_at)
			SELECT log_key, size, note, clock_timestamp() FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS given (log_key, size, note)
			ON CONFLICT (log_key) DO UPDATE SET size = EXCLUDED.size, note = EXCLUDED.note, made_at = EXCLUDED.made_at`, logs, sizes, notes)
		return err
	}))
}
