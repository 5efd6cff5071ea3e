package db

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/account"
	"bulkhead/backend/account/factor"
	"bulkhead/backend/audit"
	"bulkhead/wire"
)

// Factor reads a user's second factor.
func (s *Logins) Factor(ctx context.Context, user wire.Key) (f account.FactorRecord, err error) {
	err = s.db.pool.QueryRow(ctx, `SELECT sealed, last_step FROM user_factor WHERE user_key = $1`, user).Scan(&f.Sealed, &f.LastStep)
	return f, found("second factor", err)
}

// PutEnrolment keeps a factor that waits for its first right code, in place of one that waits already.
func (s *Logins) PutEnrolment(ctx context.Context, r account.EnrolmentRecord, e audit.Entry) error {
	return s.db.change(ctx, e, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO user_enrolment (login_id, sealed, replaces, begun_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (login_id) DO UPDATE SET sealed = EXCLUDED.sealed, replaces = EXCLUDED.replaces, begun_at = EXCLUDED.begun_at`,
			r.Login, r.Sealed, r.Replaces, r.BegunAt)
		return err
	})
}

// Enrolment reads the factor that waits.
func (s *Logins) Enrolment(ctx context.Context, login string) (r account.EnrolmentRecord, err error) {
	r.Login = login
	err = s.db.pool.QueryRow(ctx, `SELECT sealed, replaces, begun_at FROM user_enrolment WHERE login_id = $1`, login).Scan(&r.Sealed, &r.Replaces, &r.BegunAt)
	return r, found("enrolment", err)
}

// Enrol makes the factor that waits the user's. The user's row is locked, so that of two logins that enrol at once the
// second one sees what the first has done.
func (s *Logins) Enrol(ctx context.Context, r account.Raise, f account.FactorRecord, codes []factor.RecoveryHash, e audit.Entry) (ended []string, err error) {
	err = s.db.change(ctx, e, func(tx pgx.Tx) (err error) {
		if err := takeEnrolment(ctx, tx, r.Login); err != nil {
			return err
		}
		if err := putFactor(ctx, tx, r.Login, f, codes); err != nil {
			return err
		}
		if err := raise(ctx, tx, r); err != nil {
			return err
		}
		ended, err = endLogins(ctx, tx, r.Login.User, r.Login.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

func takeEnrolment(ctx context.Context, tx pgx.Tx, l account.LoginRecord) error {
	if _, err := tx.Exec(ctx, `SELECT FROM app_user WHERE key = $1 FOR UPDATE`, l.User); err != nil {
		return err
	}
	var replaces, has bool
	err := tx.QueryRow(ctx, `DELETE FROM user_enrolment WHERE login_id = $1
		RETURNING replaces, EXISTS (SELECT FROM user_factor WHERE user_key = $2)`, l.ID, l.User).Scan(&replaces, &has)
	switch {
	case err != nil:
		return found("enrolment", err)
	case has && !replaces:
		return errTaken
	default:
		return nil
	}
}

func putFactor(ctx context.Context, tx pgx.Tx, l account.LoginRecord, f account.FactorRecord, codes []factor.RecoveryHash) error {
	if _, err := tx.Exec(ctx, `DELETE FROM user_factor WHERE user_key = $1`, l.User); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO user_factor (user_key, sealed, last_step, enrolled_at) VALUES ($1, $2, $3, $4)`, l.User, f.Sealed, f.LastStep, l.FactorAt)
	if err != nil {
		return err
	}
	hashes := make([][]byte, len(codes))
	for i := range codes {
		hashes[i] = codes[i][:]
	}
	_, err = tx.Exec(ctx, `INSERT INTO recovery_code (user_key, hash) SELECT $1, unnest($2::bytea[])`, l.User, hashes)
	return err
}
