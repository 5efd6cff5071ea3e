package provision

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"bulkhead/internal/secret"
)

// access is what a login may do with an installation's tables.
type access string

const (
	rw access = "rw" // read and add rows
	ro access = "ro" // read
)

var accesses = []access{rw, ro}

// connectionLimit is how many sessions a login may have at once.
const connectionLimit = 10

// loginSettings hold for a login's sessions. Those that the login could raise itself are ended from outside too; see Reap.
var loginSettings = map[string]string{
	"statement_timeout":                   "60s",
	"idle_in_transaction_session_timeout": "60s",
	"idle_session_timeout":                "10min",
	"lock_timeout":                        "5s",
}

// superuserSettings hold for a login's sessions and cannot be raised by it; only a superuser can set them.
var superuserSettings = map[string]string{
	"temp_file_limit": "1GB",
}

// roles lists all roles of an installation.
func (p placement) roles() []string {
	return append(p.logins(), groupRole(p.Schema, rw), groupRole(p.Schema, ro), ownerRole(p.Schema))
}

func (p placement) logins() []string {
	var logins []string
	for _, a := range accesses {
		logins = append(logins, loginRole(p.Schema, a, 0), loginRole(p.Schema, a, 1))
	}
	return logins
}

// ensureRoles makes an installation's roles and writes its logins down, all in one transaction: roles belong to the whole
// server, the platform's tables included.
func (o *operation) ensureRoles(ctx context.Context, p placement) error {
	var done bool
	err := o.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM bulkhead.placement_login WHERE realm = $1)", p.Realm).Scan(&done)
	if err != nil || done {
		return err
	}
	ingestor, _, err := o.ingestor(ctx)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, o.conn, func(tx pgx.Tx) error {
		for _, role := range []string{ownerRole(p.Schema), groupRole(p.Schema, rw), groupRole(p.Schema, ro)} {
			if err := o.ensureRole(ctx, tx, role, "NOLOGIN"); err != nil {
				return err
			}
		}
		groups := idents(groupRole(p.Schema, rw), groupRole(p.Schema, ro))
		if err := execAll(ctx, tx, "GRANT "+groups+" TO "+ident(ingestor)); err != nil {
			return err
		}
		for _, a := range accesses {
			if err := o.createLogins(ctx, tx, p, a); err != nil {
				return err
			}
		}
		return nil
	})
}

// createLogins makes the pair of logins of an access, the first one on.
func (o *operation) createLogins(ctx context.Context, tx pgx.Tx, p placement, a access) error {
	for slot := range 2 {
		role := loginRole(p.Schema, a, slot)
		if err := o.ensureRole(ctx, tx, role, fmt.Sprintf("NOLOGIN CONNECTION LIMIT %d", connectionLimit)); err != nil {
			return err
		}
		if err := o.applySettings(ctx, tx, role); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO bulkhead.placement_login (role, realm, access, slot, state) VALUES ($1, $2, $3, $4, 'off')",
			role, p.Realm, string(a), slot); err != nil {
			return err
		}
	}
	_, err := o.switchOn(ctx, tx, p, a, 0)
	return err
}

// group is the role that gives logins their rights: those that add rows only read while the placement is read-only.
func (p placement) group(a access) string {
	if p.ReadOnly {
		a = ro
	}
	return groupRole(p.Schema, a)
}

// switchOn gives a login a new password and its rights.
func (o *operation) switchOn(ctx context.Context, tx pgx.Tx, p placement, a access, slot int) (Login, error) {
	role, password := loginRole(p.Schema, a, slot), secret.Random()
	v, err := verifier(password)
	if err != nil {
		return Login{}, err
	}
	sealed, err := o.config.Keys.Seal(password, sealContext(role))
	if err != nil {
		return Login{}, err
	}
	if err := execAll(ctx, tx,
		"ALTER ROLE "+ident(role)+" LOGIN PASSWORD "+literal(v),
		"GRANT "+idents(p.group(a), connectRole(p.Database.Name))+" TO "+ident(role),
	); err != nil {
		return Login{}, err
	}
	_, err = tx.Exec(ctx, "UPDATE bulkhead.placement_login SET state = 'current', sealed = $2, verifier = $3 WHERE role = $1", role, sealed, v)
	return Login{Role: role, Password: password}, err
}

// ensureRole makes a role where it is missing. Without a superuser's rights we must be its member to act for it.
func (o *operation) ensureRole(ctx context.Context, tx pgx.Tx, role, attributes string) error {
	var exists bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists)
	if err != nil || exists {
		return err
	}
	if _, err := tx.Exec(ctx, "CREATE ROLE "+ident(role)+" "+attributes); err != nil {
		return err
	}
	if o.level == Full {
		return nil
	}
	_, err = tx.Exec(ctx, "GRANT "+ident(role)+" TO CURRENT_USER")
	return err
}

func (o *operation) applySettings(ctx context.Context, tx pgx.Tx, role string) error {
	settings := []map[string]string{loginSettings}
	if o.level == Full {
		settings = append(settings, superuserSettings)
	}
	for _, some := range settings {
		for name, value := range some {
			if _, err := tx.Exec(ctx, "ALTER ROLE "+ident(role)+" SET "+ident(name)+" = "+literal(value)); err != nil {
				return err
			}
		}
	}
	return nil
}

// shutOut takes the logins' rights and ends their sessions, before what they use goes.
func (o *operation) shutOut(ctx context.Context, p placement) error {
	for _, role := range p.logins() {
		if err := o.switchOff(ctx, o.conn, p, role); err != nil {
			return err
		}
	}
	return nil
}

// switchOff ends a login: the rights first, which stops a session at its next statement and lets no new one in, then what is
// open, which could hold on to the login, then the login, and then what came meanwhile.
func (o *operation) switchOff(ctx context.Context, conn *pgx.Conn, p placement, role string) error {
	var exists bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists)
	if err != nil || !exists {
		return err
	}
	groups := idents(groupRole(p.Schema, rw), groupRole(p.Schema, ro), connectRole(p.Database.Name))
	if err := execAll(ctx, conn,
		"REVOKE "+groups+" FROM "+ident(role),
		"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = "+literal(role),
		"ALTER ROLE "+ident(role)+" NOLOGIN PASSWORD NULL",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "+literal(role),
	); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "UPDATE bulkhead.placement_login SET state = 'off', sealed = NULL, verifier = NULL WHERE role = $1", role)
	return err
}
