package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"

	"bulkhead/db/migrations"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

const (
	versionTable = Schema + ".schema_version"
	// migrationLock is the advisory lock that lets one process at a time migrate; any constant that nobody else uses.
	migrationLock = 0x62756c6b68656164 // "bulkhead"
)

// Migrate brings the platform's tables to the version of this binary. Processes that start together wait for each other;
// a database that a newer binary has migrated is refused and left as it is.
func (d *DB) Migrate(ctx context.Context) error {
	return d.migrate(ctx, migrations.Files)
}

func (d *DB) migrate(ctx context.Context, files fs.FS) error {
	// A connection of its own, without the pool's time limits: a migration of a large table may take long.
	config := d.pool.Config().ConnConfig.Copy()
	for _, limit := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		delete(config.RuntimeParams, limit)
	}
	lock, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return Error("db: migrate", err)
	}
	defer lock.Close(context.WithoutCancel(ctx)) // ends the lock too
	if err := prepare(ctx, lock); err != nil {
		return Error("db: migrate", err)
	}
	return Error("db: migrate", d.apply(ctx, config, files))
}

// prepare takes the lock and makes the schema that goose's table needs.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+Schema)
	return err
}

func (d *DB) apply(ctx context.Context, config *pgx.ConnConfig, files fs.FS) error {
	sqlDB := stdlib.OpenDB(*config)
	defer sqlDB.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, sqlDB, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithSlog(d.log))
	if err != nil {
		return err
	}
	if err := refuseNewer(ctx, provider); err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("goose: %w", err)
	}
	for _, r := range results {
		d.log.InfoContext(ctx, "database migrated", logkey.Version, r.Source.Version, logkey.Duration, r.Duration)
	}
	return nil
}

func refuseNewer(ctx context.Context, provider *goose.Provider) error {
	has, err := provider.GetDBVersion(ctx)
	if err != nil && !errors.Is(err, database.ErrVersionNotFound) {
		return err
	}
	sources := provider.ListSources()
	knows := sources[len(sources)-1].Version
	if has > knows {
		return errs.E(wire.Unavailable, "the database has schema version %d and this bulkhead knows up to %d: run the newer bulkhead that migrated it, or restore a backup from before", has, knows)
	}
	return nil
}
