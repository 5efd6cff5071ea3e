package db

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/wire"
)

// Users keeps users and their passwords.
type Users struct{ db *DB }

var _ account.UserStore = (*Users)(nil)

// NewUsers gives the users of a database.
func NewUsers(d *DB) *Users { return &Users{d} }

const (
	userColumns = `p.key, p.name, u.issuer, u.subject, u.email, COALESCE(u.provider_key, 0), COALESCE(u.project_key, 0),
		p.owner, p.suspended, f.user_key IS NOT NULL, p.created_at`
	userTables  = ` FROM principal p JOIN app_user u ON u.key = p.key LEFT JOIN user_factor f ON f.user_key = p.key`
	selectUsers = `SELECT ` + userColumns + userTables
)

func userFields(u *account.User) []any {
	return []any{&u.Key, &u.Name, &u.Issuer, &u.Subject, &u.Email, &u.Provider, &u.Project, &u.Owner, &u.Suspended, &u.Enrolled, &u.CreatedAt}
}

func scanUser(row pgx.CollectableRow) (u account.User, err error) {
	err = row.Scan(userFields(&u)...)
	u.CreatedAt = u.CreatedAt.UTC()
	return u, err
}

func scanLocalUser(row pgx.CollectableRow) (u account.LocalUser, err error) {
	err = row.Scan(append(userFields(&u.User), &u.PasswordHash)...)
	u.CreatedAt = u.CreatedAt.UTC()
	return u, err
}

// LocalUser finds an account of this server by the name to log in with.
func (s *Users) LocalUser(ctx context.Context, name string) (account.LocalUser, error) {
	u, err := first(ctx, s.db.pool, scanLocalUser, `SELECT `+userColumns+`, COALESCE(w.hash, '')`+userTables+`
		LEFT JOIN user_password w ON w.user_key = p.key WHERE u.issuer = $1 AND u.subject = $2`, account.LocalIssuer, name)
	return u, found("user", err)
}

// UserBySubject finds a user of the platform or else of a project by who it is.
func (s *Users) UserBySubject(ctx context.Context, project wire.Key, issuer, subject string) (account.User, error) {
	u, err := first(ctx, s.db.pool, scanUser, selectUsers+` WHERE u.issuer = $1 AND u.subject = $2 AND COALESCE(u.project_key, 0) IN (0, $3)
		ORDER BY u.project_key NULLS FIRST LIMIT 1`, issuer, subject, project)
	return u, found("user", err)
}

// User finds a user by its key.
func (s *Users) User(ctx context.Context, key wire.Key) (account.User, error) {
	u, err := first(ctx, s.db.pool, scanUser, selectUsers+` WHERE p.key = $1`, key)
	return u, found("user", err)
}

// FindUsers gives at most two users that text may mean.
func (s *Users) FindUsers(ctx context.Context, text string) ([]account.User, error) {
	found, err := list(ctx, s.db.pool, scanUser, selectUsers+`
		WHERE p.key::text = $1 OR (u.issuer = 'local' AND u.subject = $1) OR p.name = $1 OR (u.email = $1 AND $1 <> '')
		ORDER BY p.key::text = $1 DESC, u.issuer = 'local' AND u.subject = $1 DESC, u.project_key IS NOT NULL, p.key LIMIT 2`, text)
	return found, Error("db: users", err)
}

// Users lists users in the order of their keys.
func (s *Users) Users(ctx context.Context, after wire.Key, limit int) ([]account.User, error) {
	found, err := list(ctx, s.db.pool, scanUser, selectUsers+` WHERE p.key > $1 ORDER BY p.key LIMIT $2`, after, limit)
	return found, Error("db: users", err)
}

// InsertUser keeps a new user.
func (s *Users) InsertUser(ctx context.Context, u account.User, hash string, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		if err := holdProvider(ctx, tx, u.Provider); err != nil {
			return err
		}
		if err := insertPrincipal(ctx, tx, u.Holder(), u.CreatedAt); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO app_user (key, issuer, subject, email, provider_key, project_key)
			VALUES ($1, $2, $3, $4, NULLIF($5::bigint, 0), NULLIF($6::bigint, 0))`, u.Key, u.Issuer, u.Subject, u.Email, u.Provider, u.Project)
		if err != nil || hash == "" {
			return err
		}
		return putPassword(ctx, tx, u.Key, hash, u.CreatedAt)
	})
}

// holdProvider refuses users beyond those that a provider may make. Those who come at once wait for each other.
func holdProvider(ctx context.Context, tx pgx.Tx, provider wire.Key) error {
	var most int
	err := tx.QueryRow(ctx, `SELECT max_users FROM provider WHERE key = $1 FOR NO KEY UPDATE`, provider).Scan(&most)
	if errors.Is(err, pgx.ErrNoRows) { // of this server itself, or of a provider that is gone, by which nobody logs in again
		return nil
	}
	if err != nil {
		return err
	}
	var full bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM app_user WHERE provider_key = $1 OFFSET $2)`, provider, most-1).Scan(&full)
	if err == nil && full {
		return account.ErrFull
	}
	return err
}

func putPassword(ctx context.Context, tx pgx.Tx, user wire.Key, hash string, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO user_password (user_key, hash, changed_at) VALUES ($1, $2, $3)
		ON CONFLICT (user_key) DO UPDATE SET hash = EXCLUDED.hash, changed_at = EXCLUDED.changed_at`, user, hash, at)
	return err
}

// SetUser keeps whether a user is an owner and whether it is suspended.
func (s *Users) SetUser(ctx context.Context, key wire.Key, owner, suspended bool, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE principal SET owner = $2, suspended = $3, revision = revision + 1 WHERE key = $1 AND kind = 'user'`, key, owner, suspended)
		return touched(tag, err, missing("user"))
	})
}

// SetPassword keeps the hash of a new password.
func (s *Users) SetPassword(ctx context.Context, key wire.Key, hash string, at time.Time, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error { return putPassword(ctx, tx, key, hash, at) })
}

// DropFactor removes a user's second factor and its recovery codes.
func (s *Users) DropFactor(ctx context.Context, key wire.Key, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM user_factor WHERE user_key = $1`, key)
		return touched(tag, err, missing("second factor"))
	})
}
