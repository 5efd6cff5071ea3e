package dbtest

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/db"
	"bulkhead/db/cluster"
	"bulkhead/db/provision"
	"bulkhead/internal/secret"
)

// dirPrefix begins the names of the private servers' directories.
const dirPrefix = "bulkhead-test-"

// holder has the one server of this process. Main allows it and stops it.
type holder struct {
	allowed atomic.Bool

	mu     sync.Mutex // guards server and err
	server *Server
	err    error
}

var shared holder

var errNoMain = errors.New("the package needs func TestMain(m *testing.M) { os.Exit(dbtest.Main(m).Run()) }, so that the server is stopped")

func (h *holder) get(ctx context.Context) (*Server, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.allowed.Load() {
		return nil, errNoMain
	}
	if h.server == nil && h.err == nil {
		h.server, h.err = open(context.WithoutCancel(ctx)) // the server outlives the test that asks first
	}
	return h.server, h.err
}

func (h *holder) stop(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.allowed.Store(false)
	if h.server == nil {
		return nil
	}
	return h.server.close(ctx)
}

func open(ctx context.Context) (*Server, error) {
	if url := os.Getenv(Environment); url != "" {
		return openNamed(ctx, url)
	}
	return openPrivate(ctx)
}

// openPrivate starts a server for this process alone. It may forget everything in a crash, which makes it fast.
func openPrivate(ctx context.Context) (*Server, error) {
	sweepDirs(ctx)
	dir, err := os.MkdirTemp(parentDir(), dirPrefix)
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	c, err := cluster.Start(ctx, cluster.Config{Dir: dir, Logger: quiet, Settings: map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off", "max_connections": "300",
	}})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	destroy := func(ctx context.Context) error {
		return errors.Join(c.Stop(ctx), cluster.Destroy(ctx, dir, quiet))
	}
	s, err := connect(ctx, c.URL())
	if err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, destroy(ctx))
	}
	s.close = func(ctx context.Context) error {
		s.admin.Close()
		return destroy(ctx)
	}
	return s, nil
}

const (
	memoryDir  = "/dev/shm" // of Linux: files in memory
	memoryRoom = 4 << 30    // bytes that must be free there: each package at work has a server of some hundred MB
)

// parentDir is where private servers live: in memory where there is room. A database for each test is a thousand files made
// and deleted, which a disk takes longer for than PostgreSQL itself.
func parentDir() string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(memoryDir, &s); err == nil && s.Bavail*uint64(s.Bsize) >= memoryRoom {
		return memoryDir
	}
	return os.TempDir()
}

// sweepAge is how old a directory must be before it counts as left: a younger one may be about to be locked.
const sweepAge = time.Minute

// sweepDirs removes the private servers of runs that crashed. Those of runs that go on are locked and stay.
func sweepDirs(ctx context.Context) {
	inMemory, _ := filepath.Glob(filepath.Join(memoryDir, dirPrefix+"*")) // fails for a bad pattern only
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	for _, dir := range append(left, inMemory...) {
		if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		_ = cluster.Destroy(ctx, dir, slog.New(slog.DiscardHandler))
	}
}

// openNamed uses a server that others may use too. This run's databases are marked by a lock that dies with the process.
func openNamed(ctx context.Context, url string) (*Server, error) {
	s, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	lock, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return nil, err
	}
	if _, err := lock.Exec(ctx, "SELECT pg_advisory_lock($1)", lockOf(s.run)); err != nil {
		return nil, err
	}
	s.sweep(ctx)
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	s.close = func(ctx context.Context) error {
		s.dropRun(ctx, s.run)
		s.admin.Close()
		return lock.Close(ctx)
	}
	return s, nil
}

func connect(ctx context.Context, url string) (*Server, error) {
	admin, err := pgxpool.New(ctx, withDatabase(url, "postgres"))
	if err != nil {
		return nil, err
	}
	return &Server{admin: admin, url: withDatabase(url, "postgres"), run: newRun()}, nil
}

func lockOf(run string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(run)) // never fails
	return int64(h.Sum64())
}

// sweep drops the databases of runs that crashed.
func (s *Server) sweep(ctx context.Context) {
	for _, name := range s.databases(ctx, namePrefix) {
		run, _, _ := strings.Cut(strings.TrimPrefix(name, namePrefix), "_")
		run = namePrefix + run
		var free bool
		err := s.admin.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", lockOf(run)).Scan(&free)
		if err == nil && free && run != s.run {
			s.purge(ctx, name)
			s.drop(name)
		}
	}
}

// purge removes what a test placed on the server and did not live to remove.
func (s *Server) purge(ctx context.Context, name string) {
	quiet := slog.New(slog.DiscardHandler)
	d, err := db.Open(ctx, s.URL(name), db.WithLogger(quiet))
	if err != nil {
		return // a template, which has nothing placed
	}
	defer d.Close()
	keys, err := secret.NewKeyring(testKey)
	if err != nil {
		return
	}
	p, err := provision.New(ctx, provision.Config{DB: d, Keys: keys, Logger: quiet})
	if err != nil {
		return
	}
	defer p.Close()
	_ = p.Purge(ctx) // what cannot be removed now has lost its journal after this, and is an operator's to remove
}

func (s *Server) dropRun(ctx context.Context, run string) {
	for _, name := range s.databases(ctx, run) {
		s.drop(name)
	}
}

func (s *Server) databases(ctx context.Context, prefix string) []string {
	rows, err := s.admin.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", prefix)
	if err != nil {
		return nil
	}
	names, _ := pgx.CollectRows(rows, pgx.RowTo[string]) // what cannot be read now is dropped by the next run
	return names
}
