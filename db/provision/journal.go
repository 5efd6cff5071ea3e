package provision

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/wire"
)

// state is how far a placement is. Only a ready one is told to anybody.
type state string

const (
	provisioning state = "provisioning"
	ready        state = "ready"
	removing     state = "removing"
)

// placement is a row of the journal with its database.
type placement struct {
	Realm     string
	Project   wire.Key
	Database  database
	Schema    string
	State     state
	Shape     shape
	Version   int
	ReadOnly  bool // its logins add no rows
	CreatedAt int64
}

// database is one database that holds installations.
type database struct {
	Name      string
	Purpose   string
	Hardened  int
	Timescale bool
}

// Purposes of databases.
const (
	purposeTemplate = "template" // what new ones are copied from
	purposeProject  = "project"  // holds one project
	purposeShared   = "shared"   // holds the projects of the driver schema
)

func (p placement) public() databackend.Placement {
	if p.Schema == "" {
		return databackend.Placement{}
	}
	driver := databackend.DriverDatabase
	if p.Database.Purpose == purposeShared {
		driver = databackend.DriverSchema
	}
	return databackend.Placement{
		Realm: p.Realm, Driver: driver, Database: p.Database.Name, Schema: p.Schema,
		Owner: ownerRole(p.Schema), RW: groupRole(p.Schema, rw), RO: groupRole(p.Schema, ro),
		Timescale: p.Database.Timescale, Template: p.Version,
	}
}

const selectPlacements = `
	SELECT p.realm, p.project_key, p.schema_name, p.state, p.template, p.template_version, p.read_only, d.name, d.purpose, d.hardened, d.timescale
	FROM bulkhead.placement p JOIN bulkhead.placement_database d ON d.name = p.database_name `

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (p *Provisioner) placements(ctx context.Context, where string, args ...any) ([]placement, error) {
	return queryPlacements(ctx, p.config.DB.Pool(), where, args...)
}

func queryPlacements(ctx context.Context, q querier, where string, args ...any) ([]placement, error) {
	rows, err := q.Query(ctx, selectPlacements+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (placement, error) {
		var p placement
		var template []byte
		err := row.Scan(&p.Realm, &p.Project, &p.Schema, &p.State, &template, &p.Version, &p.ReadOnly,
			&p.Database.Name, &p.Database.Purpose, &p.Database.Hardened, &p.Database.Timescale)
		if err != nil {
			return placement{}, err
		}
		return p, json.Unmarshal(template, &p.Shape)
	})
}

func (o *operation) find(ctx context.Context, realm realms.Realm) (placement, bool, error) {
	found, err := queryPlacements(ctx, o.conn, "WHERE p.realm = $1", realm.Name())
	if err != nil || len(found) == 0 {
		return placement{}, false, err
	}
	return found[0], true, nil
}

// begin finds the placement of a realm, or writes down where it will be before anything is made.
func (o *operation) begin(ctx context.Context, realm realms.Realm, want shape) (placement, error) {
	if realm.Kind != realms.Data || !realm.Project.Valid() {
		return placement{}, errs.E(wire.Invalid, "only the realm of an installation has data")
	}
	p, found, err := o.find(ctx, realm)
	if err != nil || found {
		return p, err
	}
	template, err := json.Marshal(want)
	if err != nil {
		return placement{}, err
	}
	err = pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		name, err := o.chooseDatabase(ctx, tx, realm.Project)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO bulkhead.placement (realm, project_key, database_name, schema_name, state, template, template_version)
			VALUES ($1, $2, $3, $4, 'provisioning', $5, 1)`, realm.Name(), int64(realm.Project), name, drawName(), template)
		return err
	})
	if err != nil {
		return placement{}, err
	}
	p, _, err = o.find(ctx, realm)
	return p, err
}

// chooseDatabase finds the database where a project is or will be. A project stays in one: all its installations go where
// the first one went.
func (o *operation) chooseDatabase(ctx context.Context, tx pgx.Tx, project wire.Key) (string, error) {
	var name string
	err := tx.QueryRow(ctx, `SELECT name FROM bulkhead.placement_database WHERE project_key = $1
		UNION ALL SELECT database_name FROM bulkhead.placement WHERE project_key = $1 LIMIT 1`, int64(project)).Scan(&name)
	if !errors.Is(err, pgx.ErrNoRows) {
		return name, err
	}
	if o.config.Driver == databackend.DriverDatabase {
		name = drawName()
		_, err = tx.Exec(ctx, "INSERT INTO bulkhead.placement_database (name, purpose, project_key) VALUES ($1, 'project', $2)", name, int64(project))
		return name, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO bulkhead.placement_database (name, purpose) VALUES ($1, 'shared') ON CONFLICT DO NOTHING`, drawName()); err != nil {
		return "", err
	}
	err = tx.QueryRow(ctx, "SELECT name FROM bulkhead.placement_database WHERE purpose = 'shared'").Scan(&name)
	return name, err
}

func (o *operation) setState(ctx context.Context, p placement, to state) error {
	_, err := o.conn.Exec(ctx, "UPDATE bulkhead.placement SET state = $2 WHERE realm = $1", p.Realm, string(to))
	return err
}

// isLast tells whether the database goes with this placement.
func (o *operation) isLast(ctx context.Context, p placement) (bool, error) {
	if p.Database.Purpose != purposeProject {
		return false, nil
	}
	var others int
	err := o.conn.QueryRow(ctx, "SELECT count(*) FROM bulkhead.placement WHERE database_name = $1 AND realm <> $2", p.Database.Name, p.Realm).Scan(&others)
	return others == 0, err
}

// forget removes the roles and the rows that name them, together.
func (o *operation) forget(ctx context.Context, p placement, withDatabase bool) error {
	return pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		roles := p.roles()
		if withDatabase {
			roles = append(roles, connectRole(p.Database.Name))
		}
		if err := execAll(ctx, tx, "DROP ROLE IF EXISTS "+idents(roles...)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM bulkhead.placement WHERE realm = $1", p.Realm); err != nil {
			return err
		}
		if !withDatabase {
			return nil
		}
		_, err := tx.Exec(ctx, "DELETE FROM bulkhead.placement_database WHERE name = $1", p.Database.Name)
		return err
	})
}
