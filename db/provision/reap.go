package provision

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/db"
	"bulkhead/internal/logkey"
)

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
