package provision

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/db"
	"bulkhead/realms"
)

// Purge removes every installation and all else that a Provisioner has made on the server. It is for servers that are used for
// trying out; the Provisioner is of no use afterwards.
func (p *Provisioner) Purge(ctx context.Context) error {
	placed, err := p.placements(ctx, "")
	if err != nil {
		return db.Error("provision: purge", err)
	}
	for _, one := range placed {
		realm, err := realms.Parse(one.Realm)
		if err != nil {
			return db.Error("provision: purge", err)
		}
		if err := p.Deprovision(ctx, realm); err != nil {
			return db.Error("provision: purge", err)
		}
	}
	return db.Error("provision: purge", p.during(ctx, "template", purgeServer))
}

func purgeServer(ctx context.Context, o *operation) error {
	rows, err := o.conn.Query(ctx, "SELECT name FROM bulkhead.placement_database")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	var roles []string
	for _, name := range names {
		if err := o.dropDatabase(ctx, database{Name: name}); err != nil {
			return err
		}
		roles = append(roles, connectRole(name))
	}
	ingestor, _, err := o.ingestor(ctx)
	if err != nil {
		return err
	}
	return execAll(ctx, o.conn, "DROP ROLE IF EXISTS "+idents(append(roles, ingestor)...),
		"DELETE FROM bulkhead.placement_database", "DELETE FROM bulkhead.placement_server")
}
