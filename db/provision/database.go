package provision

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/logkey"
)

// ensureDatabase makes a placement's database where it is missing and hardens it where it is not yet.
func (o *operation) ensureDatabase(ctx context.Context, d database) (database, error) {
	if d.Hardened >= hardening {
		return d, nil
	}
	if d.Purpose == purposeShared {
		if err := o.lock(ctx, "shared database"); err != nil {
			return d, err
		}
	}
	template, err := o.ensureTemplate(ctx)
	if err != nil {
		return d, err
	}
	if err := o.createDatabase(ctx, d.Name, template.Name); err != nil {
		return d, err
	}
	d.Hardened, d.Timescale = template.Hardened, template.Timescale
	return d, o.openDatabase(ctx, d)
}

// createDatabase copies the template, closed to all until its rights are set.
func (o *operation) createDatabase(ctx context.Context, name, template string) error {
	var exists bool
	err := o.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = o.conn.Exec(ctx, "CREATE DATABASE "+ident(name)+" TEMPLATE "+ident(template)+" ALLOW_CONNECTIONS false")
	return err
}

// openDatabase sets who may connect, lets them, and writes down that the database may be used.
func (o *operation) openDatabase(ctx context.Context, d database) error {
	ingestor, _, err := o.ingestor(ctx)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		connect, name := connectRole(d.Name), ident(d.Name)
		if err := o.ensureRole(ctx, tx, connect, "NOLOGIN"); err != nil {
			return err
		}
		if err := execAll(ctx, tx,
			"REVOKE ALL ON DATABASE "+name+" FROM PUBLIC",
			"GRANT CONNECT ON DATABASE "+name+" TO "+idents(connect, ingestor),
			"ALTER DATABASE "+name+" ALLOW_CONNECTIONS true",
		); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE bulkhead.placement_database SET hardened = $2, timescale = $3 WHERE name = $1", d.Name, d.Hardened, d.Timescale)
		return err
	})
}

// ensureTemplate makes the database that others copy: hardening one takes longer than copying one.
func (o *operation) ensureTemplate(ctx context.Context) (database, error) {
	if err := o.lock(ctx, "template"); err != nil {
		return database{}, err
	}
	d, err := o.chooseTemplate(ctx)
	if err != nil || d.Hardened == hardening {
		return d, err
	}
	if err := o.createTemplate(ctx, d.Name); err != nil {
		return d, err
	}
	if d.Timescale, err = o.hardenTemplate(ctx, d.Name); err != nil {
		return d, err
	}
	// Nobody may be connected to what is copied; a scheduler of TimescaleDB would be.
	if err := execAll(ctx, o.conn, "ALTER DATABASE "+ident(d.Name)+" ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = "+literal(d.Name)); err != nil {
		return d, err
	}
	d.Hardened = hardening
	_, err = o.conn.Exec(ctx, "UPDATE bulkhead.placement_database SET hardened = $2, timescale = $3 WHERE name = $1", d.Name, d.Hardened, d.Timescale)
	return d, err
}

// chooseTemplate finds the template of this version of our hardening; one of an older version is dropped.
func (o *operation) chooseTemplate(ctx context.Context) (database, error) {
	var d database
	err := o.conn.QueryRow(ctx, "SELECT name, purpose, hardened, timescale FROM bulkhead.placement_database WHERE purpose = 'template'").
		Scan(&d.Name, &d.Purpose, &d.Hardened, &d.Timescale)
	stale := err == nil && (d.Hardened > 0 && d.Hardened < hardening || d.Timescale && o.config.NoTimescale)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) || err == nil && !stale {
		return d, err
	}
	if stale {
		if err := o.dropDatabase(ctx, d); err != nil {
			return d, err
		}
	}
	d = database{Name: drawName(), Purpose: purposeTemplate}
	err = pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM bulkhead.placement_database WHERE purpose = 'template'"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO bulkhead.placement_database (name, purpose) VALUES ($1, $2)", d.Name, d.Purpose)
		return err
	})
	return d, err
}

// createTemplate begins with nothing: what a crash left half-made is dropped.
func (o *operation) createTemplate(ctx context.Context, name string) error {
	if err := o.dropDatabase(ctx, database{Name: name}); err != nil {
		return err
	}
	if _, err := o.conn.Exec(ctx, "CREATE DATABASE "+ident(name)+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
		return err
	}
	_, err := o.conn.Exec(ctx, "REVOKE ALL ON DATABASE "+ident(name)+" FROM PUBLIC")
	return err
}

// hardenTemplate closes the template and tells whether it has TimescaleDB.
func (o *operation) hardenTemplate(ctx context.Context, name string) (timescale bool, err error) {
	conn, err := o.connect(ctx, name)
	if err != nil {
		return false, err
	}
	defer disconnect(ctx, conn)
	if !o.config.NoTimescale {
		timescale, err = o.tryTimescale(ctx, conn)
		if err != nil {
			return false, err
		}
	}
	return timescale, harden(ctx, conn, o.level)
}

// tryTimescale takes TimescaleDB into use where the server offers it and has it loaded.
func (o *operation) tryTimescale(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var offered bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
		AND current_setting('shared_preload_libraries') ~ '\mtimescaledb\M'`).Scan(&offered)
	if err != nil || !offered {
		return false, err
	}
	if _, err := conn.Exec(ctx, "CREATE EXTENSION timescaledb SCHEMA public"); err != nil {
		o.config.Logger.WarnContext(ctx, "TimescaleDB is offered and cannot be used, tables get native partitions", logkey.Error, err)
		return false, ctx.Err()
	}
	return true, nil
}

// dropDatabase removes a database with whoever is connected to it.
func (o *operation) dropDatabase(ctx context.Context, d database) error {
	o.pools.forget(d.Name)
	_, err := o.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+ident(d.Name)+" WITH (FORCE)")
	return err
}
