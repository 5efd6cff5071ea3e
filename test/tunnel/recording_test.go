package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/jackc/pgx/v5"

	"bulkhead/db/cluster"
	"bulkhead/internal/cast"
)

// recorded is a recording as `bulkhead recording list` has it.
type recorded struct {
	ID      string `json:"id"`
	Tunnel  string `json:"tunnel"`
	State   string `json:"state"`
	Ended   string `json:"ended"`
	Chunks  int64  `json:"chunks"`
	ByName  string `json:"by_name"`
	Session int    `json:"session"`
}

func recordings(t *testing.T, project, device string) []recorded {
	t.Helper()
	return must[[]recorded](t, nil, "recording", "list", "--project", project, "--device", device)
}

// station is a device of its own: recordings are found by their device.
type station struct {
	t     *testing.T
	name  string // PROJECT/NAME
	agent *exec.Cmd
}

func newStation(t *testing.T, project, name, policy string) *station {
	t.Helper()
	dir := t.TempDir()
	flash, file := filepath.Join(dir, "flash"), filepath.Join(dir, "policy.yaml")
	if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(file, []byte(policy), 0o600)); err != nil {
		t.Fatal(err)
	}
	must[any](t, nil, "device", "create", name, "--project", project, "--flash-file", flash)
	s := &station{t: t, name: project + "/" + name}
	s.agent = exec.Command(filepath.Join(shared.programs, "bulkhead-agent"), "run", "--flash-file", flash, "--state-dir", filepath.Join(dir, "state"), "--policy-file", file)
	if err := s.agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.agent.Process.Kill(); _ = s.agent.Wait() })
	for deadline := time.Now().Add(time.Minute); ; { // until it is there
		out, told, code := shared.run(t, nil, "", "call", "device-"+shared.project(project), shared.project(project)+"."+s.key()+".ping", "-o", "json")
		if code == 0 {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the device does not come: %s%s", out, told)
		}
	}
}

func (w *world) project(name string) string {
	for _, p := range w.ready.Projects {
		if p.Name == name {
			return p.Key.String()
		}
	}
	return ""
}

func (s *station) key() string {
	s.t.Helper()
	return fmt.Sprint(must[struct {
		Key int64 `json:"key"`
	}](s.t, nil, "device", "show", s.name).Key)
}

func (s *station) recordings() []recorded {
	project, name, _ := strings.Cut(s.name, "/")
	return recordings(s.t, project, name)
}

// one waits until there is one recording and it is as asked.
func (s *station) one(as func(recorded) bool) recorded {
	s.t.Helper()
	var list []recorded
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if list = s.recordings(); len(list) == 1 && as(list[0]) {
			return list[0]
		}
	}
	s.t.Fatalf("recordings: %+v", list)
	return recorded{}
}

const (
	allowShells  = "version: 1\nallow:\n  - {protocol: pty, shell: /bin/sh}\n  - {protocol: tcp, hosts: [127.0.0.1], ports: [\"1-65535\"]}\n"
	recordShells = "version: 1\nallow:\n  - {protocol: pty, shell: /bin/sh, recording: required}\n  - {protocol: tcp, hosts: [127.0.0.1], ports: [\"1-65535\"], recording: required}\n"
)

// database connects to the server's database as its operator.
func database(t *testing.T) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(shared.ready.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	config.Database = cluster.Database // the URL is that of the samples' rows
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestAShellIsRecordedOnDemandPlayedAndExported(t *testing.T) {
	t.Parallel()
	s := newStation(t, "plant-a", "recorder-1", allowShells)
	if out, told, code := shared.run(t, nil, "", "ssh", s.name, "echo not recorded"); code != 0 || len(s.recordings()) != 0 {
		t.Fatalf("%q, %q, %d, %v", out, told, code, s.recordings())
	}
	const command = `printf 'first\r\n'; stty size; printf '\033[31mred\033[0m \033]0;title\007grün\n'; echo err >&2; exit 3`
	out, told, code := shared.run(t, nil, "", "ssh", s.name, "--record", "-t", command)
	if code != 3 || !strings.Contains(out, "first") {
		t.Fatalf("%q, %q, %d", out, told, code)
	}
	made := s.recordings()
	if len(made) != 1 || made[0].State != "complete" { // kept before the command's end was told
		t.Fatalf("%+v", made)
	}
	id := made[0].ID
	text, told, code := shared.run(t, nil, "", "recording", "export", id, "--format", "text")
	if code != 0 || !strings.Contains(text, "\nred grün\n") || !strings.Contains(text, "err\n") || strings.ContainsRune(text, 0x1b) || !strings.Contains(told, "verified: ") || !strings.Contains(told, "known here") {
		t.Errorf("%q, %q, %d", text, told, code)
	}
	file := filepath.Join(t.TempDir(), "shell.cast")
	if _, told, code := shared.run(t, nil, "", "recording", "export", id, "--format", "cast", "--file", file); code != 0 {
		t.Fatalf("%q, %d", told, code)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(whole), "\n"), "\n")
	if h, err := cast.ParseHeader([]byte(lines[0])); err != nil || h.Command != command || h.Width != 80 || h.Height != 24 {
		t.Errorf("%+v, %v", h, err)
	}
	shown := ""
	for _, line := range lines[1:] {
		e, err := cast.ParseEvent([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		shown += e.Data
	}
	if shown != out {
		t.Errorf("recorded %q, shown %q", shown, out)
	}
	played, told, code := shared.run(t, nil, "", "recording", "play", id, "--speed", "1000")
	if code != 0 || !strings.Contains(played, "\x1b[31mred\x1b[0m grün") || strings.Contains(played, "title") {
		t.Errorf("%q, %q, %d", played, told, code)
	}
	var done []string
	for _, e := range must[[]struct {
		Action string `json:"action"`
		After  struct {
			Recording string `json:"recording"`
			Purpose   string `json:"purpose"`
			State     string `json:"state"`
		} `json:"after"`
	}](t, nil, "audit", "list", "--project", "plant-a", "--action", "recording", "--limit", "200") {
		if e.After.Recording == id {
			done = append(done, strings.TrimSpace(e.Action+" "+e.After.Purpose))
		}
	}
	if got := strings.Join(done, ", "); got != "recording.read play, recording.read export, recording.read export, recording.end, recording.begin" {
		t.Errorf("on record: %s", got)
	}
}

func TestNobodyPlaysTheRecordingsOfOthers(t *testing.T) {
	t.Parallel()
	s := newStation(t, "plant-a", "recorder-2", allowShells)
	if _, told, code := shared.run(t, nil, "", "ssh", s.name, "--record", "true"); code != 0 {
		t.Fatalf("%q, %d", told, code)
	}
	id := s.one(func(r recorded) bool { return r.State == "complete" }).ID
	stranger, _ := keyOf(t, "playing-stranger", "plant-b", "device.read,device.recording", oven)
	for _, verb := range []string{"play", "export"} {
		real, toldReal, code := shared.run(t, &stranger, "", "recording", verb, id)
		none, toldNone, _ := shared.run(t, &stranger, "", "recording", verb, "NONE.1")
		if code != 3 || real+toldReal != none+toldNone {
			t.Errorf("%s of another project: %d, %q, and of none %q", verb, code, toldReal, toldNone)
		}
	}
	looker, _ := keyOf(t, "playing-looker", "plant-a", "device.read,device.terminal", s.name)
	if _, told, code := shared.run(t, &looker, "", "recording", "play", id); code != 4 || !strings.Contains(told, "device.recording") {
		t.Errorf("who may open shells only: %d, %q", code, told)
	}
	auditor, _ := keyOf(t, "playing-auditor", "plant-a", "device.read,device.recording", s.name)
	if _, told, code := shared.run(t, &auditor, "", "recording", "play", id, "--speed", "1000"); code != 0 {
		t.Errorf("who may play: %d, %q", code, told)
	}
}

func TestADevicesOwnPolicyDemandsRecordings(t *testing.T) {
	t.Parallel()
	s := newStation(t, "plant-a", "recorder-3", recordShells)
	target := echo(t)
	if _, told, code := shared.run(t, nil, "", "tunnel", "open", s.name, "--to", target); code != 4 || !strings.Contains(told, "recording") {
		t.Errorf("a connection: %d, %q", code, told)
	}
	if _, told, code := shared.run(t, nil, "", "ssh", s.name, "--stdio", target); code != 4 || !strings.Contains(told, "recording") {
		t.Errorf("a connection on standard input: %d, %q", code, told)
	}
	if out, told, code := shared.run(t, nil, "", "ssh", s.name, "echo by policy"); code != 0 || out != "by policy\n" {
		t.Fatalf("%q, %q, %d", out, told, code)
	}
	one := s.one(func(r recorded) bool { return r.State == "complete" })
	if text, told, code := shared.run(t, nil, "", "recording", "export", one.ID, "--format", "text"); code != 0 || text != "$ echo by policy\nby policy\n" {
		t.Errorf("%q, %q, %d", text, told, code)
	}
}

// tamper changes a recording in the database, as who owns that can.
func tamper(t *testing.T, one recorded, sql string) {
	t.Helper()
	conn := database(t)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `UPDATE bulkhead.recording_chunk SET body = 'x' WHERE tunnel_id = $1`, one.Tunnel); err == nil {
		t.Error("a chunk can be changed in passing")
	}
	_ = tx.Rollback(t.Context())
	alter(t, conn, one, sql)
}

// alter changes what the database has of a recording, past its triggers.
func alter(t *testing.T, conn *pgx.Conn, one recorded, sql string) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`SET LOCAL session_replication_role = replica`, strings.ReplaceAll(sql, "$1", "'"+one.Tunnel+"'")} {
		if _, err := tx.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestARecordingThatIsAlteredInTheDatabaseFailsItsVerification(t *testing.T) {
	t.Parallel()
	s := newStation(t, "plant-a", "recorder-4", allowShells)
	if _, told, code := shared.run(t, nil, "", "ssh", s.name, "--record", "head -c 100000 /dev/zero | tr '\\0' x; echo end"); code != 0 {
		t.Fatalf("%q, %d", told, code)
	}
	one := s.one(func(r recorded) bool { return r.State == "complete" && r.Chunks >= 3 })
	file := filepath.Join(t.TempDir(), "altered.cast")
	for _, sql := range []string{
		`UPDATE bulkhead.recording_chunk SET body = set_byte(body, 5, get_byte(body, 5) # 1) WHERE tunnel_id = $1 AND sequence = 1`,
		`UPDATE bulkhead.recording_chunk SET body = set_byte(body, 5, get_byte(body, 5) # 1) WHERE tunnel_id = $1 AND sequence = 1;
			DELETE FROM bulkhead.recording_chunk WHERE tunnel_id = $1 AND sequence = 2`,
		`DELETE FROM bulkhead.recording_chunk WHERE tunnel_id = $1 AND sequence >= 2;
			UPDATE bulkhead.recording SET chunks = 2 WHERE tunnel_id = $1`, // the end is cut off, and the count with it
	} {
		tamper(t, one, sql)
		if out, told, code := shared.run(t, nil, "", "recording", "play", one.ID, "--speed", "1000"); code != 7 || out != "" || !strings.Contains(told, "verification failed") {
			t.Errorf("played: %d, %.100q, %q", code, out, told)
		}
		if _, told, code := shared.run(t, nil, "", "recording", "export", one.ID, "--file", file); code != 7 {
			t.Errorf("exported: %d, %q", code, told)
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("what is not verified is in the file")
		}
	}
}

// shellAt is a `bulkhead ssh` at a terminal.
type shellAt struct {
	command *exec.Cmd
	at      *os.File
	shown   *lines
	read    sync.WaitGroup
}

func attend(t *testing.T, args ...string) *shellAt {
	t.Helper()
	s := &shellAt{command: shared.command(context.Background(), nil, args...), shown: &lines{}}
	at, err := pty.StartWithSize(s.command, &pty.Winsize{Rows: 30, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	s.at = at
	s.read.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := at.Read(b)
			_, _ = s.shown.Write(b[:n])
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() { _ = s.command.Process.Kill(); _ = s.command.Wait(); _ = at.Close(); s.read.Wait() })
	return s
}

func (s *shellAt) await(t *testing.T, what string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.shown.String(), what); {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not shown: %q", what, s.shown)
		}
		tick := time.NewTimer(10 * time.Millisecond)
		<-tick.C
	}
}

func TestAKilledAgentLeavesItsRecordingUpToTheLastChunk(t *testing.T) {
	t.Parallel()
	s := newStation(t, "plant-a", "recorder-5", recordShells)
	shell := attend(t, "ssh", s.name)
	shell.await(t, "this shell is recorded")
	_, _ = shell.at.WriteString("echo kept-$((40+2))\n")
	shell.await(t, "kept-42")
	one := s.one(func(r recorded) bool {
		if r.Chunks < 2 {
			return false
		}
		text, _, code := shared.run(t, nil, "", "recording", "export", r.ID, "--format", "text")
		return code == 0 && strings.Contains(text, "kept-42")
	})
	_ = s.agent.Process.Signal(syscall.SIGKILL)
	_ = s.agent.Wait()
	_ = shell.command.Wait()
	ends(t, one.Tunnel)
	alter(t, database(t), one, `UPDATE bulkhead.tunnel SET closed_at = closed_at - interval '1 minute', opened_at = opened_at - interval '1 minute' WHERE id = $1;
		UPDATE bulkhead.recording SET last_at = last_at - interval '1 minute' WHERE tunnel_id = $1`) // a device has some time for an end
	one = s.one(func(r recorded) bool { return r.State == "cut" })
	if one.Ended == "" {
		t.Error("nobody says why")
	}
	text, told, code := shared.run(t, nil, "", "recording", "export", one.ID, "--format", "text")
	if code != 0 || !strings.Contains(text, "kept-42") || !strings.Contains(told, "not the whole shell") {
		t.Errorf("%q, %q, %d", text, told, code)
	}
}

// The backend cannot keep chunks: a row lock stands for all that keeps it from that for longer than the window.
func TestAShellEndsWhoseRecordingIsNotKeptInTime(t *testing.T) {
	t.Parallel()
	s := newStation(t, "plant-a", "recorder-6", recordShells)
	shell := attend(t, "ssh", s.name)
	_, _ = shell.at.WriteString("echo before-$((40+2))\n")
	shell.await(t, "before-42")
	one := s.one(func(r recorded) bool { return r.Chunks >= 1 })
	conn := database(t)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM bulkhead.recording WHERE tunnel_id = $1 FOR UPDATE`, one.Tunnel); err != nil {
		t.Fatal(err)
	}
	_, _ = shell.at.WriteString("echo after-$((40+2))\n")
	shell.await(t, "its recording was not kept within 10s")
	err = shell.command.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 6 {
		t.Errorf("the command ends with %v: %q", err, shell.shown)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAProjectDemandsRecordings(t *testing.T) {
	t.Parallel()
	must[any](t, nil, "project", "create", "vault")
	vault := must[struct {
		Key json.Number `json:"key"`
	}](t, nil, "project", "show", "vault")
	must[any](t, nil, "tunnel", "policy", "set", "vault", "--recording=true")
	flash := filepath.Join(t.TempDir(), "flash")
	must[any](t, nil, "device", "create", "safe-1", "--project", "vault", "--flash-file", flash)
	for _, args := range [][]string{{"tunnel", "open", "vault/safe-1", "--to", "127.0.0.1:22"}, {"ssh", "vault/safe-1", "--stdio", "127.0.0.1:22"}} {
		if _, told, code := shared.run(t, nil, "", args...); code != 4 || !strings.Contains(told, "only shells can be recorded") {
			t.Errorf("%s in project %s: %d, %q", args[0], vault.Key, code, told)
		}
	}
	if _, _, code := shared.run(t, nil, "", "ssh", "vault/safe-1", "--stdio", "127.0.0.1:22", "--record"); code != 2 {
		t.Errorf("a connection that is to be recorded: %d", code)
	}
}

// What is typed is recorded where the device's owner says so, and nowhere else: it has passwords in it.
func TestWhatIsTypedIsRecordedOnlyWhereTheDeviceSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy string
		typed  bool
	}{
		"recorder-7": {strings.Replace(recordShells, "recording: required}", "recording: required, record_input: true}", 1), true},
		"recorder-8": {recordShells, false},
	} {
		s := newStation(t, "plant-a", name, c.policy)
		if out, told, code := shared.run(t, nil, "hush-42\n", "ssh", s.name, `read -r word; echo "${#word} letters"`); code != 0 || out != "7 letters\n" {
			t.Fatalf("%s: %q, %q, %d", name, out, told, code)
		}
		one := s.one(func(r recorded) bool { return r.State == "complete" })
		whole, _, code := shared.run(t, nil, "", "recording", "export", one.ID)
		if code != 0 || strings.Contains(whole, "hush-42") != c.typed || strings.Contains(whole, `"i", "hush-42`) != c.typed || !strings.Contains(whole, "7 letters") {
			t.Errorf("%s: %s", name, whole)
		}
		if text, _, _ := shared.run(t, nil, "", "recording", "export", one.ID, "--format", "text"); strings.Contains(text, "hush-42") {
			t.Errorf("%s: what is typed is shown as if it had been shown: %s", name, text)
		}
	}
}

// Whoever has seen enough presses Ctrl-C, and has the terminal as it was.
func TestCtrlCEndsAPlaybackAndLeavesTheTerminalAsItWas(t *testing.T) {
	t.Parallel()
	s := newStation(t, "plant-a", "recorder-9", allowShells)
	if _, told, code := shared.run(t, nil, "", "ssh", s.name, "--record", `printf '\033[?1049h\033[?25lone'; sleep 0.5; echo two`); code != 0 {
		t.Fatalf("%q, %d", told, code)
	}
	one := s.one(func(r recorded) bool { return r.State == "complete" })
	played := attend(t, "recording", "play", one.ID, "--speed", "0.01", "--idle-limit", "0") // the next word comes in most of a minute
	played.await(t, "one")
	if _, err := played.at.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	played.await(t, cast.Restore)
	played.await(t, "interrupted")
	if err := played.command.Wait(); err == nil || strings.Contains(played.shown.String(), "two") {
		t.Errorf("%v: %q", err, played.shown)
	}
}

// What a device says comes as it is; a form of output would be a promise that nobody keeps.
func TestWhatADeviceSaysHasNoFormOfOutput(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"ssh", press, "true"}, {"ssh", press, "--stdio", "127.0.0.1:1"}, {"recording", "play", "X.1"}, {"recording", "export", "X.1"}} {
		if out, told, code := shared.run(t, nil, "", append(args, "-o", "json")...); code != 2 || out != "" || !strings.Contains(told, "as it is") {
			t.Errorf("%v: %d, %q, %q", args, code, out, told)
		}
	}
}
