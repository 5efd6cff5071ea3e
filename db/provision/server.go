package provision

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
)

// Level is how far isolation goes on a server.
type Level string

// The levels.
const (
	// Full is what the probe's table of hardened servers shows. It needs a superuser.
	Full Level = "full"
	// Compat is what a server gives on which we are no superuser: catalogs and functions that show other tenants stay open.
	Compat Level = "compat"
)

// Level tells how far isolation goes on this server.
func (p *Provisioner) Level() Level { return p.level }

// setUp makes what all installations on the server share.
func (p *Provisioner) setUp(ctx context.Context, o *operation) error {
	var super bool
	if err := o.conn.QueryRow(ctx, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&super); err != nil {
		return err
	}
	p.level = Full
	if !super {
		p.level = Compat
		p.config.Logger.WarnContext(ctx, "the database login is no superuser: tenants' rows are kept apart, and names and activity can be seen across tenants")
	}
	if err := o.closeServer(ctx); err != nil {
		return err
	}
	return o.ensureIngestor(ctx)
}

// closeServer keeps everybody without an explicit right out of the databases that are not a tenant's.
func (o *operation) closeServer(ctx context.Context) error {
	rows, err := o.conn.Query(ctx, `SELECT datname FROM pg_database WHERE datname IN ('postgres', 'template1', current_database())
		AND (datacl IS NULL OR EXISTS (SELECT FROM aclexplode(datacl) WHERE grantee = 0))
		AND pg_has_role(datdba, 'USAGE')`)
	if err != nil {
		return err
	}
	open, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range open {
		if _, err := o.conn.Exec(ctx, "REVOKE ALL ON DATABASE "+ident(name)+" FROM PUBLIC"); err != nil {
			return err
		}
		o.config.Logger.InfoContext(ctx, "database closed to all without a right of their own", logkey.Database, name)
	}
	return nil
}

// ensureIngestor makes the login that writes for all installations, once. It has no right of its own: each batch takes the
// role of one installation.
func (o *operation) ensureIngestor(ctx context.Context) error {
	var exists bool
	err := o.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM bulkhead.placement_server)").Scan(&exists)
	if err != nil || exists {
		return err
	}
	role, password := drawName()+"_ingestor", secret.Random()
	v, err := verifier(password)
	if err != nil {
		return err
	}
	sealed, err := o.config.Keys.Seal(password, sealContext(role))
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "CREATE ROLE "+ident(role)+" LOGIN NOINHERIT PASSWORD "+literal(v)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO bulkhead.placement_server (ingestor, ingestor_sealed, ingestor_verifier) VALUES ($1, $2, $3)", role, sealed, v)
		return err
	})
}

// ingestor reads who writes for all installations.
func (p *Provisioner) ingestor(ctx context.Context) (role string, password secret.Value, err error) {
	var sealed []byte
	err = p.config.DB.Pool().QueryRow(ctx, "SELECT ingestor, ingestor_sealed FROM bulkhead.placement_server").Scan(&role, &sealed)
	if err != nil {
		return "", secret.Value{}, err
	}
	password, err = p.config.Keys.Open(sealed, sealContext(role))
	return role, password, err
}

// sealContext binds a sealed password to its role, so that a row cannot be given another's.
func sealContext(role string) string { return "database login " + role }
