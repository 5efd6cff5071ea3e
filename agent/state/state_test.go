package state_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bulkhead/agent/state"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("STATE_TEST_WRITE"); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

// writeForEver is the process that a test kills while it writes.
func writeForEver(path string) {
	d, err := state.Open(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for boot := uint64(1); ; boot++ {
		m := state.Memory{Serial: serial, Boot: boot, Assignments: make([]wire.Assignment, boot%50)}
		for i := range m.Assignments {
			m.Assignments[i] = wire.Assignment{Realm: strings.Repeat("r", int(boot%40)), Project: 1, App: 2, Stage: wire.Prod}
		}
		if err := d.Remember(m); err != nil {
			os.Exit(1)
		}
		if boot == 5 {
			fmt.Println("writing")
		}
	}
}

const serial = wire.Serial("3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f")

func open(t *testing.T, path string) *state.Dir {
	t.Helper()
	d, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestWhatIsRememberedIsRecalled(t *testing.T) {
	t.Parallel()
	d := open(t, filepath.Join(t.TempDir(), "new", "folder"))
	if m, broken := d.Recall(serial); m.Boot != 0 || broken {
		t.Errorf("a new folder remembers %+v", m)
	}
	want := []wire.Assignment{{Realm: "realm-1-2-prod", Project: 1, App: 2, Stage: wire.Prod}}
	if err := d.Remember(state.Memory{Serial: serial, Boot: 3, Assignments: want}); err != nil {
		t.Fatal(err)
	}
	if m, _ := d.Recall(serial); m.Boot != 3 || len(m.Assignments) != 1 || m.Assignments[0].Realm != want[0].Realm {
		t.Errorf("recalled %+v", m)
	}
	if m, broken := d.Recall(wire.NewSerial()); m.Boot != 0 || len(m.Assignments) != 0 || broken {
		t.Errorf("another device recalls %+v", m)
	}
}

func TestNobodyElseReadsTheFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	d := open(t, path)
	if err := d.Remember(state.Memory{Serial: serial}); err != nil {
		t.Fatal(err)
	}
	if err := d.WriteStatus(state.Status{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "memory.json": 0o600, "status.json": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: mode %v, %v", name, info.Mode().Perm(), err)
		}
	}
}

func TestAFolderThatOthersCanWriteIsRefused(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if err := os.Chmod(path, 0o777); err != nil { //nolint:gosec // that is the test
		t.Fatal(err)
	}
	if _, err := state.Open(path); errs.KindOf(err) != wire.Invalid || !strings.Contains(errs.UserText(err), "chmod 700") {
		t.Errorf("got %v", err)
	}
}

func TestAFolderInUseIsRefused(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := open(t, path)
	_, err := state.Open(path)
	if errs.KindOf(err) != wire.Conflict || !strings.Contains(errs.UserText(err), path+" is in use by another agent") {
		t.Errorf("got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Error(err)
	}
}

func TestABrokenFileCostsWhatItRemembered(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "truncated": `{"version":1,"ser`, "no JSON": "\x00\x01"} {
		path := t.TempDir()
		write(t, filepath.Join(path, "memory.json"), text)
		d := open(t, path)
		if m, broken := d.Recall(serial); m.Serial != serial || m.Boot != 0 || !broken {
			t.Errorf("%s: %+v, broken %v", name, m, broken)
		}
	}
}

func TestAFolderOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	write(t, filepath.Join(path, "memory.json"), `{"version":2,"serial":7}`)
	_, err := state.Open(path)
	if errs.KindOf(err) != wire.Conflict || !strings.Contains(errs.UserText(err), "is of version 2, this agent reads 1") {
		t.Errorf("got %v", err)
	}
	write(t, filepath.Join(path, "memory.json"), `{"version":1}`)
	open(t, path) // the refusal gave the lock back
}

func TestAFolderThatCannotBeMadeIsSaidSo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	if _, err := state.Open(filepath.Join(file, "state")); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestTheStatusTellsWhetherTheAgentRuns(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if _, err := state.ReadStatus(path); errs.KindOf(err) != wire.NotFound {
		t.Errorf("before any agent: %v", err)
	}
	d := open(t, path)
	if err := d.WriteStatus(state.Status{PID: 7, Realms: []state.Realm{{Realm: "device-1", Joined: true}}}); err != nil {
		t.Fatal(err)
	}
	if s, err := state.ReadStatus(path); err != nil || !s.Running || s.PID != 7 || !s.Realms[0].Joined {
		t.Errorf("while it runs: %+v, %v", s, err)
	}
	_ = d.Close()
	if s, err := state.ReadStatus(path); err != nil || s.Running {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

// A process is killed again and again while it writes: each time the next start finds a whole file and no litter.
func TestAKillWhileWritingLeavesAWholeFile(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	for range 5 {
		killWhileWriting(t, path)
		d, err := state.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if m, broken := d.Recall(serial); broken || m.Boot < 5 {
			t.Fatalf("recalled %+v, broken %v", m, broken)
		}
		if litter, _ := filepath.Glob(filepath.Join(path, ".new-*")); len(litter) > 0 {
			t.Errorf("left: %v", litter)
		}
		_ = d.Close()
	}
}

func killWhileWriting(t *testing.T, path string) {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this test's own program
	cmd.Env = append(os.Environ(), "STATE_TEST_WRITE="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "writing\n" {
		t.Errorf("the process said %q", line)
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
