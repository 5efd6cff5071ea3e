package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/db"
	"bulkhead/db/pgerr"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
)

// How often Serve does what.
const (
	maintainEvery = 5 * time.Minute
	reapEvery     = 10 * time.Second
)

// Serve keeps all installations until ctx ends: it calls Maintain and Reap, and logs what fails.
func (p *Provisioner) Serve(ctx context.Context) {
	maintain, reap := time.NewTicker(maintainEvery), time.NewTicker(reapEvery)
	defer maintain.Stop()
	defer reap.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-maintain.C:
			p.report(ctx, "maintain", p.Maintain(ctx))
		case <-reap.C:
			p.report(ctx, "reap", p.Reap(ctx))
		}
	}
}

func (p *Provisioner) report(ctx context.Context, op string, err error) {
	if err != nil && ctx.Err() == nil {
		p.config.Logger.WarnContext(ctx, "upkeep of data backends is incomplete and will be repeated", logkey.Op, op, logkey.Error, err)
	}
}

// Maintain does for every installation what time asks for: partitions ahead, the end of rows that are old enough, columns
// in place of rows; hardens databases again where ours has become stricter; and puts back what logins changed about
// themselves. What fails for one installation is reported and holds up no other.
func (p *Provisioner) Maintain(ctx context.Context) error {
	if err := p.Reconcile(ctx); err != nil {
		return err
	}
	placed, err := p.placements(ctx, "WHERE p.state = 'ready' ORDER BY p.database_name, p.realm")
	if err != nil {
		return db.Error("provision: maintain", err)
	}
	work := make(chan placement)
	var all sync.WaitGroup
	var mu sync.Mutex // guards failed
	var failed []error
	for range parallel {
		all.Go(func() {
			for one := range work {
				if err := p.maintainOne(ctx, one); err != nil {
					mu.Lock()
					failed = append(failed, errs.Wrap(one.Realm, err))
					mu.Unlock()
				}
			}
		})
	}
	for _, one := range placed {
		work <- one
	}
	close(work)
	all.Wait()
	return db.Error("provision: maintain", errors.Join(failed...))
}

// maintainLockTimeout is how long upkeep waits for a table that somebody uses, and makes others wait behind it.
const maintainLockTimeout = "2s"

func (p *Provisioner) maintainOne(ctx context.Context, placed placement) error {
	conn, err := p.connect(ctx, placed.Database.Name)
	if err != nil {
		return p.unlessGone(ctx, placed, err)
	}
	defer disconnect(ctx, conn)
	if _, err := conn.Exec(ctx, "SET lock_timeout = "+literal(maintainLockTimeout)); err != nil {
		return err
	}
	var failed []error
	if placed.Database.Hardened < hardening {
		failed = append(failed, p.hardenAgain(ctx, conn, placed.Database))
	}
	for _, t := range placed.Shape.Tables {
		if err := p.upkeep(ctx, conn, placed, t); err != nil {
			failed = append(failed, fmt.Errorf("table %s: %w", t.Name, err))
		}
	}
	return p.unlessGone(ctx, placed, errors.Join(failed...))
}

// upkeep keeps out others who do the same: two servers may run on one database.
func (p *Provisioner) upkeep(ctx context.Context, conn *pgx.Conn, placed placement, t table) error {
	var mine bool
	lock := "bulkhead upkeep " + placed.Schema + "." + t.Name
	err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", lock).Scan(&mine)
	if err != nil || !mine {
		return err
	}
	err = p.keeper(placed.Database).upkeep(ctx, conn, placed.installation(), t)
	_, errUnlock := conn.Exec(ctx, "SELECT pg_advisory_unlock(hashtextextended($1, 0))", lock)
	return errors.Join(err, errUnlock)
}

// unlessGone forgives what failed because the installation is being removed.
func (p *Provisioner) unlessGone(ctx context.Context, placed placement, err error) error {
	if err == nil {
		return nil
	}
	still, errFind := p.placements(ctx, "WHERE p.realm = $1 AND p.state = 'ready'", placed.Realm)
	if errFind == nil && len(still) == 0 {
		return nil
	}
	return err
}

func (p *Provisioner) hardenAgain(ctx context.Context, conn *pgx.Conn, d database) error {
	if err := harden(ctx, conn, p.level); err != nil {
		return err
	}
	_, err := p.config.DB.Pool().Exec(ctx, "UPDATE bulkhead.placement_database SET hardened = $2 WHERE name = $1 AND hardened < $2", d.Name, hardening)
	return err
}

// Limits of a tenant's session. The server's own time limits can be lifted by the session, so these are enforced from outside.
const (
	maxQuery       = 5 * time.Minute
	maxTransaction = 10 * time.Minute
	maxIdleInTx    = 2 * time.Minute
)

// Reap ends sessions of tenants' logins that hold the server's resources for too long.
func (p *Provisioner) Reap(ctx context.Context) error {
	return db.Error("provision: reap", p.reap(ctx, maxQuery, maxTransaction, maxIdleInTx))
}

func (p *Provisioner) reap(ctx context.Context, query, transaction, idle time.Duration) error {
	rows, err := p.config.DB.Pool().Query(ctx, `
		SELECT a.usename::text, a.pid FROM pg_stat_activity a JOIN bulkhead.placement_login l ON l.role = a.usename
		WHERE a.state = 'active' AND clock_timestamp() - a.query_start > $1
			OR clock_timestamp() - a.xact_start > $2
			OR a.state LIKE 'idle in transaction%' AND clock_timestamp() - a.state_change > $3`, query, transaction, idle)
	if err != nil {
		return err
	}
	var role string
	var pid int
	var failed []error
	var pids []int
	_, err = pgx.ForEachRow(rows, []any{&role, &pid}, func() error {
		p.config.Logger.WarnContext(ctx, "ending a tenant's session that takes too long", logkey.Role, role, logkey.PID, pid)
		pids = append(pids, pid)
		return nil
	})
	for _, pid := range pids {
		_, err := p.config.DB.Pool().Exec(ctx, "SELECT pg_terminate_backend($1)", pid)
		failed = append(failed, err)
	}
	return errors.Join(append(failed, err)...)
}

// Reconcile puts back what a login can change about itself: its password and its settings. Without a superuser's rights
// the server does not show them, and they are left.
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
		for _, c := range changed {
			if err := o.restore(ctx, c); err != nil && !pgerr.Is(err, pgerr.UndefinedObject) {
				return err
			}
		}
		return nil
	})
	return db.Error("provision: reconcile", err)
}

type changedLogin struct {
	Role     string
	Verifier *string
}

func (o *operation) restore(ctx context.Context, c changedLogin) error {
	o.config.Logger.WarnContext(ctx, "a login changed its password or settings, putting them back", logkey.Role, c.Role)
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
		if err := execAll(ctx, tx, "ALTER ROLE "+role+" PASSWORD "+password, "ALTER ROLE "+role+" RESET ALL"); err != nil {
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
