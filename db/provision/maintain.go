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

// Serve keeps all installations until ctx ends: it calls Maintain and Reap, and logs what fails. Tenants can have Maintain
// wait for their sessions, which it is for Reap to end: neither waits for the other.
func (p *Provisioner) Serve(ctx context.Context) {
	p.serve(ctx, job{"maintain", maintainEvery, p.Maintain}, job{"reap", reapEvery, p.Reap})
}

// job is something that is done again and again.
type job struct {
	op    string
	every time.Duration
	do    func(context.Context) error
}

func (p *Provisioner) serve(ctx context.Context, jobs ...job) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, j := range jobs {
		all.Go(func() {
			tick := time.NewTicker(j.every)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					p.report(ctx, j.op, j.do(ctx))
				}
			}
		})
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
	failed := []error{p.Reconcile(ctx)}
	placed, err := p.placements(ctx, "WHERE p.state = 'ready' ORDER BY p.database_name, p.realm")
	if err != nil {
		return db.Error("provision: maintain", errors.Join(append(failed, err)...))
	}
	work := make(chan placement)
	var all sync.WaitGroup
	var mu sync.Mutex // guards failed
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

// How long upkeep waits for a table that somebody uses, and makes others wait behind it. Who uses one table of an installation
// for long may use them all, and the other installations wait for this one.
const (
	maintainLockTimeout = "2s"
	nextLockTimeout     = "50ms"
)

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
		err := p.upkeep(ctx, conn, placed, t)
		if err == nil {
			continue
		}
		failed = append(failed, fmt.Errorf("table %s: %w", t.Name, err))
		if pgerr.Is(err, pgerr.LockNotAvailable) {
			_, err := conn.Exec(ctx, "SET lock_timeout = "+literal(nextLockTimeout))
			failed = append(failed, err)
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
