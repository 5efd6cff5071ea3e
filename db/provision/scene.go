package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/databackend"
	"bulkhead/realms"
)

// scene is what the probes play in: an attacker with a login, and a victim with rows and an open session.
type scene struct {
	p                *Provisioner
	attacker, victim realms.Realm
	a, b             placement
	login            Login  // the attacker's
	identity         *Login // in place of it, to prove that the probes can be open
	loginB           Login
	super            *pgx.Conn // to the victim's database
	session          *pgx.Conn // the victim's
	oids             map[string]uint32
}

// Marks by which the victim's things are recognized in what a probe reads.
const (
	victimTable  = "victimtable"
	victimColumn = "victimcolumn"
	victimValue  = "victimvalue"
)

func probeTemplate(tableName, column string) databackend.Template {
	return databackend.Template{Tables: []databackend.Table{{Name: tableName, Columns: []databackend.Column{
		{ID: databackend.ColumnTime, Type: databackend.Timestamp}, {ID: column, Type: databackend.String},
	}}}}
}

func (s *scene) set(ctx context.Context) (err error) {
	if _, err := s.p.Provision(ctx, s.attacker, probeTemplate("owntable", "owncolumn")); err != nil {
		return err
	}
	if _, err := s.p.Provision(ctx, s.victim, probeTemplate(victimTable, victimColumn)); err != nil {
		return err
	}
	if s.a, s.login, err = s.cast(ctx, s.attacker); err != nil {
		return err
	}
	if s.b, s.loginB, err = s.cast(ctx, s.victim); err != nil {
		return err
	}
	if s.super, err = s.p.connect(ctx, s.b.Database.Name); err != nil {
		return err
	}
	if _, err := s.super.Exec(ctx, "INSERT INTO "+s.victimTable()+" (tsp, device_key, seq, "+victimColumn+") SELECT now(), 1, n, '"+victimValue+"' FROM generate_series(1, 100) n"); err != nil {
		return err
	}
	if _, err := s.super.Exec(ctx, "ANALYZE "+s.victimTable()); err != nil {
		return err
	}
	return s.enter(ctx)
}

// enter has the victim in the middle of a transaction.
func (s *scene) enter(ctx context.Context) (err error) {
	if s.session, err = s.as(ctx, s.b.Database.Name, s.loginB); err != nil {
		return err
	}
	if err := execAll(ctx, s.session, "BEGIN", "SELECT "+victimColumn+" FROM "+s.victimTable()); err != nil {
		return err
	}
	return s.lookUp(ctx)
}

func (s *scene) cast(ctx context.Context, realm realms.Realm) (placement, Login, error) {
	found, err := s.p.placements(ctx, "WHERE p.realm = $1", realm.Name())
	if err != nil {
		return placement{}, Login{}, err
	}
	login, err := s.p.currentLogin(ctx, realm.Name(), rw)
	return found[0], login, err
}

// lookUp learns numbers that an attacker can count up to.
func (s *scene) lookUp(ctx context.Context) error {
	s.oids = map[string]uint32{}
	for name, sql := range map[string]string{
		"schema":   "SELECT oid FROM pg_namespace WHERE nspname = " + literal(s.b.Schema),
		"table":    "SELECT " + literal(s.victimTable()) + "::regclass::oid",
		"part":     "SELECT tableoid FROM " + s.victimTable() + " LIMIT 1",
		"index":    "SELECT min(indexrelid) FROM pg_index WHERE indrelid = " + literal(s.victimTable()) + "::regclass",
		"type":     "SELECT reltype FROM pg_class WHERE oid = " + literal(s.victimTable()) + "::regclass",
		"role":     "SELECT " + literal(rwRole(s.b.Schema)) + "::regrole::oid",
		"database": "SELECT oid FROM pg_database WHERE datname = " + literal(s.b.Database.Name),
		"pid":      fmt.Sprintf("SELECT %d::oid", s.session.PgConn().PID()),
	} {
		var oid uint32
		if err := s.super.QueryRow(ctx, sql).Scan(&oid); err != nil {
			return err
		}
		s.oids[name] = oid
	}
	return nil
}

// aftermath proves after each probe that the victim still has what it had: its rows, and where the attacker is a tenant its session.
func (s *scene) aftermath(ctx context.Context) error {
	if s.identity != nil {
		disconnect(ctx, s.session)
		return s.enter(ctx)
	}
	var value string
	err := s.session.QueryRow(ctx, "SELECT "+victimColumn+" FROM "+s.victimTable()).Scan(&value)
	if err != nil {
		return fmt.Errorf("the victim's session afterwards: %w", err)
	}
	return nil
}

// strike removes what set made, however far it came.
func (s *scene) strike(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, conn := range []*pgx.Conn{s.session, s.super} {
		if conn != nil {
			disconnect(ctx, conn)
		}
	}
	for _, realm := range []realms.Realm{s.attacker, s.victim} {
		if err := s.p.Deprovision(ctx, realm); err != nil {
			s.p.report(ctx, "probe", err)
		}
	}
}

func (s *scene) victimTable() string { return ident(s.b.Schema, victimTable) }

func (s *scene) ownTable() string { return ident(s.a.Schema, "owntable") }

// as connects with a login.
func (s *scene) as(ctx context.Context, database string, l Login) (*pgx.Conn, error) {
	config := s.p.admin.Copy()
	config.RuntimeParams = map[string]string{}
	config.Tracer = nil
	config.Database, config.User, config.Password = database, l.Role, string(l.Password.Reveal())
	return pgx.ConnectConfig(ctx, config)
}

// connect is the attacker's way in, to its own database.
func (s *scene) connect(ctx context.Context) (*pgx.Conn, error) {
	return s.connectTo(ctx, s.a.Database.Name)
}

func (s *scene) connectTo(ctx context.Context, database string) (*pgx.Conn, error) {
	if s.identity != nil {
		return s.as(ctx, database, *s.identity)
	}
	return s.as(ctx, database, s.login)
}

// mentionsVictim finds a name or value of the victim in a text.
func (s *scene) mentionsVictim(text string) string {
	marks := []string{s.b.Schema, victimTable, victimColumn, victimValue, s.p.admin.Database}
	if s.b.Database.Name != s.a.Database.Name {
		marks = append(marks, s.b.Database.Name)
	}
	for _, mark := range marks {
		if i := strings.Index(text, mark); i >= 0 {
			return text[max(0, i-20):min(len(text), i+60)]
		}
	}
	return ""
}
