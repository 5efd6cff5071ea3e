package report

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bulkhead/test/peers/internal/measure"
)

func example() *Report {
	r := &Report{Machine: Machine{Cores: 2, MemoryGiB: 24, Go: "go1.26", Platform: "linux/amd64"}, Measures: []Measure{
		{
			Name: "event/json", Title: "CPU per event", Per: "event",
			Rows: []Row{
				{Subject: "bulkhead", Summary: measure.Summary{CPUPerOp: 500, Rate: 900_000, P50: time.Millisecond}},
				{Subject: "nexusd", Summary: measure.Summary{CPUPerOp: 10_000, Rate: 90_000, P50: 20 * time.Millisecond, Lost: 17}},
			},
			Checks: []Check{RatioGoal("CPU against nexusd", 0.05, true, 0.1), None("events lost", 0), RatioNote("CPU against the floor", 2, true)},
		},
		{
			Name: "idle", Title: "memory", Per: "session", Rows: []Row{{Subject: "bulkhead", Bytes: 16 << 10}},
			Checks: []Check{{What: "memory", Value: 16, Limit: 14, Unit: "KiB", Goal: true, Measured: true}, RatioGoal("memory against nobody", 0, false, 1)},
		},
	}}
	r.Stamp(time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC), time.Date(2030, 1, 2, 3, 7, 0, 0, time.UTC))
	return r
}

func TestWhatWasNotMeasuredIsNotMet(t *testing.T) {
	t.Parallel()
	want := []string{"idle: memory: 16 KiB (at most 14 KiB)", "idle: memory against nobody: not measured"}
	if diff := cmp.Diff(want, example().Missed()); diff != "" {
		t.Error(diff)
	}
}

func TestALossIsAMiss(t *testing.T) {
	t.Parallel()
	if None("events lost", 1).Met() || !None("events lost", 0).Met() {
		t.Error("a loss is met, or none is not")
	}
}

func TestThePageHasEveryFigure(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	if err := example().Page(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2030-01-02, 7m, on 2 cores with 24 GiB of memory, go1.26",
		"| event/json | CPU against nexusd | 0.05 × | 0.1 × | met |",
		"| idle | memory | 16 KiB | 14 KiB | **missed** |",
		"| idle | memory against nobody |  | 1 × | not measured |",
		"|  | CPU/event | events/s | p50 | lost | refused |",
		"| --- | ---: | ---: | ---: | ---: | ---: |",
		"| nexusd | 10 µs | 90 k | 20 ms | 17 | 0 |",
		"- CPU against the floor: 2 ×\n",
		"just bench",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is missing in\n%s", want, page.String())
		}
	}
	if strings.Contains(page.String(), "quick") && strings.Contains(page.String(), "noisy**") {
		t.Error("a full run is called quick")
	}
}

func TestATableLeavesOutWhatNobodyMeasured(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := example().Measures[1].Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"idle: memory\n", "KiB/session", "16.0", "MISS  memory: 16 KiB (at most 14 KiB)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "p99") {
		t.Errorf("a column without figures:\n%s", out.String())
	}
}

func TestAReportIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "run.json")
	want := example()
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	got, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFileThatIsNoReportIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := Read(filepath.Join(t.TempDir(), "absent.json")); err == nil {
		t.Error("read a file that is not there")
	}
}

func TestDurationsAreWrittenForReaders(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "–", 480: "0.48 µs", 11_200: "11 µs", 1_234_567: "1.23 ms", 2_500_000_000: "2.5 s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
}
