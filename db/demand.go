package db

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/audit"
	"bulkhead/wire"
)

// isAdmitted holds for rows x of a project and a principal where the project demands no provider, or that of the user.
// Service accounts are no users: who makes them is.
const isAdmitted = `NOT EXISTS (SELECT FROM project_demand d JOIN app_user u ON u.key = x.principal_key
	WHERE d.project_key = x.project_key AND u.provider_key IS DISTINCT FROM d.provider_key)`

// admitted gives those rows of a query that count.
func admitted(query, where string) string {
	return `SELECT * FROM (` + query + `) x WHERE ` + isAdmitted + strings.Replace(where, " WHERE ", " AND ", 1)
}

// Demand tells the provider that a project demands; 0: none.
func (p *Privileges) Demand(ctx context.Context, project wire.Key) (provider wire.Key, err error) {
	err = p.db.pool.QueryRow(ctx, `SELECT COALESCE((SELECT provider_key FROM project_demand WHERE project_key = $1), 0)`, project).Scan(&provider)
	return provider, Error("db: demanded provider", err)
}

// SetDemand keeps the provider that a project demands; 0: none. It is kind Conflict where no owner would be left.
func (p *Privileges) SetDemand(ctx context.Context, project, provider wire.Key, expected int64, e audit.Entry) error {
	return p.changing(ctx, project, expected, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM project_demand WHERE project_key = $1`, project)
		if err == nil && provider.Valid() {
			_, err = tx.Exec(ctx, `INSERT INTO project_demand (project_key, provider_key) VALUES ($1, $2)`, project, provider)
		}
		if err != nil {
			return err
		}
		if err := keepsOwner(ctx, tx, project, "no owner of the project logs in with this provider: hand the project over to one who does first"); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
}
