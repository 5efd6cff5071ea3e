package databackend_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/backend/databackend"
	"bulkhead/db"
	"bulkhead/db/cluster"
	"bulkhead/db/dbtest"
	"bulkhead/db/provision"
	"bulkhead/realms"
	"bulkhead/wire"
)

// stand is an ingest on a real database.
type stand struct {
	*server
	placement databackend.Placement
	admin     *pgxpool.Pool // of a superuser, to the installation's database
}

// newStand provisions an installation through p and serves it.
func newStand(t testing.TB, p *provision.Provisioner, address func(database string) string, change ...func(*databackend.Config)) *stand {
	t.Helper()
	template, err := databackend.ParseTemplate("t.yaml", []byte(rowTemplate))
	if err != nil {
		t.Fatal(err)
	}
	placed, err := p.Provision(t.Context(), realms.OfInstallation(1, 2, wire.Prod), template)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := pgxpool.New(t.Context(), address(placed.Database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	s := &stand{server: newServer(t, db.NewIngest(p), change...), placement: placed, admin: admin}
	if err := s.Forget(placed.Realm); err != nil { // the one of newServer
		t.Fatal(err)
	}
	s.serve(t)
	return s
}

func (s *stand) serve(t testing.TB) {
	t.Helper()
	template, err := databackend.ParseTemplate("t.yaml", []byte(rowTemplate))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(databackend.Installation{Realm: s.placement.Realm, Project: 1, Template: template, Placement: s.placement}); err != nil {
		t.Fatal(err)
	}
}

// stored counts rows, and rows that are there more than once.
func (s *stand) stored(t testing.TB) (rows map[[2]int64]bool, doubles int) {
	t.Helper()
	result, err := s.admin.Query(t.Context(), "SELECT device_key, n FROM "+pgx.Identifier{s.placement.Schema, "plain"}.Sanitize())
	if err != nil {
		t.Fatal(err)
	}
	rows = map[[2]int64]bool{}
	var device, n int64
	if _, err := pgx.ForEachRow(result, []any{&device, &n}, func() error {
		if rows[[2]int64{device, n}] {
			doubles++
		}
		rows[[2]int64{device, n}] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return rows, doubles
}

// produce has devices append rows until stop is closed, and gives the rows that were answered for. A row that was not
// answered for is sent again as it was, as an SDK does.
func (s *stand) produce(t testing.TB, devices int, stop <-chan struct{}) (answered map[[2]int64]bool, spilled int64) {
	answered = map[[2]int64]bool{}
	var mu sync.Mutex
	var disk atomic.Int64
	var all sync.WaitGroup
	for d := 1; d <= devices; d++ {
		all.Go(func() {
			for n := int64(1); ; n++ {
				sub := wire.Submission{Realm: s.placement.Realm, Table: "plain", Device: wire.Key(d), AuthID: fmt.Sprint("dev-", d),
					Args: []any{map[string]any{"n": n, "tsp": uint64(1767225600000 + n)}}, Kwargs: map[string]any{"seq": uint64(n)}}
				for {
					select {
					case <-stop:
						return
					default:
					}
					reply, err := s.Append(t.Context(), sub)
					if err != nil {
						continue
					}
					if reply.Durable == string(databackend.Spilled) {
						disk.Add(1)
					}
					mu.Lock()
					answered[[2]int64{int64(d), n}] = true
					mu.Unlock()
					break
				}
			}
		})
	}
	all.Wait()
	return answered, disk.Load()
}

func (s *stand) check(t testing.TB, answered map[[2]int64]bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := s.Flush(ctx, s.placement.Realm); err != nil {
		t.Fatal(err)
	}
	rows, doubles := s.stored(t)
	lost := 0
	for row := range answered {
		if !rows[row] {
			lost++
		}
	}
	if lost > 0 || doubles > 0 {
		t.Errorf("of %d rows that were answered for, %d are lost and %d are there twice", len(answered), lost, doubles)
	}
}

func TestNothingIsLostOrDoubledWhileConnectionsAreKilled(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	s := newStand(t, dbtest.NewProvisioner(t, d), dbtest.Get(t).URL)
	stop, killed := make(chan struct{}), 0
	killer := sync.WaitGroup{}
	killer.Go(func() {
		defer close(stop)
		for range 12 {
			var n int
			err := s.admin.QueryRow(t.Context(), `SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE application_name = 'bulkhead ingest' AND datname = current_database()) k`).Scan(&n)
			if err != nil {
				t.Error(err)
				return
			}
			if !s.awaitStored(t, 30) {
				return
			}
			killed += n
		}
	})
	answered, spilled := s.produce(t, 8, stop)
	killer.Wait()
	t.Logf("%d rows answered for, %d of them on disk first, %d connections killed", len(answered), spilled, killed)
	if killed < 5 || spilled == 0 {
		t.Error("the test tested nothing")
	}
	s.check(t, answered)
}

func TestNothingIsLostOrDoubledWhenTheDatabaseServerDies(t *testing.T) {
	t.Parallel()
	c, err := cluster.Start(t.Context(), cluster.Config{Dir: t.TempDir() + "/pg", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	platform, err := db.Open(t.Context(), c.URL(), db.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(platform.Close)
	if err := platform.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := provision.New(t.Context(), provision.Config{DB: platform, Keys: dbtest.Keys(t), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	s := newStand(t, p, func(database string) string { return withDatabase(t, c.URL(), database) })
	stop := make(chan struct{})
	killer := sync.WaitGroup{}
	killer.Go(func() {
		defer close(stop)
		for range 2 {
			if !s.awaitStored(t, 100) {
				return
			}
			if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			s.awaitSpilled(t, 50)
		}
	})
	answered, spilled := s.produce(t, 4, stop)
	killer.Wait()
	t.Logf("%d rows answered for, %d of them on disk first", len(answered), spilled)
	if spilled == 0 {
		t.Error("the test tested nothing")
	}
	s.check(t, answered)
}

func withDatabase(t testing.TB, address, database string) string {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=%s", config.Host, config.Port, config.User, config.Password, database)
}

// awaitStored waits until so many more rows are stored.
func (s *stand) awaitStored(t testing.TB, more uint64) bool {
	return s.await(t, func(st databackend.Stats) uint64 { return st.Stored }, more)
}

func (s *stand) awaitSpilled(t testing.TB, more uint64) bool {
	return s.await(t, func(st databackend.Stats) uint64 { return st.Spilled }, more)
}

func (s *stand) await(t testing.TB, what func(databackend.Stats) uint64, more uint64) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	from := what(s.Stats()[0])
	for what(s.Stats()[0]) < from+more {
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("nothing happens: %+v", s.Stats())
			return false
		}
	}
	return true
}

const crashDir = "BULKHEAD_TEST_CRASH_DIR"

// TestMainOfTheProcessThatIsKilled is the process that the next test kills; it appends rows for ever and prints the number
// of each that was answered for.
func TestMainOfTheProcessThatIsKilled(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("run by another test")
	}
	s := newServer(t, &scripted{fail: down}, func(c *databackend.Config) { c.Dir = dir })
	for n, err := strconv.Atoi(os.Getenv(crashDir + "_FROM")); err == nil; n++ {
		mustAppend(t, s, number(n), databackend.Spilled)
		fmt.Printf("answered %d\n", n)
	}
}

func TestWhatAKilledProcessAnsweredForIsStoredOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var answered []int64
	for range 5 {
		answered = append(answered, killProcess(t, dir, len(answered)+1)...)
	}
	w := &scripted{}
	s := newServer(t, w, func(c *databackend.Config) { c.Dir = dir })
	mustFlush(t, s)
	got := w.numbers("p_x.plain")
	for _, n := range answered {
		if i := slices.Index(got, n); i < 0 {
			t.Fatalf("row %d of %d was answered for and is lost", n, len(answered))
		}
	}
	t.Logf("%d rows answered for in 5 processes that were killed, %d stored", len(answered), len(got))
	slices.Sort(got)
	// A row that was written and not answered for may be there; the next process sends that number anew.
	if extra := len(got) - len(slices.Compact(slices.Clone(got))); extra > 5 {
		t.Errorf("%d rows are there twice", extra)
	}
}

// killProcess runs a process that appends rows from a number on, kills it, and gives what it answered for.
func killProcess(t *testing.T, dir string, from int) (answered []int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestMainOfTheProcessThatIsKilled$", "-test.v")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("%s_FROM=%d", crashDir, from))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n int64
		if _, err := fmt.Sscanf(lines.Text(), "answered %d", &n); err != nil {
			continue
		}
		if answered = append(answered, n); len(answered) == 40 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if len(answered) < 40 {
		t.Fatalf("the process ended after %d rows", len(answered))
	}
	return answered
}
