// Package dbtest gives each test a database of its own on a real PostgreSQL.
//
// It promises that tests of one or many processes do not see each other, that each database has the platform's tables of
// this version, and that nothing is left behind: what a crash leaves, the next run removes.
//
// A package whose tests use it says so once:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(dbtest.Main(m)) }
//
// Without BULKHEAD_TEST_DATABASE_URL the server is a private one, started by the first test that asks; with it, the
// server that it names, as a superuser.
package dbtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/db"
)

// Environment names the variable with the URL of a server to use in place of a private one.
const Environment = "BULKHEAD_TEST_DATABASE_URL"

// Database is one test's own database, migrated, with an open pool.
type Database struct {
	*db.DB
	// URL connects the superuser to it.
	URL string
	// Name is the database's name on the server.
	Name string
}

// TestingM is what goleak and TestMain need of *testing.M.
type TestingM interface{ Run() int }

// Main runs the tests of a package and stops the server after them.
func Main(m TestingM) TestingM { return main{m} }

type main struct{ tests TestingM }

func (m main) Run() int {
	shared.allowed.Store(true)
	code := m.tests.Run()
	if err := shared.stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest: stop:", err)
		return max(code, 1)
	}
	return code
}

// New makes a database for a test, which is dropped when the test ends.
func New(t testing.TB, options ...db.Option) *Database {
	t.Helper()
	s := Get(t)
	name := s.newName()
	s.exec(t, "CREATE DATABASE "+name+" TEMPLATE "+s.template)
	t.Cleanup(func() { s.drop(name) })
	address := s.URL(name)
	options = append([]db.Option{db.WithLogger(slog.New(slog.DiscardHandler)), db.WithMaxConns(8)}, options...)
	opened, err := db.Open(t.Context(), address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return &Database{DB: opened, URL: address, Name: name}
}

// NewEmpty makes a database without any table and gives its URL.
func NewEmpty(t testing.TB) string {
	t.Helper()
	s := Get(t)
	name := s.newName()
	s.exec(t, "CREATE DATABASE "+name+" TEMPLATE template0")
	t.Cleanup(func() { s.drop(name) })
	return s.URL(name)
}

// Server is the server that the tests of this process share.
type Server struct {
	admin     *pgxpool.Pool // of the superuser, to the database postgres
	url       string        // the same as text
	run       string        // begins the names of this process's databases
	template  string        // a migrated database that new ones copy
	timescale bool
	count     atomic.Int64
	close     func(context.Context) error
}

// Get starts the server where it does not run yet.
func Get(t testing.TB) *Server {
	t.Helper()
	s, err := shared.get(t.Context())
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	t.Logf("PostgreSQL %s, TimescaleDB available: %t", s.Version(t), s.timescale)
	return s
}

// Timescale reports whether TimescaleDB can be used on the server.
func (s *Server) Timescale() bool { return s.timescale }

// Version is the server's version as it tells it.
func (s *Server) Version(t testing.TB) string {
	var version string
	if err := s.admin.QueryRow(t.Context(), "SHOW server_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

// URL connects the superuser to a database of the server.
func (s *Server) URL(database string) string { return withDatabase(s.url, database) }

// Admin gives connections of the superuser to the database postgres.
func (s *Server) Admin() *pgxpool.Pool { return s.admin }

func (s *Server) newName() string { return fmt.Sprintf("%s_%d", s.run, s.count.Add(1)) }

func (s *Server) exec(t testing.TB, sql string) {
	t.Helper()
	if _, err := s.admin.Exec(t.Context(), sql); err != nil {
		t.Fatalf("dbtest: %s: %v", sql, err)
	}
}

// drop forgets a database; a failure leaves it to the sweep of the next run.
func (s *Server) drop(name string) {
	_, _ = s.admin.Exec(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

// namePrefix begins the names of all databases of tests.
const namePrefix = "bulkhead_test_"

func newRun() string { return namePrefix + strings.ToLower(rand.Text()[:12]) }

// prepare makes the template, a database with the platform's tables that new ones copy.
func (s *Server) prepare(ctx context.Context) error {
	s.template = s.run + "_template"
	if _, err := s.admin.Exec(ctx, "CREATE DATABASE "+s.template+" TEMPLATE template0"); err != nil {
		return err
	}
	d, err := db.Open(ctx, s.URL(s.template), db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Migrate(ctx); err != nil {
		return err
	}
	d.Close()
	// Nobody may be connected to what is copied; a scheduler of an extension would be.
	if _, err := s.admin.Exec(ctx, "ALTER DATABASE "+s.template+" ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	if _, err := s.admin.Exec(ctx, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", s.template); err != nil {
		return err
	}
	return s.admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')").Scan(&s.timescale)
}

// withDatabase gives a server's URL another database.
func withDatabase(server, database string) string {
	u, err := url.Parse(server)
	if err != nil {
		return server
	}
	u.Path = "/" + database
	return u.String()
}
