package provision_test

import (
	"testing"

	"bulkhead/backend/databackend"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
	"bulkhead/realms"
)

// A login may change itself, and so hold on to its own row among the server's roles for as long as it likes.
func TestALoginInTheMiddleOfChangingItselfIsPutBackAndHoldsUpNobody(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	p := dbtest.NewProvisioner(t, d, with(databackend.DriverSchema))
	logins := map[string]provision.Credentials{}
	for name, realm := range map[string]realms.Realm{"holder": installation(11, 22), "other": installation(33, 44)} {
		mustProvision(t, p, realm)
		c, err := p.Credentials(t.Context(), realm)
		if err != nil {
			t.Fatal(err)
		}
		logins[name] = c
		conn := mustLogin(t, d, c.Database, c.RW)
		if _, err := conn.Exec(t.Context(), "ALTER ROLE CURRENT_USER PASSWORD 'mine'; ALTER ROLE CURRENT_USER SET statement_timeout = 0"); err != nil {
			t.Fatal(err)
		}
		if name == "holder" {
			for _, sql := range []string{"BEGIN", "ALTER ROLE CURRENT_USER SET work_mem = '1GB'"} {
				if _, err := conn.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := p.Maintain(t.Context()); err != nil {
		t.Error(err)
	}
	for name, c := range logins {
		var timeout string
		if err := mustLogin(t, d, c.Database, c.RW).QueryRow(t.Context(), "SHOW statement_timeout").Scan(&timeout); err != nil || timeout != "1min" {
			t.Errorf("%s is not put back: statement_timeout %s, %v", name, timeout, err)
		}
	}
}

// Whoever has a login can hold on to it from within a transaction; its end must not wait for that.
func TestALoginInTheMiddleOfChangingItselfIsEnded(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	p := dbtest.NewProvisioner(t, d, with(databackend.DriverSchema))
	r := installation(11, 22)
	mustProvision(t, p, r)
	for name, end := range map[string]func() error{
		"revoke": func() error { return p.Revoke(t.Context(), r) },
		"remove": func() error { return p.Deprovision(t.Context(), r) },
	} {
		c, err := p.Rotate(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		conn := mustLogin(t, d, c.Database, c.RW)
		for _, sql := range []string{"BEGIN", "ALTER ROLE CURRENT_USER PASSWORD 'mine'"} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := conn.Ping(t.Context()); err == nil {
			t.Errorf("%s: the session goes on", name)
		}
		mustProvision(t, p, r)
	}
}
