package provision_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"bulkhead/backend/databackend"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }

// drivers runs a test with both drivers.
func drivers(t *testing.T, test func(t *testing.T, driver databackend.Driver)) {
	t.Parallel()
	for _, driver := range []databackend.Driver{databackend.DriverDatabase, databackend.DriverSchema} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			test(t, driver)
		})
	}
}

func with(driver databackend.Driver) func(*provision.Config) {
	return func(c *provision.Config) { c.Driver = driver }
}

func installation(project, app wire.Key) realms.Realm {
	return realms.OfInstallation(project, app, wire.Prod)
}

// metrics is a template with one column of each type.
func metrics() databackend.Template {
	table := databackend.Table{Name: "metrics", Columns: []databackend.Column{{ID: "tsp", Type: databackend.Timestamp}}}
	for _, dt := range databackend.DataTypes {
		table.Columns = append(table.Columns, databackend.Column{ID: "c_" + string(dt), Type: dt})
	}
	return databackend.Template{Tables: []databackend.Table{table}}
}

func mustProvision(t *testing.T, p *provision.Provisioner, r realms.Realm) databackend.Placement {
	t.Helper()
	placed, err := p.Provision(t.Context(), r, metrics())
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

// login connects to a placement as one of its logins.
func login(t *testing.T, d *dbtest.Database, database string, l provision.Login) (*pgx.Conn, error) {
	t.Helper()
	u, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path = url.UserPassword(l.Role, string(l.Password.Reveal())), "/"+database
	conn, err := pgx.Connect(t.Context(), u.String())
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func mustLogin(t *testing.T, d *dbtest.Database, database string, l provision.Login) *pgx.Conn {
	t.Helper()
	conn, err := login(t, d, database, l)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func super(t *testing.T, d *dbtest.Database, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dbtest.Get(t).URL(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestAnInstallationGetsTablesItsLoginsCanUse(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		d := dbtest.New(t)
		p := dbtest.NewProvisioner(t, d, with(driver))
		r := installation(11, 22)
		placed := mustProvision(t, p, r)
		if placed.Driver != driver || placed.Realm != r.Name() || placed.Template != 1 {
			t.Errorf("placement %+v", placed)
		}
		c, err := p.Credentials(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		rw, ro := mustLogin(t, d, c.Database, c.RW), mustLogin(t, d, c.Database, c.RO)
		table := pgx.Identifier{c.Schema, "metrics"}.Sanitize()
		insert := "INSERT INTO " + table + ` (tsp, device_key, authid, seq, c_numeric, c_bigint, c_timestamp, c_string, c_boolean, c_json)
			VALUES (now(), 1, 'x', $1, 1.5, 2, now(), 'y', true, '{"a":1}')`
		if _, err := rw.Exec(t.Context(), insert, 1); err != nil {
			t.Error(err)
		}
		if _, err := rw.Exec(t.Context(), insert, 2); err != nil {
			t.Error(err)
		}
		var n int
		var text string
		if err := ro.QueryRow(t.Context(), "SELECT count(*), min(to_char(tsp, 'YYYY') || c_json::text) FROM "+table).Scan(&n, &text); err != nil || n != 2 {
			t.Errorf("read %d rows, %v", n, err)
		}
		for _, refused := range []string{
			"DELETE FROM " + table, "UPDATE " + table + " SET seq = 9", "TRUNCATE " + table, "DROP TABLE " + table,
			"ALTER TABLE " + table + " ADD COLUMN x int", "CREATE TABLE " + c.Schema + ".mine (n int)",
		} {
			if _, err := rw.Exec(t.Context(), refused); err == nil {
				t.Errorf("allowed: %s", refused)
			}
		}
		if _, err := ro.Exec(t.Context(), insert, 3); err == nil {
			t.Error("the reader writes")
		}
	})
}

func TestProvisionIsIdempotentAndRefusesOtherTables(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		p := dbtest.NewProvisioner(t, dbtest.New(t), with(driver))
		r := installation(11, 22)
		first := mustProvision(t, p, r)
		if again := mustProvision(t, p, r); again != first {
			t.Errorf("%+v became %+v", first, again)
		}
		other := metrics()
		other.Tables[0].Name = "others"
		if _, err := p.Provision(t.Context(), r, other); errs.KindOf(err) != wire.Conflict {
			t.Errorf("another template: %v", err)
		}
		if _, err := p.Provision(t.Context(), realms.OfProject(11), metrics()); errs.KindOf(err) != wire.Invalid {
			t.Errorf("a device realm: %v", err)
		}
		if _, err := p.Placement(t.Context(), installation(11, 23)); errs.KindOf(err) != wire.NotFound {
			t.Errorf("no installation: %v", err)
		}
		all, err := p.Placements(t.Context())
		if err != nil || len(all) != 1 || all[0] != first {
			t.Errorf("placements %+v %v", all, err)
		}
	})
}

func TestNoNameOfTheTenantReachesTheServer(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		d := dbtest.New(t)
		p := dbtest.NewProvisioner(t, d, with(driver))
		placed := mustProvision(t, p, installation(314159265, 271828182))
		for _, name := range []string{placed.Database, placed.Schema, placed.Owner, placed.RW, placed.RO} {
			if !strings.HasPrefix(name, "p_") || strings.Contains(name, "314159265") || strings.Contains(name, "271828182") {
				t.Errorf("name %s", name)
			}
		}
	})
}

// footprint lists the databases and roles of the server that are not the test's own.
func footprint(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT 'database ' || datname FROM pg_database UNION ALL SELECT 'role ' || rolname FROM pg_roles")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// left lists what of a placement is still on the server.
func left(t *testing.T, conn *pgx.Conn, placed databackend.Placement) []string {
	t.Helper()
	return slices.DeleteFunc(footprint(t, conn), func(name string) bool {
		return !strings.Contains(name, placed.Schema) && (placed.Driver != databackend.DriverDatabase || !strings.Contains(name, placed.Database))
	})
}

func TestDeprovisionLeavesNothing(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		d := dbtest.New(t)
		p := dbtest.NewProvisioner(t, d, with(driver))
		r, sibling := installation(11, 22), installation(11, 33)
		placed, stays := mustProvision(t, p, r), mustProvision(t, p, sibling)
		if placed.Database != stays.Database {
			t.Errorf("one project in two databases: %s, %s", placed.Database, stays.Database)
		}
		c, err := p.Credentials(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		open := mustLogin(t, d, c.Database, c.RW)
		// What a login can leave behind of its own.
		if _, err := open.Exec(t.Context(), "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC; ALTER ROLE CURRENT_USER SET work_mem = '1GB'"); err != nil {
			t.Error(err)
		}
		if err := p.Deprovision(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := open.Ping(t.Context()); err == nil {
			t.Error("a session of the removed login goes on")
		}
		conn := super(t, d, "postgres")
		placed.Database = "-" // is still the sibling's
		if names := left(t, conn, placed); len(names) > 0 {
			t.Errorf("left: %v", names)
		}
		if _, err := p.Placement(t.Context(), sibling); err != nil {
			t.Errorf("the sibling: %v", err)
		}
		if err := p.Deprovision(t.Context(), sibling); err != nil {
			t.Fatal(err)
		}
		if names := left(t, conn, stays); len(names) > 0 {
			t.Errorf("left: %v", names)
		}
		for range 2 {
			if err := p.Deprovision(t.Context(), r); err != nil {
				t.Errorf("removing what is gone: %v", err)
			}
		}
		mustProvision(t, p, r)
	})
}

func TestRotationHandsOutAnotherLoginAndRetiresTheFirst(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		d := dbtest.New(t)
		p := dbtest.NewProvisioner(t, d, with(driver))
		r := installation(11, 22)
		mustProvision(t, p, r)
		first, err := p.Credentials(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		old := mustLogin(t, d, first.Database, first.RW)
		second, err := p.Rotate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if second.RW.Role == first.RW.Role || second.RW.Password.Equal(first.RW.Password) {
			t.Error("the same login")
		}
		read := "SELECT count(*) FROM " + first.Schema + ".metrics"
		if _, err := old.Exec(t.Context(), read); err != nil {
			t.Errorf("the previous login before it retires: %v", err)
		}
		fresh := mustLogin(t, d, second.Database, second.RW)
		if err := p.Retire(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, err := old.Exec(t.Context(), read); err == nil {
			t.Error("the retired login reads")
		}
		if _, err := login(t, d, first.Database, first.RW); err == nil {
			t.Error("the retired login logs in")
		}
		if _, err := fresh.Exec(t.Context(), read); err != nil {
			t.Errorf("the current login: %v", err)
		}
		if err := p.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, err := fresh.Exec(t.Context(), read); err == nil {
			t.Error("the revoked login reads")
		}
		if _, err := p.Credentials(t.Context(), r); errs.KindOf(err) != wire.NotFound {
			t.Errorf("credentials after revoking: %v", err)
		}
		third, err := p.Rotate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		mustLogin(t, d, third.Database, third.RO)
	})
}

func TestTheIngestorReachesNothingWithoutNamingTheInstallation(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		p := dbtest.NewProvisioner(t, dbtest.New(t), with(driver))
		placed := mustProvision(t, p, installation(11, 22))
		pool, err := p.Pool(t.Context(), placed.Database)
		if err != nil {
			t.Fatal(err)
		}
		table := pgx.Identifier{placed.Schema, "metrics"}
		if _, err := pool.Exec(t.Context(), "SELECT FROM "+table.Sanitize()); err == nil {
			t.Error("reads without a role")
		}
		err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE "+placed.RW); err != nil {
				return err
			}
			rows := [][]any{{time.Now(), int64(1), int64(1)}, {time.Now(), int64(1), int64(2)}}
			n, err := tx.CopyFrom(t.Context(), table, []string{"tsp", "device_key", "seq"}, pgx.CopyFromRows(rows))
			if err == nil && n != 2 {
				err = fmt.Errorf("%d rows copied", n)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func secretOf(text string) secret.Value { return secret.FromString(text) }

func TestALoginThatChangesItselfIsPutBack(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		d := dbtest.New(t)
		p := dbtest.NewProvisioner(t, d, with(driver))
		r := installation(11, 22)
		mustProvision(t, p, r)
		c, err := p.Credentials(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		conn := mustLogin(t, d, c.Database, c.RW)
		for _, sql := range []string{"ALTER ROLE CURRENT_USER PASSWORD 'mine'", "ALTER ROLE CURRENT_USER SET statement_timeout = 0"} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		var timeout string
		if err := mustLogin(t, d, c.Database, c.RW).QueryRow(t.Context(), "SHOW statement_timeout").Scan(&timeout); err != nil || timeout != "1min" {
			t.Errorf("statement_timeout %s, %v", timeout, err)
		}
		if _, err := login(t, d, c.Database, provision.Login{Role: c.RW.Role, Password: secretOf("mine")}); err == nil {
			t.Error("the password that the login gave itself works")
		}
	})
}

func TestInstallationsOfOneProjectReadNothingOfEachOther(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		d := dbtest.New(t)
		p := dbtest.NewProvisioner(t, d, with(driver))
		r := installation(11, 22)
		mustProvision(t, p, r)
		sibling := mustProvision(t, p, installation(11, 33))
		c, err := p.Credentials(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		conn := mustLogin(t, d, c.Database, c.RW)
		for _, sql := range []string{"SELECT FROM " + sibling.Schema + ".metrics", "SET ROLE " + sibling.RW} {
			if _, err := conn.Exec(t.Context(), sql); err == nil {
				t.Errorf("allowed: %s", sql)
			}
		}
	})
}
