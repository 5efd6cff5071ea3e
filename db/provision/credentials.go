package provision

import (
	"context"

	"github.com/jackc/pgx/v5"

	"bulkhead/db"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Login is what a session logs in with.
type Login struct {
	Role     string
	Password secret.Value
}

// Credentials are an installation's current logins: one that reads and adds rows, one that reads. They reach its schema and
// nothing else, and are handed to nobody who does not ask: an app reaches its data by RPC.
type Credentials struct {
	Database string
	Schema   string
	RW, RO   Login
}

// Credentials reads an installation's current logins.
func (p *Provisioner) Credentials(ctx context.Context, realm realms.Realm) (Credentials, error) {
	placed, err := p.Placement(ctx, realm)
	if err != nil {
		return Credentials{}, err
	}
	c := Credentials{Database: placed.Database, Schema: placed.Schema}
	for a, login := range map[access]*Login{rw: &c.RW, ro: &c.RO} {
		if *login, err = p.currentLogin(ctx, placed.Realm, a); err != nil {
			return Credentials{}, db.Error("provision: credentials", err)
		}
	}
	return c, nil
}

func (p *Provisioner) currentLogin(ctx context.Context, realm string, a access) (Login, error) {
	var login Login
	var sealed []byte
	err := p.config.DB.Pool().QueryRow(ctx, "SELECT role, sealed FROM bulkhead.placement_login WHERE realm = $1 AND access = $2 AND state = 'current'",
		realm, string(a)).Scan(&login.Role, &sealed)
	if err != nil {
		return Login{}, err
	}
	login.Password, err = p.config.Keys.Open(sealed, sealContext(login.Role))
	return login, err
}

// Rotate makes the other login of each pair the current one. The one that was current goes on working until Retire, so that
// whoever has it can change over. A login that is still retiring is ended first: it is the one that is needed.
func (p *Provisioner) Rotate(ctx context.Context, realm realms.Realm) (Credentials, error) {
	err := p.withPlacement(ctx, realm, func(ctx context.Context, o *operation, placed placement) error {
		for _, a := range accesses {
			if err := o.rotate(ctx, placed, a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Credentials{}, db.Error("provision: rotate", err)
	}
	return p.Credentials(ctx, realm)
}

func (o *operation) rotate(ctx context.Context, p placement, a access) error {
	var slot int
	err := o.conn.QueryRow(ctx, `SELECT slot FROM bulkhead.placement_login WHERE realm = $1 AND access = $2 AND state <> 'current'
		ORDER BY slot LIMIT 1`, p.Realm, string(a)).Scan(&slot)
	if err != nil {
		return err
	}
	if err := o.switchOff(ctx, o.conn, p, loginRole(p.Schema, a, slot)); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE bulkhead.placement_login SET state = 'previous' WHERE realm = $1 AND access = $2 AND state = 'current'", p.Realm, string(a))
		if err != nil {
			return err
		}
		_, err = o.switchOn(ctx, tx, p, a, slot)
		return err
	})
}

// Retire ends the logins that were current before the last Rotate, with their sessions.
func (p *Provisioner) Retire(ctx context.Context, realm realms.Realm) error {
	return db.Error("provision: retire", p.end(ctx, realm, "state = 'previous'"))
}

// Revoke ends all logins of an installation at once, with their sessions. Rotate makes new ones.
func (p *Provisioner) Revoke(ctx context.Context, realm realms.Realm) error {
	return db.Error("provision: revoke", p.end(ctx, realm, "state <> 'off'"))
}

func (p *Provisioner) end(ctx context.Context, realm realms.Realm, which string) error {
	return p.withPlacement(ctx, realm, func(ctx context.Context, o *operation, placed placement) error {
		rows, err := o.conn.Query(ctx, "SELECT role FROM bulkhead.placement_login WHERE realm = $1 AND "+which, placed.Realm)
		if err != nil {
			return err
		}
		roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, role := range roles {
			if err := o.switchOff(ctx, o.conn, placed, role); err != nil {
				return err
			}
		}
		return nil
	})
}

// withPlacement changes something about a placement that is complete.
func (p *Provisioner) withPlacement(ctx context.Context, realm realms.Realm, do func(context.Context, *operation, placement) error) error {
	return p.during(ctx, projectLock(realm), func(ctx context.Context, o *operation) error {
		placed, found, err := o.find(ctx, realm)
		if err != nil {
			return err
		}
		if !found || placed.State != ready {
			return errs.E(wire.NotFound, "the app is not installed here")
		}
		return do(ctx, o, placed)
	})
}
