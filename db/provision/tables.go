package provision

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
)

// keeper is how a database keeps the rows of a table apart by time.
type keeper interface {
	// create makes an empty table that is owned by the installation's owner.
	create(ctx context.Context, tx pgx.Tx, s installation, t table) error
	// adjust takes over what a new version of the template says about how rows are kept.
	adjust(ctx context.Context, tx pgx.Tx, s installation, t table) error
	// upkeep does what time asks for: room ahead, the end of old rows, columns in place of rows.
	upkeep(ctx context.Context, conn *pgx.Conn, s installation, t table) error
	// drop removes a table with however many parts it has.
	drop(ctx context.Context, conn *pgx.Conn, s installation, t table) error
}

// installation is what DDL must know of a placement.
type installation struct {
	schema string
	owner  string
}

func (p placement) installation() installation {
	return installation{schema: p.Schema, owner: ownerRole(p.Schema)}
}

func (p *Provisioner) keeper(d database) keeper {
	if d.Timescale {
		return timescale{now: p.config.Now}
	}
	return native{now: p.config.Now}
}

// ensureTables makes an installation's schema with its tables in one transaction.
func (o *operation) ensureTables(ctx context.Context, p placement) error {
	return o.in(ctx, p.Database.Name, func(tx pgx.Tx) error {
		var done bool
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", p.Schema).Scan(&done)
		if err != nil || done {
			return err
		}
		s := p.installation()
		if err := execAll(ctx, tx,
			"CREATE SCHEMA "+ident(s.schema)+" AUTHORIZATION "+ident(s.owner),
			"GRANT USAGE ON SCHEMA "+ident(s.schema)+" TO "+idents(rwRole(s.schema), roRole(s.schema)),
		); err != nil {
			return err
		}
		for _, t := range p.Shape.Tables {
			if err := o.createTable(ctx, tx, p, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *operation) createTable(ctx context.Context, tx pgx.Tx, p placement, t table) error {
	s := p.installation()
	if err := o.keeper(p.Database).create(ctx, tx, s, t); err != nil {
		return err
	}
	name := ident(s.schema, t.Name)
	return execAll(ctx, tx,
		"GRANT SELECT, INSERT ON "+name+" TO "+ident(rwRole(s.schema)),
		"GRANT SELECT ON "+name+" TO "+ident(roRole(s.schema)),
	)
}

// definition is a table's columns and its key. Every table has them in one order: what we stamp, then what is declared.
func definition(t table) string {
	lines := []string{
		ident(databackend.ColumnTime) + " timestamp with time zone NOT NULL",
		ident(databackend.ColumnDevice) + " bigint NOT NULL",
		ident(databackend.ColumnAuthID) + " text",
		ident(databackend.ColumnSeq) + " bigint NOT NULL",
	}
	for _, c := range t.declared() {
		lines = append(lines, ident(c.ID)+" "+c.Type.SQL())
	}
	key := idents(databackend.ColumnDevice, databackend.ColumnTime, databackend.ColumnSeq)
	lines = append(lines, "UNIQUE ("+key+")")
	return strings.Join(lines, ", ")
}

// asOwner runs statements so that what they make belongs to the installation's owner.
func asOwner(ctx context.Context, tx pgx.Tx, s installation, statements ...string) error {
	all := append([]string{"SET LOCAL ROLE " + ident(s.owner)}, statements...)
	return execAll(ctx, tx, append(all, "RESET ROLE")...)
}

func timeIndex(s installation, t table) string {
	return "CREATE INDEX ON " + ident(s.schema, t.Name) + " (" + ident(databackend.ColumnTime) + " DESC)"
}

// dropSchema removes an installation from a database that others stay in. Tables go one by one, and large ones in parts: one
// statement for all of it could ask for more locks than the server has.
func (o *operation) dropSchema(ctx context.Context, p placement) error {
	conn, err := o.connect(ctx, p.Database.Name)
	if err != nil {
		return err
	}
	defer disconnect(ctx, conn)
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", p.Schema).Scan(&exists)
	if err != nil {
		return err
	}
	if exists {
		s := p.installation()
		for _, t := range p.Shape.Tables {
			if err := o.keeper(p.Database).drop(ctx, conn, s, t); err != nil {
				return err
			}
		}
		if err := execAll(ctx, conn, "DROP SCHEMA "+ident(s.schema)+" CASCADE"); err != nil {
			return err
		}
	}
	return dropOwned(ctx, conn, p.roles())
}

// dropOwned removes what roles still have in a database, default privileges that a login gave itself among them.
func dropOwned(ctx context.Context, conn *pgx.Conn, roles []string) error {
	rows, err := conn.Query(ctx, "SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1)", roles)
	if err != nil {
		return err
	}
	existing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(existing) == 0 {
		return err
	}
	return execAll(ctx, conn, "DROP OWNED BY "+idents(existing...))
}
