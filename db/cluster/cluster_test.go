package cluster

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("CLUSTER_TEST_HOLD"); dir != "" {
		hold(dir)
	}
	goleak.VerifyTestMain(m)
}

// hold is a process that starts a cluster and then does nothing, until somebody kills it.
func hold(dir string) {
	c, err := Start(context.Background(), Config{Dir: dir, Settings: fast})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	println("pid", c.PID())
	select {}
}

var fast = map[string]string{"fsync": "off"}

func start(t *testing.T, dir string) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), Config{Dir: dir, Settings: fast, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop(context.Background()) })
	return c
}

func exec1(t *testing.T, c *Cluster, sql string, result any) {
	t.Helper()
	conn := connect(t, c)
	defer conn.Close(t.Context())
	row := conn.QueryRow(t.Context(), sql)
	if err := row.Scan(result); err != nil && err != pgx.ErrNoRows {
		t.Fatalf("%s: %v", sql, err)
	}
}

// connect retries, because a server that was killed is started again a moment later.
func connect(t *testing.T, c *Cluster) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.URL())
		if err == nil {
			return conn
		}
		if !sleep(ctx, 10*time.Millisecond) {
			t.Fatal(err)
		}
	}
}

func TestWhatIsCommittedIsThereAfterStopAndStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "closed", "db")
	begin := time.Now()
	c := start(t, dir)
	t.Logf("first start %v", time.Since(begin))
	var n int
	exec1(t, c, "CREATE TABLE kept (n int)", &n)
	exec1(t, c, "INSERT INTO kept VALUES (7)", &n)
	begin = time.Now()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("stop %v", time.Since(begin))
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("stopping twice: %v", err)
	}
	begin = time.Now()
	c = start(t, dir)
	t.Logf("second start %v", time.Since(begin))
	if exec1(t, c, "SELECT n FROM kept", &n); n != 7 {
		t.Errorf("n = %d after restart", n)
	}
}

func TestPsqlConnectsWithTheURL(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir())
	out, err := exec.Command("psql", c.URL(), "-Atc", "SELECT current_user").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != User {
		t.Errorf("psql: %s %v", out, err)
	}
}

func TestTheDirectoryStaysClosedAndNoPortIsOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, dir)
	for _, path := range []string{dir, c.layout.data(), c.layout.run()} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	var addresses string
	if exec1(t, c, "SHOW listen_addresses", &addresses); addresses != "" {
		t.Errorf("listens on %q", addresses)
	}
	for name, want := range map[string]string{"data_checksums": "on", "full_page_writes": "on", "server_encoding": "UTF8"} {
		var got string
		if exec1(t, c, "SHOW "+name, &got); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
}

func TestNobodyComesInWithoutThePassword(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir())
	config, err := pgx.ParseConfig(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", "wrong"} {
		config.Password = password
		if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
			conn.Close(t.Context())
			t.Errorf("password %q lets in", password)
		}
	}
}

func TestALongPathPutsTheSocketElsewhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	c := start(t, dir)
	var one int
	if exec1(t, c, "SELECT 1", &one); one != 1 {
		t.Error("not reached")
	}
	run := c.layout.run()
	if len(run) > maxSocketDir || strings.HasPrefix(run, dir) {
		t.Errorf("socket in %s", run)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(run); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", run, err)
	}
}

func TestAServerThatIsKilledIsStartedAgainWithAllThatWasCommitted(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir())
	var n int
	exec1(t, c, "CREATE TABLE kept AS SELECT 7 AS n", &n)
	before := c.PID()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if exec1(t, c, "SELECT n FROM kept", &n); n != 7 {
		t.Errorf("n = %d", n)
	}
	if c.PID() == before {
		t.Error("same process")
	}
}

func TestASecondProcessIsRefusedTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir)
	_, err := Start(t.Context(), Config{Dir: dir})
	if errs.KindOf(err) != wire.Unavailable || !strings.Contains(errs.UserText(err), "another process") {
		t.Errorf("got %v", err)
	}
	if err := Destroy(t.Context(), dir, slog.New(slog.DiscardHandler)); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("destroyed under a running server: %v", err)
	}
}

func TestOneSentenceSaysWhatToDoWhenItCannotStart(t *testing.T) {
	t.Parallel()
	otherVersion := t.TempDir()
	mustWrite(t, filepath.Join(otherVersion, "data", "PG_VERSION"), "9\n")
	notData := t.TempDir()
	mustWrite(t, filepath.Join(notData, "data", "photo.jpg"), "x")
	noPassword := t.TempDir()
	c := start(t, noPassword)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(noPassword, "superuser")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"no binaries":   {Config{Dir: t.TempDir(), BinDirs: []string{t.TempDir()}}, "apt-get install postgresql)"},
		"other version": {Config{Dir: otherVersion}, "apt-get install postgresql-9)"},
		"no data":       {Config{Dir: notData}, "is not a data directory of PostgreSQL"},
		"no password":   {Config{Dir: noPassword}, "password is gone"},
		"bad setting":   {Config{Dir: t.TempDir(), Settings: map[string]string{"shared_buffers": "many"}}, "PostgreSQL does not start: invalid value"},
	} {
		_, err := Start(t.Context(), test.config)
		if text := errs.UserText(err); errs.KindOf(err) != wire.Unavailable || !strings.Contains(text, test.want) || strings.Contains(text, "\n") {
			t.Errorf("%s: %v\ntells %q", name, err, errs.UserText(err))
		}
	}
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnInterruptedInitdbIsBegunAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "data.new", "base", "half"), "x")
	mustWrite(t, filepath.Join(dir, "superuser"), "kept")
	c := start(t, dir)
	if string(c.password.Reveal()) != "kept" {
		t.Error("password drawn anew")
	}
}

func TestAPidFileWithTheNumberOfAStrangerIsStale(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, dir)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	for _, file := range []string{"data/postmaster.pid", "run/.s.PGSQL.5432.lock"} {
		path := filepath.Join(dir, file)
		mustWrite(t, path, itoa(stranger.Process.Pid)+"\n"+dataFD+"\n1\n5432\n"+runFD+"\n\n  1 1\nready   \n")
		if err := c.layout.user.own(path); err != nil {
			t.Fatal(err)
		}
	}
	start(t, dir)
	if stranger.Process.Signal(syscall.Signal(0)) != nil {
		t.Error("the stranger was ended")
	}
}
