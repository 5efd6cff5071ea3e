package audit_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bulkhead/internal/server"
)

// restart starts the server again where it was: those who verify know it by its address.
func (s *scene) restart(between func()) {
	s.t.Helper()
	s.options.Config.Listen = strings.TrimPrefix(s.server.API(), "https://")
	s.stop()
	between()
	s.start()
}

func (s *scene) wantExit(code int, says string, args ...string) {
	s.t.Helper()
	if got, said := s.cli(args...); got != code || !strings.Contains(said, says) {
		s.t.Errorf("%v: exit code %d, want %d with %q: %s", args, got, code, says, said)
	}
}

func TestALostKeyIsNotReplacedUnnoticed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 2)
	s.signed()
	s.wantVerify(0, "")
	before := s.publicKey()
	proof := filepath.Join(t.TempDir(), "proof")
	s.wantExit(0, "", "audit", "prove", "1", "--file", proof)
	s.restart(func() {
		if err := os.Remove(filepath.Join(s.options.Config.StateDir, "audit.key")); err != nil {
			t.Fatal(err)
		}
	})
	if s.publicKey() == before {
		t.Fatal("the key is the one that was lost")
	}
	s.until("the log to be signed with the new key", func() bool {
		var old int
		s.scan(&old, `SELECT count(*) FROM audit_checkpoint WHERE note NOT LIKE $1 || '/%'`, s.signerName())
		return old == 0
	})
	s.wantNoAlarm()
	if keys := s.list("--action", "audit.key"); len(keys) != 2 || !strings.Contains(string(keys[0].After), s.signerName()) {
		t.Errorf("the log does not tell of its new key: %+v", keys)
	}
	const asks = "with another key than before"
	s.wantVerify(7, asks)
	s.wantExit(7, asks, "audit", "prove", "1", "--file", filepath.Join(t.TempDir(), "other"))
	s.wantExit(7, asks, "audit", "export", "--tiles", filepath.Join(t.TempDir(), "tiles"))
	s.wantVerify(7, asks) // asking once does not make it known
	s.wantExit(0, "platform", "audit", "verify", "--accept-new-key")
	s.wantVerify(0, "")
	if code, said := s.offline("audit", "verify", "--key", before, proof); code != 0 {
		t.Errorf("what the lost key proved is proved: %d %s", code, said)
	}
	if code, _ := s.offline("audit", "verify", "--key", s.publicKey(), proof); code != 7 {
		t.Errorf("another key proves it too: %d", code)
	}
}

func TestAClientRemembersTheNewestStateThatItSaw(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 3)
	s.signed()
	s.backup("early")
	s.wantVerify(0, "never")
	s.devices(3, 5)
	s.signed()
	s.wantVerify(0, "")
	known := filepath.Join(s.contexts, "audit-logs.json")
	text, err := os.ReadFile(known)
	if err != nil {
		t.Fatal(err)
	}
	s.restore("early", 0)
	const backup = "an older backup was restored"
	s.wantVerify(7, backup)
	s.wantVerify(7, backup) // what it saw then is no new state
	if again, err := os.ReadFile(known); err != nil || string(again) != string(text) {
		t.Errorf("a verification that failed changed what is known: %v %s", err, again)
	}
	mine := s.contexts
	s.contexts = t.TempDir()
	s.wantVerify(0, "never") // who has never seen it cannot know
	s.contexts = mine
	if err := os.WriteFile(known, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := s.cli("audit", "verify"); code == 0 || !strings.Contains(said, "needed to notice that a server was set back") {
		t.Errorf("%d %s", code, said)
	}
}

func TestAnOperatorAcceptsARestoredBackup(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 3)
	s.signed()
	s.backup("early")
	s.devices(3, 6)
	s.signed()
	s.wantVerify(0, "")
	old := s.publicKey()
	s.restart(func() { s.restore("early", 0) })
	s.wantAlarm("log_tampered", "an older backup was restored")
	file := filepath.Join(t.TempDir(), "bulkhead.yaml")
	if err := os.WriteFile(file, []byte("state_dir: "+s.options.Config.StateDir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"-c", file}, {"--reason", "why"}} {
		if code, said := s.offline(append([]string{"audit", "accept-restore"}, args...)...); code != 2 {
			t.Errorf("%v: %d %s", args, code, said)
		}
	}
	s.restart(func() {
		if code, said := s.offline("audit", "accept-restore", "-c", file, "--reason", "the disk died"); code != 0 {
			t.Error(said)
		}
	})
	if s.publicKey() == old {
		t.Error("two pasts are signed with one key")
	}
	s.wantNoAlarm()
	told := s.list("--action", "audit.restore")
	if len(told) != 1 || !strings.Contains(string(told[0].After), "the disk died") || !strings.Contains(string(told[0].Before), old) || !strings.Contains(string(told[0].Before), `"size"`) {
		t.Errorf("the log says %+v", told)
	}
	s.signed()
	s.wantVerify(7, "with another key than before")
	s.wantExit(0, "platform", "audit", "verify", "--accept-new-key")
	s.devices(6, 8)
	s.signed()
	s.wantVerify(0, "")
	s.restart(func() {})
	s.wantNoAlarm() // it is accepted once
	if again := s.list("--action", "audit.restore"); len(again) != 1 {
		t.Errorf("it is told %d times", len(again))
	}
	if kept, err := filepath.Glob(filepath.Join(s.options.Config.StateDir, "audit.*.until-*")); err != nil || len(kept) != 2 {
		t.Errorf("kept %v %v", kept, err)
	}
	if _, err := os.Stat(filepath.Join(s.options.Config.StateDir, "audit.key.new")); err == nil {
		t.Error("the key is not settled")
	}
}

func TestTwoServersDoNotWriteTheLogsOfOneDatabase(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.options
	other.Config.StateDir = filepath.Join(t.TempDir(), "state")
	starting, cancel := context.WithTimeout(t.Context(), 3*time.Second) // it would wait for longer that the first lets go
	defer cancel()
	second, err := server.Start(starting, other)
	if err == nil {
		t.Error("both run", second.Stop(t.Context()))
	}
	t.Logf("the second says: %v", err)
	s.devices(0, 1)
	s.signed()
	s.wantVerify(0, "")
	s.wantNoAlarm()
}

func TestAClockThatRanBackStopsEntriesAndIsAnAlarm(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 1)
	s.signed()
	// The clock of the machine is not ours to set: a checkpoint from later is the same to the database.
	s.exec(`UPDATE audit_checkpoint SET made_at = clock_timestamp() + interval '1 hour' WHERE log_key = $1`, s.project)
	s.wantExit(6, "the audit log cannot be written, so nothing was changed", "device", "create", "press-1", "--project", "plant-a", "--flash-file", filepath.Join(t.TempDir(), "flash"))
	s.wantExit(3, "", "device", "show", "plant-a/press-1")
	s.exec(`UPDATE audit_checkpoint SET made_at = clock_timestamp() + interval '4 minutes' WHERE log_key = $1`, s.project)
	s.devices(1, 2) // clocks of machines differ by some
	// What was signed from later is the same to the sequencer.
	s.restart(func() {
		file := filepath.Join(s.options.Config.StateDir, "audit.journal")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		year := time.Now().UTC().Format(`"time":"2006`)
		later := strings.ReplaceAll(string(text), year, time.Now().UTC().AddDate(1, 0, 0).Format(`"time":"2006`))
		if later == string(text) {
			t.Fatalf("the journal is %s", text)
		}
		if err := os.WriteFile(file, []byte(later), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	s.wantAlarm("clock_backward", "before a time that was signed")
}
