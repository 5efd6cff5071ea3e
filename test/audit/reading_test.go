package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"bulkhead/backend/audit"
	"bulkhead/internal/cli"
)

func (s *scene) list(args ...string) []audit.Entry {
	s.t.Helper()
	code, said := s.cli(append([]string{"audit", "list", "-o", "json", "--limit", "0"}, args...)...)
	var entries []audit.Entry
	if err := json.Unmarshal([]byte(said), &entries); code != 0 || err != nil {
		s.t.Fatalf("%v: %d %v %s", args, code, err, said)
	}
	return entries
}

func TestEntriesAreListedByEachFilter(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 3)
	if code, said := s.cli("device", "revoke", "plant-a/press-2"); code != 0 {
		t.Fatal(said)
	}
	if code, said := s.cli("project", "create", "plant-b"); code != 0 {
		t.Fatal(said)
	}
	owner := s.list("--action", "project.create")[0].Actor.ID
	for _, row := range []struct {
		args []string
		want string // the actions, newest first
	}{
		{[]string{"--project", "plant-a"}, "[device.revoke device.create device.create device.create project.create]"},
		{[]string{"--project", "plant-b"}, "[project.create]"},
		{[]string{"--project", "plant-a", "--action", "device"}, "[device.revoke device.create device.create device.create]"},
		{[]string{"--action", "device.revoke"}, "[device.revoke]"},
		{[]string{"--action", "devic"}, "[]"},
		{[]string{"--asset", "press-2"}, "[device.revoke device.create]"},
		{[]string{"--asset", "device", "--severity", "info"}, "[device.create device.create device.create]"},
		{[]string{"--actor", owner, "--asset", "project"}, "[project.create project.create]"},
		{[]string{"--actor", "nobody"}, "[]"},
		{[]string{"--since", "1h", "--asset", "press-0"}, "[device.create]"},
		{[]string{"--until", "1h"}, "[]"},
		{[]string{"--since", "2001-01-01T00:00:00Z", "--until", "2001-01-02T00:00:00Z"}, "[]"},
	} {
		actions := []audit.Action{}
		for _, e := range s.list(row.args...) {
			actions = append(actions, e.Action)
		}
		if got := fmt.Sprint(actions); got != row.want {
			t.Errorf("%v: %s, want %s", row.args, got, row.want)
		}
	}
	if got := s.list("--limit", "2"); len(got) != 2 || got[0].Sequence <= got[1].Sequence {
		t.Errorf("the newest two are %+v", got)
	}
	for args, want := range map[string]int{"--since yesterday": 2, "--severity loud": 2, "--project plant-z": 3} {
		if code, said := s.cli(append([]string{"audit", "list"}, strings.Fields(args)...)...); code != want {
			t.Errorf("%s: %d %s", args, code, said)
		}
	}
}

// reader takes so many lines, tells of each, and is gone.
type reader struct {
	lines chan string
	most  int
}

func (r *reader) Write(text []byte) (int, error) {
	if r.most == 0 {
		return 0, errors.New("nobody reads")
	}
	r.most--
	r.lines <- string(text)
	return len(text), nil
}

func TestWhoFollowsSeesEachNewEntryOnceAndInItsOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	r := &reader{lines: make(chan string, 20), most: 6}
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Main([]string{
			"audit", "list", "--follow", "--project", "plant-a", "-o", "json",
			"--server", s.server.API(), "--ca-file", s.server.CAFile(), "--api-key-file", s.server.OwnerKeyFile(),
		}, []string{"BULKHEAD_CONTEXT_DIR=" + t.TempDir()}, cli.Streams{In: strings.NewReader(""), Out: r, Err: &bytes.Buffer{}})
	}()
	// It begins with what is new, so entries are made until it has seen one.
	made := 0
	var first string
	s.until("an entry to be followed", func() bool {
		s.devices(made, made+1)
		made++
		select {
		case first = <-r.lines:
			return true
		default:
			return false
		}
	})
	s.devices(made, made+7)
	if code := <-ended; code == 0 {
		t.Error("it goes on for nobody")
	}
	close(r.lines)
	last := int64(0)
	seen := 0
	for line := first; line != ""; line = <-r.lines {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil || strings.Count(line, "\n") != 1 {
			t.Fatalf("not one line of JSON: %q %v", line, err)
		}
		if e.Sequence <= last || e.Action != audit.DeviceCreate {
			t.Errorf("entry %d %s after %d", e.Sequence, e.Action, last)
		}
		last, seen = e.Sequence, seen+1
	}
	if seen != 6 {
		t.Errorf("saw %d entries", seen)
	}
}

func TestAnExportIsOneEntryToALineTheOldestFirst(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.devices(0, 4)
	// More entries than a page has.
	s.exec(`SELECT audit_append($1, 'realm.ticket', 'info', 'x', 'realm', NULL, NULL, convert_to(format('{"action":"realm.ticket","actor":{"id":"x","kind":"system"},"asset":{"kind":"realm"},"outcome":"done","project_key":%s,"severity":"info"}', $1::bigint), 'UTF8'), NULL, NULL)
		FROM generate_series(1, 450)`, s.project)
	code, said := s.cli("audit", "export", "--project", "plant-a")
	if code != 0 {
		t.Fatal(said)
	}
	lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
	listed := s.list("--project", "plant-a")
	if len(lines) != len(listed) || len(lines) < 450 {
		t.Fatalf("%d lines of %d entries", len(lines), len(listed))
	}
	for i, line := range lines {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("line %d: %v: %s", i+1, err, line)
		}
		if want := listed[len(listed)-1-i]; e.Sequence != want.Sequence || int64(e.Project) != s.project || e.Actor != want.Actor {
			t.Errorf("line %d is entry %d, want %d", i+1, e.Sequence, want.Sequence)
		}
	}
}
