package provision_test

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"bulkhead/backend/databackend"
	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
)

// recordedCompat is how many probes are open where we are no superuser, as on a managed server.
var recordedCompat = map[databackend.Driver]int{databackend.DriverDatabase: 60, databackend.DriverSchema: 84}

// managed is a platform's database on a server where we may make databases and roles and nothing else.
func managed(t *testing.T) *db.DB {
	t.Helper()
	s := dbtest.Get(t)
	u, err := url.Parse(dbtest.NewEmpty(t))
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(u.Path, "/")
	role := database + "_manager"
	for _, sql := range []string{
		"CREATE ROLE " + role + " LOGIN CREATEDB CREATEROLE PASSWORD 'manager'",
		"ALTER DATABASE " + database + " OWNER TO " + role,
	} {
		if _, err := s.Admin().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, sql := range []string{"DROP DATABASE " + database + " WITH (FORCE)", "DROP ROLE " + role} {
			if _, err := s.Admin().Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	u.User = url.UserPassword(role, "manager")
	d, err := db.Open(t.Context(), u.String(), db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWithoutASuperuserTheEssentialDoorsAreStillClosed(t *testing.T) {
	drivers(t, func(t *testing.T, driver databackend.Driver) {
		p := dbtest.NewProvisioner(t, &dbtest.Database{DB: managed(t)}, with(driver), func(c *provision.Config) { c.NoTimescale = true })
		if p.Level() != provision.Compat {
			t.Fatalf("level %s", p.Level())
		}
		report, err := p.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range report.EssentialOpen() {
			t.Errorf("%s: %s: %s", r.Group, r.Name, r.Detail)
		}
		t.Logf("%s: %d of %d probes open, %d recorded", driver, report.Open(), len(report.Results), recordedCompat[driver])
		if report.Open() > recordedCompat[driver] {
			t.Errorf("%d probes are open, %d were recorded", report.Open(), recordedCompat[driver])
		}
		if err := p.Maintain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
