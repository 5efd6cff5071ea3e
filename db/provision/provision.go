// Package provision makes and removes what keeps an installation's data: database, schema, tables, roles and logins. It is
// the only code that runs DDL with elevated rights.
//
// It promises that an installation is there completely or not at all for everyone who asks where it is; that making
// and removing can be repeated after a crash at any statement, and then finish; that no name of a customer reaches the
// server, whose names are visible across tenants; that no password reaches it either, only what proves one; and that
// what a tenant's login can see or do beyond its own schema is closed unless it is on a short list of what is known to
// be harmless.
package provision

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/db"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Config says how data is placed.
type Config struct {
	// DB is the platform's database. Its login must be a superuser for the isolation that is promised; with CREATEDB and
	// CREATEROLE alone, what a managed server offers, less is closed: see Level.
	DB *db.DB
	// Keys seal the passwords of logins.
	Keys *secret.Keyring
	// Driver places new projects; default databackend.DriverDatabase. Projects that exist stay where they are.
	Driver databackend.Driver
	// NoTimescale makes native partitions for new databases where TimescaleDB could be used.
	NoTimescale bool
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Now is the clock for partitions and retention; default time.Now.
	Now func() time.Time
}

// parallel is how many installations are changed at a time.
const parallel = 4

// Provisioner places installations on one server. Make one with New and Close it.
type Provisioner struct {
	config Config
	admin  *pgx.ConnConfig // to the platform's database, without the pool's time limits
	level  Level
	turns  *turns
	pools  pools
}

// New makes a Provisioner and what it needs on the server once: the login for ingest, and closed doors where PostgreSQL
// leaves them open to everybody.
func New(ctx context.Context, config Config) (*Provisioner, error) {
	if config.Driver == "" {
		config.Driver = databackend.DriverDatabase
	}
	if config.Driver != databackend.DriverDatabase && config.Driver != databackend.DriverSchema {
		return nil, errs.E(wire.Invalid, "the driver %q is unknown: want %s or %s", config.Driver, databackend.DriverDatabase, databackend.DriverSchema)
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	p := &Provisioner{config: config, admin: adminConfig(config.DB), turns: newTurns(parallel)}
	if err := p.during(ctx, "server", p.setUp); err != nil {
		return nil, db.Error("provision: set up", err)
	}
	return p, nil
}

// Close closes the connections that Pool gave.
func (p *Provisioner) Close() { p.pools.close() }

// Provision makes the data backend of an installation. When it fails half-way, the same call goes on with it and
// Deprovision removes it. Where it is there already with the same tables, nothing changes; with others, it is a conflict.
func (p *Provisioner) Provision(ctx context.Context, realm realms.Realm, template databackend.Template) (databackend.Placement, error) {
	var placed placement
	err := p.during(ctx, projectLock(realm), func(ctx context.Context, o *operation) (err error) {
		placed, err = o.provision(ctx, realm, shapeOf(template))
		return err
	})
	return placed.public(), db.Error("provision: provision", err)
}

func (o *operation) provision(ctx context.Context, realm realms.Realm, want shape) (placement, error) {
	p, err := o.begin(ctx, realm, want)
	switch {
	case err != nil:
		return placement{}, err
	case p.State == removing:
		return placement{}, errs.E(wire.Conflict, "the data of the app is still being removed; try again")
	case !p.Shape.equal(want):
		return placement{}, errs.E(wire.Conflict, "the app has tables of another template here")
	case p.State == ready:
		return p, nil
	}
	if p.Database, err = o.ensureDatabase(ctx, p.Database); err != nil {
		return placement{}, err
	}
	if err := o.ensureRoles(ctx, p); err != nil {
		return placement{}, err
	}
	if err := o.ensureTables(ctx, p); err != nil {
		return placement{}, err
	}
	return p, o.setState(ctx, p, ready)
}

// Deprovision removes the data backend of an installation with all its data and logins. It is fine where there is none,
// where it was made partly, and again after it failed.
func (p *Provisioner) Deprovision(ctx context.Context, realm realms.Realm) error {
	err := p.during(ctx, projectLock(realm), func(ctx context.Context, o *operation) error {
		return o.deprovision(ctx, realm)
	})
	return db.Error("provision: deprovision", err)
}

func (o *operation) deprovision(ctx context.Context, realm realms.Realm) error {
	p, found, err := o.find(ctx, realm)
	if err != nil || !found {
		return err
	}
	if err := o.setState(ctx, p, removing); err != nil {
		return err
	}
	if err := o.shutOut(ctx, p); err != nil {
		return err
	}
	last, err := o.isLast(ctx, p)
	if err != nil {
		return err
	}
	if last {
		err = o.dropDatabase(ctx, p.Database)
	} else {
		err = o.dropSchema(ctx, p)
	}
	if err != nil {
		return err
	}
	return o.forget(ctx, p, last)
}

// Placement tells where an installation's data is. One that is not complete is not found.
func (p *Provisioner) Placement(ctx context.Context, realm realms.Realm) (databackend.Placement, error) {
	found, err := p.placements(ctx, "WHERE p.realm = $1 AND p.state = 'ready'", realm.Name())
	if err != nil {
		return databackend.Placement{}, db.Error("provision: placement", err)
	}
	if len(found) == 0 {
		return databackend.Placement{}, errs.E(wire.NotFound, "the app is not installed here")
	}
	return found[0].public(), nil
}

// Placements tells where the data of all installations is that are complete.
func (p *Provisioner) Placements(ctx context.Context) ([]databackend.Placement, error) {
	found, err := p.placements(ctx, "WHERE p.state = 'ready' ORDER BY p.realm")
	if err != nil {
		return nil, db.Error("provision: placements", err)
	}
	public := make([]databackend.Placement, len(found))
	for i, f := range found {
		public[i] = f.public()
	}
	return public, nil
}
