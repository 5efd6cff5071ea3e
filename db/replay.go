package db

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Replays keeps the sealed answers to requests that carried an Idempotency-Key.
type Replays struct{ db *DB }

// NewReplays gives the replays of a database.
func NewReplays(d *DB) *Replays { return &Replays{d} }

// Begin takes (principal, key) for a request at a time, and gives nil. Where the same request has been answered since
// fresh, it gives the sealed answer. Kind Conflict while the same request is being done, unless it began before stalled:
// then its process has died and the request is done again. Kind Invalid for another request with the key.
func (p *Replays) Begin(ctx context.Context, principal, key string, fingerprint []byte, at, fresh, stalled time.Time) (sealed []byte, err error) {
	err = p.db.InTx(ctx, func(tx pgx.Tx) error {
		// Answers that are too old go first, some of them on each request, so that nothing else has to sweep.
		if _, err := tx.Exec(ctx, `DELETE FROM replay WHERE (principal, key) IN
			(SELECT principal, key FROM replay WHERE begun_at < $1 ORDER BY begun_at LIMIT 100 FOR UPDATE SKIP LOCKED)`, fresh); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO replay (principal, key, fingerprint, begun_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			principal, key, fingerprint, at)
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		sealed, err = p.earlier(ctx, tx, principal, key, fingerprint, at, stalled)
		return err
	})
	return sealed, Error("db: idempotency", err)
}

func (p *Replays) earlier(ctx context.Context, tx pgx.Tx, principal, key string, fingerprint []byte, at, stalled time.Time) ([]byte, error) {
	var same, sealed []byte
	var begun time.Time
	err := tx.QueryRow(ctx, `SELECT fingerprint, begun_at, sealed FROM replay WHERE principal = $1 AND key = $2 FOR UPDATE`, principal, key).Scan(&same, &begun, &sealed)
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(same, fingerprint):
		return nil, errs.E(wire.Invalid, "the Idempotency-Key was used for another request: use a new one")
	case sealed != nil:
		return sealed, nil
	case begun.After(stalled):
		return nil, errs.E(wire.Conflict, "a request with this Idempotency-Key is being done: wait for its answer")
	}
	_, err = tx.Exec(ctx, `UPDATE replay SET begun_at = $3 WHERE principal = $1 AND key = $2`, principal, key, at)
	return nil, err
}

// Finish keeps the sealed answer.
func (p *Replays) Finish(ctx context.Context, principal, key string, sealed []byte) error {
	_, err := p.db.pool.Exec(ctx, `UPDATE replay SET sealed = $3 WHERE principal = $1 AND key = $2`, principal, key, sealed)
	return Error("db: idempotency", err)
}

// Abandon forgets a request that has no answer to repeat.
func (p *Replays) Abandon(ctx context.Context, principal, key string) error {
	_, err := p.db.pool.Exec(ctx, `DELETE FROM replay WHERE principal = $1 AND key = $2 AND sealed IS NULL`, principal, key)
	return Error("db: idempotency", err)
}
