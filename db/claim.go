package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/db/pgerr"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// claimKey names the advisory lock of the one process that changes assets: "bh claim" in ASCII. Migrations have another.
const claimKey = 0x626820636c61696d

// claimWithin is how long an earlier process may take to let go: PostgreSQL notices a killed client in a moment.
const claimWithin = 10 * time.Second

// lockNotAvailable is the SQLSTATE of a lock that was not to be had in the session's lock_timeout.
const lockNotAvailable = "55P03"

// Claim makes this process the only server of the database until release is called, the process ends or its connection is
// lost. Two servers would each repair what the other is at. Kind Conflict where another has it.
func (d *DB) Claim(ctx context.Context) (release func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, d.pool.Config().ConnConfig.Copy())
	if err != nil {
		return nil, Error("db: claim", err)
	}
	ctx, cancel := context.WithTimeout(ctx, claimWithin)
	defer cancel()
	release = func() { _ = conn.Close(context.WithoutCancel(ctx)) } // the lock ends with the connection, however it ends
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(claimKey)); err != nil {
		release()
		if ctx.Err() != nil || pgerr.Is(err, lockNotAvailable) {
			return nil, errs.As(wire.Conflict, err, "another bulkhead server uses this database: stop it, or give this one a database of its own")
		}
		return nil, Error("db: claim", err)
	}
	return release, nil
}
