package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/dev"
	"bulkhead/wire"
)

func realmOf(p dev.ReadyProject) string { return p.Name + "/" + p.Installations[0].App + "@prod" }

func rows(t *testing.T, d *runningDev, p dev.ReadyProject, flags ...string) []wire.Row {
	t.Helper()
	return cli[[]wire.Row](t, d, append([]string{"history", realmOf(p), p.Installations[0].Table}, flags...)...)
}

// One start serves many sentences: a start costs seconds.
func TestAfterDevIsReady(t *testing.T) {
	t.Parallel()
	d := newSite(t).start(t)
	a, b := d.ready.Projects[0], d.ready.Projects[1]

	t.Run("it greets in at most twelve lines, with four commands that work", func(t *testing.T) { greeting(t, d) })
	t.Run("rows arrive once a second in both projects", func(t *testing.T) {
		for _, p := range d.ready.Projects {
			arriveOnceASecond(t, d, p)
		}
	})
	t.Run("a row says which device it is from", func(t *testing.T) {
		for _, p := range d.ready.Projects {
			for _, row := range rows(t, d, p, "--limit", "3") {
				if key := row["device_key"]; key != float64(p.Devices[0].Key) {
					t.Errorf("%s: device_key %v, want %d", p.Name, key, p.Devices[0].Key)
				}
				if row["authid"] != string(p.Devices[0].Serial) {
					t.Errorf("%s: authid %v", p.Name, row["authid"])
				}
			}
		}
	})
	t.Run("an agent answers ping, info and metrics in both of its realms", func(t *testing.T) { functions(t, d, a) })
	t.Run("a project's database credential reads nothing of another", func(t *testing.T) { databaseWall(t, d, a, b) })
	t.Run("an agent that is killed comes back and its rows go on", func(t *testing.T) { killAgent(t, d, b) })
	t.Run("an agent listens on nothing and is small", func(t *testing.T) { agentProcess(t, d.ready.PIDs.Agents[0]) })
	t.Run("a suspended device goes and comes back", func(t *testing.T) { suspend(t, d, a) })
	t.Run("a project that is full is refused rows, and its neighbour is not", func(t *testing.T) { full(t, d, a, b) })
	t.Run("an export has every row", func(t *testing.T) { export(t, d, a) })
	t.Run("a second dev in the same directory is refused", func(t *testing.T) {
		_, said, err := d.site.try("bulkhead", "dev", "--dir", d.site.dir, "--listen", "127.0.0.1:0")
		wantExit(t, err, 6)
		if !strings.Contains(said, "another bulkhead dev uses") {
			t.Errorf("said %q", said)
		}
	})
	t.Run("a port that is taken is named", func(t *testing.T) {
		other := newSite(t)
		address := strings.TrimPrefix(d.ready.API, "https://")
		_, said, err := other.try("bulkhead", "dev", "--dir", other.dir, "--listen", address)
		wantExit(t, err, 6)
		if !strings.Contains(said, address+" is taken by another program") {
			t.Errorf("said %q", said)
		}
	})
}

func wantExit(t *testing.T, err error, want int) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		t.Errorf("ended with %v, want exit code %d", err, want)
	}
}

func greeting(t *testing.T, d *runningDev) {
	// What is said comes by another way than the ready file, and may come after it.
	until(t, time.Minute, "the end of the greeting", func() bool { return strings.Contains(d.output.String(), "Ctrl-C stops all of it") })
	lines := strings.Split(strings.TrimSpace(d.output.String()), "\n")
	if len(lines) > 12 {
		t.Errorf("%d lines:\n%s", len(lines), d.output)
	}
	commands := 0
	for _, line := range lines {
		command, ok := strings.CutPrefix(line, "  bulkhead ")
		if !ok {
			continue
		}
		commands++
		if out := d.site.run(t, "bulkhead", strings.Fields(command)...); strings.TrimSpace(out) == "" {
			t.Errorf("bulkhead %s printed nothing", command)
		}
	}
	if commands != 4 {
		t.Errorf("%d commands to try, want 4:\n%s", commands, d.output)
	}
	_, rest, _ := strings.Cut(d.output.String(), "codes: bulkhead ")
	command, _, _ := strings.Cut(rest, "   ")
	if code := d.site.run(t, "bulkhead", strings.Fields(command)...); !regexp.MustCompile(`^[0-9]{6}\n$`).MatchString(code) {
		t.Errorf("bulkhead %s printed %q", command, code)
	}
}

// arriveOnceASecond looks at the times that the rows carry, not at the clock of this test.
func arriveOnceASecond(t *testing.T, d *runningDev, p dev.ReadyProject) {
	t.Helper()
	var found []wire.Row
	until(t, time.Minute, "five rows of "+p.Name, func() bool {
		found = rows(t, d, p, "--limit", "5")
		return len(found) == 5
	})
	var gaps []float64
	for i := 1; i < len(found); i++ {
		gaps = append(gaps, found[i]["tsp"].(float64)-found[i-1]["tsp"].(float64))
	}
	if slices.Min(gaps) != 1000 { // a second that passes while the machine hangs has no row
		t.Errorf("%s: %v ms between rows", p.Name, gaps)
	}
	if cpu, ok := found[4]["cpu_percent"].(float64); !ok || cpu < 0 || cpu > 100 {
		t.Errorf("%s: cpu_percent is %v", p.Name, found[4]["cpu_percent"])
	}
}

func functions(t *testing.T, d *runningDev, p dev.ReadyProject) {
	device, installation := p.Devices[0], p.Installations[0]
	for _, name := range []string{wire.FunctionPing, wire.FunctionInfo, wire.FunctionMetrics} {
		d.site.run(t, "bulkhead", "call", p.DeviceRealm, wire.AgentFunction(p.Key, device.Key, name))
		d.site.run(t, "bulkhead", "call", realmOf(p), wire.DeviceFunction(p.Key, device.Key, installation.AppKey, wire.Prod, name))
	}
}

func tableOf(p dev.ReadyProject) string {
	return pgx.Identifier{p.Installations[0].Schema, p.Installations[0].Table}.Sanitize()
}

// asTenant connects to the database with a project's own credential.
func asTenant(t *testing.T, d *runningDev, p dev.ReadyProject) *pgx.Conn {
	t.Helper()
	c := cli[httpapi.DatabaseCredential](t, d, "db", "credentials", realmOf(p))
	config, err := pgx.ParseConfig(d.ready.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	config.User, config.Password, config.Database = c.User, c.Password, c.Database
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func databaseWall(t *testing.T, d *runningDev, a, b dev.ReadyProject) {
	conn := asTenant(t, d, a)
	var count int
	own := tableOf(a)
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+own).Scan(&count); err != nil || count == 0 {
		t.Errorf("its own rows: %d, %v", count, err)
	}
	foreign := tableOf(b)
	for _, statement := range []string{
		"SELECT count(*) FROM " + foreign, "DELETE FROM " + foreign, "LOCK TABLE " + foreign, "CREATE TABLE x (y int)", "DROP TABLE " + own,
		"SELECT * FROM bulkhead.device_secret", "CREATE SCHEMA mine", "COPY (SELECT 1) TO PROGRAM 'true'",
	} {
		if _, err := conn.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s: was allowed", statement)
		}
	}
}

func killAgent(t *testing.T, d *runningDev, p dev.ReadyProject) {
	before := rows(t, d, p, "--limit", "1")[0]["tsp"].(float64)
	if err := syscall.Kill(d.ready.PIDs.Agents[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, time.Minute, "a row after the kill", func() bool {
		return rows(t, d, p, "--limit", "1")[0]["tsp"].(float64) > before+3000
	})
}

// agentProcess looks at the process as the kernel sees it.
func agentProcess(t *testing.T, pid int) {
	sockets := socketsOf(t, pid)
	if len(sockets) == 0 {
		t.Fatal("the agent has no socket at all: looked at the wrong process?")
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "unix"} {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net", table))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if inode, listening := listens(table, strings.Fields(line)); listening && sockets[inode] {
				t.Errorf("it listens: %s %s", table, line)
			}
		}
	}
}

// socketsOf gives the inodes of a process's sockets.
func socketsOf(t *testing.T, pid int) map[string]bool {
	t.Helper()
	folder := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	inodes := map[string]bool{}
	for _, e := range entries {
		link, _ := os.Readlink(filepath.Join(folder, e.Name())) // a descriptor may be closed meanwhile
		if inode, ok := strings.CutPrefix(link, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes
}

// listens reads one line of /proc/net: proc(5) has the columns.
func listens(table string, columns []string) (inode string, listening bool) {
	const tcpListen, tcpInode, unixInode = "0A", 9, 6
	switch {
	case len(columns) <= unixInode:
		return "", false
	case table == "unix":
		return columns[unixInode], columns[3] == "00010000" // the flag of a socket that accepts
	case len(columns) <= tcpInode:
		return "", false
	case strings.HasPrefix(table, "udp"):
		return columns[tcpInode], strings.HasSuffix(columns[2], ":0000") // bound and not connected
	default:
		return columns[tcpInode], columns[3] == tcpListen
	}
}

func suspend(t *testing.T, d *runningDev, p dev.ReadyProject) {
	device := p.Name + "/" + p.Devices[0].Name
	online := func() int {
		n := 0
		for _, s := range cli[[]httpapi.Session](t, d, "session", "list", p.DeviceRealm) {
			if s.AuthID == string(p.Devices[0].Serial) {
				n++
			}
		}
		return n
	}
	if online() == 0 {
		t.Fatal("the device is not there to begin with")
	}
	d.site.run(t, "bulkhead", "device", "suspend", device)
	until(t, time.Minute, "the end of its session", func() bool { return online() == 0 })
	d.site.run(t, "bulkhead", "device", "resume", device)
	until(t, time.Minute, "the device's return", func() bool { return online() > 0 })
}

func export(t *testing.T, d *runningDev, p dev.ReadyProject) {
	out := d.site.run(t, "bulkhead", "db", "export", realmOf(p), p.Installations[0].Table, "--format", "csv")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) < 5 || !strings.HasPrefix(lines[0], "tsp,device_key,authid,") {
		t.Errorf("%d lines, the first is %q", len(lines), lines[0])
	}
}

func TestASecondStartGoesOnWhereTheFirstStopped(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.start(t)
	p := first.ready.Projects[0]
	oldest := rows(t, first, p, "--limit", "10000")[0]["tsp"]
	first.stop(t)
	for _, pid := range append([]int{first.ready.PIDs.Server, first.ready.PIDs.Postgres}, first.ready.PIDs.Agents...) {
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	s.run(t, "bulkhead", "dev", "--dir", s.dir, "--listen", "127.0.0.1:0", "--exit-when-ready")
	second := s.start(t)
	if got := second.ready.Projects[0]; got.Key != p.Key || got.Devices[0].Serial != p.Devices[0].Serial || got.Installations[0].Realm != p.Installations[0].Realm {
		t.Errorf("the samples are others: %+v", got)
	}
	if got := rows(t, second, p, "--limit", "10000")[0]["tsp"]; got != oldest {
		t.Errorf("the oldest row is of %v, was of %v", got, oldest)
	}
}

// Who begins anew, in the same folder or in another, meets a server with other keys at the same address.
func TestTwoStateDirectoriesAfterEachOtherAtOneAddressAreTwoServers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	here := "127." + strconv.Itoa(1+rand.IntN(250)) + ".7.1" // of this test alone, so that nobody takes the port meanwhile
	first := s.start(t, "--listen", here+":0")
	s.run(t, "bulkhead", "audit", "verify")
	first.stop(t)
	s.run(t, "bulkhead", "dev", "reset", "--dir", s.dir)
	second := s.start(t, "--listen", strings.TrimPrefix(first.ready.API, "https://"), "--ops-listen", "127.0.0.1:0")
	if second.ready.API != first.ready.API {
		t.Fatalf("%s is not %s", second.ready.API, first.ready.API)
	}
	for _, want := range []bool{false, true} { // whether it was seen before
		logs := cli[[]struct {
			Since int64 `json:"entries_when_last_seen"`
		}](t, second, "audit", "verify")
		if len(logs) == 0 || logs[0].Since > 0 != want {
			t.Errorf("verified %+v", logs)
		}
	}
}

func TestAKilledServerLeavesNobodyBehindAndTheNextStartRepairsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.start(t)
	p := d.ready.Projects[0]
	newest := rows(t, d, p, "--limit", "1")[0]["tsp"].(float64)
	if err := d.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	d.awaitEnd(t)
	for _, pid := range d.ready.PIDs.Agents {
		until(t, time.Minute, "the end of agent "+strconv.Itoa(pid), func() bool { return !alive(pid) })
	}
	again := s.start(t)
	found := false
	for _, row := range rows(t, again, p, "--limit", "10000") {
		found = found || row["tsp"].(float64) == newest
	}
	if !found {
		t.Error("a row that was stored before the kill is lost")
	}
}

func TestAKilledDatabaseComesBackAndLosesNothing(t *testing.T) {
	t.Parallel()
	d := newSite(t).start(t)
	p := d.ready.Projects[0]
	before := rows(t, d, p, "--limit", "1")[0]["tsp"].(float64)
	if err := syscall.Kill(d.ready.PIDs.Postgres, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var after []wire.Row
	until(t, time.Minute, "rows after the database's return", func() bool {
		out, _, err := d.site.try("bulkhead", "history", realmOf(p), "metrics", "--limit", "10000", "-o", "json")
		if err != nil {
			return false // the database is not back yet
		}
		after = decodeRows(t, out)
		return len(after) > 0 && after[len(after)-1]["tsp"].(float64) > before+5000
	})
	var lost int // of the numbers that the agent gave its rows; a second may have none where the machine hangs
	err := asTenant(t, d, p).QueryRow(t.Context(), "SELECT max(seq) - min(seq) + 1 - count(*) FROM "+tableOf(p)).Scan(&lost)
	if err != nil || lost != 0 {
		t.Errorf("%d rows that were taken are lost: %v", lost, err)
	}
}

func TestAStateDirectoryOfAnotherVersionIsRefusedAndKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	_, said, err := s.try("bulkhead", "dev", "--dir", dir, "--listen", "127.0.0.1:0")
	wantExit(t, err, 2)
	if !strings.Contains(said, "was written by another version of bulkhead") || !strings.Contains(said, "bulkhead dev reset") {
		t.Errorf("said %q", said)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "version")); string(text) != "99\n" {
		t.Errorf("the directory was changed: version is %q", text)
	}
}

func TestADirectoryThatIsNotOursIsRefusedAndKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious.txt")
	if err := os.WriteFile(precious, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	for _, args := range [][]string{{"dev", "--dir", dir, "--listen", "127.0.0.1:0"}, {"dev", "reset", "--dir", dir}} {
		_, _, err := s.try("bulkhead", args...)
		wantExit(t, err, 2)
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestADatabaseThatCannotBeReachedIsSaidInOneSentence(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, said, err := s.try("bulkhead", "dev", "--dir", s.dir, "--listen", "127.0.0.1:0", "--database-url", "postgres://nobody@127.0.0.1:1/none")
	wantExit(t, err, 6)
	if !strings.HasPrefix(said, "bulkhead: the database cannot be reached\n") {
		t.Errorf("said %q", said)
	}
}

func decodeRows(t *testing.T, text string) []wire.Row {
	t.Helper()
	var found []wire.Row
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		t.Fatal(err)
	}
	return found
}
