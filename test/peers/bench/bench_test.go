package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bulkhead/test/peers/internal/report"
)

func TestEveryGoalHasAMeasureOfItsOwnName(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, e := range catalogue() {
		if names[e.name] {
			t.Errorf("%s twice", e.name)
		}
		names[e.name] = true
	}
	for _, want := range []string{
		"event/json", "event/json/tls", "event/cbor", "event/cbor/tls", "event/json-messagepack", "event/json-messagepack/tls",
		"call", "call/tls", "join", "join/tls", "idle", "patterns", "patterns/tls", "quiet", "quiet/tls",
	} {
		if !names[want] {
			t.Errorf("no %s", want)
		}
	}
}

func TestEachIsFirstAndAfterEachOtherAsOftenAsAny(t *testing.T) {
	t.Parallel()
	for n := 2; n <= 5; n++ {
		first, after := map[int]int{}, map[[2]int]int{}
		for round := range 2 * n {
			all := order(n, round)
			first[all[0]]++
			for i, who := range all[1:] {
				after[[2]int{who, all[i]}]++
			}
		}
		for a := range n {
			for b := range n {
				if first[a] != 2 || a != b && after[[2]int{a, b}] != 2 {
					t.Errorf("of %d, %d was first %d times and came %d times after %d", n, a, first[a], after[[2]int{a, b}], b)
				}
			}
		}
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-run", "("}, {"event"}, {"-fast"}} {
		if _, err := readOptions(args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if o, err := readOptions([]string{"-run", "tls$", "-quick"}); err != nil || !o.quick || !o.run.MatchString("call/tls") {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestFilesAreRelativeToTheFolderThatIsNamed(t *testing.T) {
	t.Parallel()
	o, err := readOptions([]string{"-C", "/a/folder", "-json", "run.json", "-doc", "/elsewhere/page.md"})
	if err != nil || o.json != "/a/folder/run.json" || o.page != "/elsewhere/page.md" || o.from != "" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestAPageIsMadeFromAnEarlierRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, page := filepath.Join(dir, "run.json"), filepath.Join(dir, "performance.md")
	earlier := &report.Report{Measures: []report.Measure{{Name: "idle", Per: "session", Rows: []report.Row{{Subject: "bulkhead", Bytes: 9000}}, Checks: []report.Check{report.None("sessions lost", 3)}}}}
	if err := earlier.Write(from); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), options{from: from, page: page}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "| idle | sessions lost | 3 | 0 | **missed** |") {
		t.Errorf("%v\n%s", err, text)
	}
	if err := run(t.Context(), options{from: from, check: true}); err == nil {
		t.Error("a missed goal passes the check")
	}
}
