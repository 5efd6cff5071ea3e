package provision

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"bulkhead/db"
	"bulkhead/db/pgerr"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
)

// Reconcile puts back what a login can change about itself: its password and its settings. Without a superuser's rights
// the server does not show them, and they are left. What fails for one login is reported and holds up no other.
func (p *Provisioner) Reconcile(ctx context.Context) error {
	if p.level != Full {
		return nil
	}
	err := p.during(ctx, "reconcile", func(ctx context.Context, o *operation) error {
		rows, err := o.conn.Query(ctx, `
			SELECT l.role, l.verifier FROM bulkhead.placement_login l JOIN pg_authid a ON a.rolname = l.role
			LEFT JOIN pg_db_role_setting own ON own.setrole = a.oid AND own.setdatabase = 0
			WHERE a.rolpassword IS DISTINCT FROM l.verifier OR cardinality(own.setconfig) IS DISTINCT FROM $1
				OR NOT own.setconfig @> $2::text[] OR EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setrole = a.oid AND s.setdatabase <> 0)`,
			len(loginSettings)+len(superuserSettings), settingList())
		if err != nil {
			return err
		}
		changed, err := pgx.CollectRows(rows, pgx.RowToStructByPos[changedLogin])
		if err != nil {
			return err
		}
		var failed []error
		for _, c := range changed {
			if err := o.restore(ctx, c); err != nil && !pgerr.Is(err, pgerr.UndefinedObject) {
				failed = append(failed, errs.Wrap(c.Role, err))
			}
		}
		return errors.Join(failed...)
	})
	return db.Error("provision: reconcile", err)
}

type changedLogin struct {
	Role     string
	Verifier *string
}

// restoreLockTimeout is how long a login's own transactions may hold up that it is put back. Then its sessions are ended.
const restoreLockTimeout = "1s"

// restore puts a login back. A session of its own can be in the middle of changing it, and stay there.
func (o *operation) restore(ctx context.Context, c changedLogin) error {
	o.config.Logger.WarnContext(ctx, "a login changed its password or settings, putting them back", logkey.Role, c.Role)
	err := o.tryRestore(ctx, c)
	if err == nil || pgerr.Is(err, pgerr.UndefinedObject) || ctx.Err() != nil {
		return err
	}
	o.config.Logger.WarnContext(ctx, "ending the sessions of a login that cannot be put back", logkey.Role, c.Role, logkey.Error, err)
	if err := execAll(ctx, o.conn, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = "+literal(c.Role)); err != nil {
		return err
	}
	return o.tryRestore(ctx, c)
}

func (o *operation) tryRestore(ctx context.Context, c changedLogin) error {
	password := "NULL"
	if c.Verifier != nil {
		password = literal(*c.Verifier)
	}
	rows, err := o.conn.Query(ctx, `SELECT d.datname::text FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
		WHERE s.setrole = (SELECT oid FROM pg_roles WHERE rolname = $1)`, c.Role)
	if err != nil {
		return err
	}
	databases, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		role := ident(c.Role)
		if err := execAll(ctx, tx, "SET LOCAL lock_timeout = "+literal(restoreLockTimeout), "ALTER ROLE "+role+" PASSWORD "+password, "ALTER ROLE "+role+" RESET ALL"); err != nil {
			return err
		}
		for _, d := range databases {
			if err := execAll(ctx, tx, "ALTER ROLE "+role+" IN DATABASE "+ident(d)+" RESET ALL"); err != nil {
				return err
			}
		}
		return o.applySettings(ctx, tx, c.Role)
	})
}

func settingList() []string {
	var list []string
	for _, some := range []map[string]string{loginSettings, superuserSettings} {
		for name, value := range some {
			list = append(list, name+"="+value)
		}
	}
	return list
}
