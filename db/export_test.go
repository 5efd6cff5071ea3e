package db

import (
	"context"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"bulkhead/db/migrations"
)

// Meaning gives tests the text of a constraint.
func Meaning(constraint string) string { return meanings[constraint] }

// MigrateTo brings a database to an older version, as an older binary would have.
func (d *DB) MigrateTo(ctx context.Context, version int64) error {
	if _, err := d.pool.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+Schema); err != nil {
		return err
	}
	sqlDB := stdlib.OpenDB(*d.pool.Config().ConnConfig)
	defer sqlDB.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, sqlDB, migrations.Files, goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true), goose.WithSlog(d.log))
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}
