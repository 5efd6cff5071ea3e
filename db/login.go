package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Logins keeps logins.
type Logins struct{ db *DB }

var _ account.LoginStore = (*Logins)(nil)

// NewLogins gives the logins of a database.
func NewLogins(d *DB) *Logins { return &Logins{d} }

const loginColumns = `l.id, l.user_key, l.kind, l.level, l.first_at, l.factor_at, l.created_at, l.seen_at, l.expires_at,
	l.address, l.agent, COALESCE(l.provider_key, 0), l.provider_sid, l.id_token`

// loginRow is where a row is read to: times that may be absent, and UTC.
type loginRow struct {
	account.Login
	factor *time.Time
}

func (r *loginRow) fields() []any {
	return []any{&r.ID, &r.User, &r.Kind, &r.Level, &r.FirstAt, &r.factor, &r.CreatedAt, &r.SeenAt, &r.ExpiresAt, &r.Address, &r.Agent, &r.Provider, &r.SID, &r.IDToken}
}

func (r *loginRow) login() account.Login {
	l := r.Login
	l.FirstAt, l.FactorAt, l.CreatedAt, l.SeenAt, l.ExpiresAt = l.FirstAt.UTC(), utc(r.factor), l.CreatedAt.UTC(), l.SeenAt.UTC(), l.ExpiresAt.UTC()
	return l
}

func scanLogin(row pgx.CollectableRow) (account.Login, error) {
	var r loginRow
	err := row.Scan(r.fields()...)
	return r.login(), err
}

func scanLoginRecord(row pgx.CollectableRow) (out account.LoginRecord, err error) {
	var r loginRow
	var hash []byte
	err = row.Scan(append(append(r.fields(), &hash), userFields(&out.Who)...)...)
	copy(out.Hash[:], hash)
	out.Login, out.Who.CreatedAt = r.login(), out.Who.CreatedAt.UTC()
	return out, err
}

// Login finds a login with its user.
func (s *Logins) Login(ctx context.Context, id string) (account.LoginRecord, error) {
	r, err := first(ctx, s.db.pool, scanLoginRecord, `SELECT `+loginColumns+`, l.hash, `+userColumns+userTables+`
		JOIN login l ON l.user_key = p.key WHERE l.id = $1`, id)
	return r, found("login", err)
}

// Logins lists the logins of a user, the newest first.
func (s *Logins) Logins(ctx context.Context, user wire.Key) ([]account.Login, error) {
	list, err := list(ctx, s.db.pool, scanLogin, `SELECT `+loginColumns+` FROM login l WHERE l.user_key = $1 ORDER BY l.created_at DESC, l.id`, user)
	return list, Error("db: logins", err)
}

// InsertLogin keeps a new login, and ends the oldest ones of its level beyond most.
func (s *Logins) InsertLogin(ctx context.Context, r account.LoginRecord, most int, e audit.Entry) (ended []string, err error) {
	err = s.db.change(ctx, e, func(tx pgx.Tx) (err error) {
		_, err = tx.Exec(ctx, `INSERT INTO login (id, user_key, kind, level, hash, first_at, factor_at, created_at, seen_at, expires_at, ends_at,
			address, agent, provider_key, provider_sid, id_token) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULLIF($14::bigint, 0), $15, $16)`,
			r.ID, r.User, r.Kind, r.Level, r.Hash[:], r.FirstAt, null(r.FactorAt), r.CreatedAt, r.SeenAt, r.ExpiresAt, r.Ends(),
			r.Address, r.Agent, r.Provider, r.SID, r.IDToken)
		if err != nil {
			return err
		}
		ended, err = list(ctx, tx, pgx.RowTo[string], `DELETE FROM login WHERE id IN (
			SELECT id FROM login WHERE user_key = $1 AND level = $2 AND id <> $3 ORDER BY created_at DESC OFFSET $4) RETURNING id`,
			r.User, r.Level, r.ID, most-1)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// SeeLogin keeps when a login was used.
func (s *Logins) SeeLogin(ctx context.Context, id string, seen, ends time.Time) error {
	_, err := s.db.pool.Exec(ctx, `UPDATE login SET seen_at = $2, ends_at = LEAST($3, expires_at) WHERE id = $1 AND seen_at < $2`, id, seen, ends)
	return Error("db: login", err)
}

// RaiseLogin uses up what was shown and gives the login its level and its new token.
func (s *Logins) RaiseLogin(ctx context.Context, r account.Raise, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := useUp(ctx, tx, r); err != nil {
			return err
		}
		return raise(ctx, tx, r)
	})
}

// useUp decides in one statement whether a code is used for the first time: of any number at once, one is.
func useUp(ctx context.Context, tx pgx.Tx, r account.Raise) error {
	if r.Step > 0 {
		tag, err := tx.Exec(ctx, `UPDATE user_factor SET last_step = $2 WHERE user_key = $1 AND last_step < $2`, r.Login.User, r.Step)
		return touched(tag, err, account.ErrUsed)
	}
	tag, err := tx.Exec(ctx, `UPDATE recovery_code SET used_at = $3 WHERE user_key = $1 AND hash = $2 AND used_at IS NULL`,
		r.Login.User, r.Recovery[:], r.Login.FactorAt)
	return touched(tag, err, account.ErrUsed)
}

func raise(ctx context.Context, tx pgx.Tx, r account.Raise) error {
	l := r.Login
	tag, err := tx.Exec(ctx, `UPDATE login SET level = $3, hash = $4, factor_at = $5, seen_at = $6, expires_at = $7, ends_at = $8
		WHERE id = $1 AND hash = $2`, l.ID, r.Old[:], l.Level, l.Hash[:], null(l.FactorAt), l.SeenAt, l.ExpiresAt, l.Ends())
	return touched(tag, err, errs.E(wire.Unauthenticated, "the login has another token by now"))
}

// EndLogin ends one login of a user.
func (s *Logins) EndLogin(ctx context.Context, user wire.Key, id string, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM login WHERE id = $1 AND user_key = $2`, id, user)
		return touched(tag, err, missing("login"))
	})
}

// EndLogins ends the logins of a user but one.
func (s *Logins) EndLogins(ctx context.Context, user wire.Key, but string, e audit.Entry) (ended []string, err error) {
	err = s.db.change(ctx, e, func(tx pgx.Tx) (err error) {
		ended, err = endLogins(ctx, tx, user, but)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

func endLogins(ctx context.Context, tx pgx.Tx, user wire.Key, but string) ([]string, error) {
	return list(ctx, tx, pgx.RowTo[string], `DELETE FROM login WHERE user_key = $1 AND id <> $2 RETURNING id`, user, but)
}

// ReapLogins removes logins that have ended of themselves.
func (s *Logins) ReapLogins(ctx context.Context, now time.Time) ([]string, error) {
	ended, err := list(ctx, s.db.pool, pgx.RowTo[string], `DELETE FROM login WHERE ends_at <= $1 RETURNING id`, now)
	return ended, Error("db: reap logins", err)
}

var errTaken = errs.E(wire.Conflict, "this user has a second factor by now: show that one")
