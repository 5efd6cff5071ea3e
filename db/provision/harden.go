package provision

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"
)

// hardening is the version of harden.sql. Raise it with every change there: databases that have an older one are hardened
// again by Maintain.
const hardening = 1

//go:embed harden.sql
var hardenSQL string

// harden closes a database to those who have no right of their own in it. It may be repeated.
func harden(ctx context.Context, conn *pgx.Conn, level Level) error {
	if level != Full {
		_, err := conn.Exec(ctx, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
		return err
	}
	_, err := conn.Exec(ctx, hardenSQL)
	return err
}
