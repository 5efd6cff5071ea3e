// Package report holds the outcome of a benchmark and writes it as a table, as JSON and as a page of documentation.
//
// It promises that all of them say the same, and that a figure which was not measured never counts as one that is met.
package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"bulkhead/test/peers/internal/measure"
)

// Report is one run.
type Report struct {
	Date     string    `json:"date"` // YYYY-MM-DD
	Quick    bool      `json:"quick"`
	Took     string    `json:"took"`
	Machine  Machine   `json:"machine"`
	Measures []Measure `json:"measures"`
}

// Machine is where the run took place.
type Machine struct {
	Cores     int    `json:"cores"`
	MemoryGiB int    `json:"memory_gib"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
}

// Measure is one line of the table of goals.
type Measure struct {
	Name   string  `json:"name"` // event/json/tls
	Title  string  `json:"title"`
	Per    string  `json:"per"` // what is counted: event, call, join, session, publication
	Rows   []Row   `json:"rows"`
	Checks []Check `json:"checks"`
}

// Row is what one subject did.
type Row struct {
	Subject string  `json:"subject"`
	Bytes   float64 `json:"bytes_per_op,omitempty"` // resident memory, where that is what is measured
	measure.Summary
}

// Check compares a figure with its limit; a Limit of 0 is none, but for what must be zero.
type Check struct {
	What     string  `json:"what"`
	Value    float64 `json:"value"`
	Limit    float64 `json:"limit"`
	Unit     string  `json:"unit"` // "x" for ratios, "KiB", or what is counted
	Goal     bool    `json:"goal"` // false: for information
	Measured bool    `json:"measured"`
}

// RatioGoal is a ratio that must not exceed a limit.
func RatioGoal(what string, value float64, measured bool, limit float64) Check {
	return Check{What: what, Value: value, Limit: limit, Unit: "x", Goal: true, Measured: measured}
}

// RatioNote is a ratio without a limit.
func RatioNote(what string, value float64, measured bool) Check {
	return Check{What: what, Value: value, Unit: "x", Measured: measured}
}

// None is a count that must be zero.
func None(what string, count int64) Check {
	return Check{What: what, Value: float64(count), Unit: "count", Goal: true, Measured: true}
}

// Met reports whether a goal is met.
func (c Check) Met() bool { return c.Measured && c.Value <= c.Limit }

// Missed are the goals that are not met.
func (r *Report) Missed() (missed []string) {
	for _, m := range r.Measures {
		for _, c := range m.Checks {
			if c.Goal && !c.Met() {
				missed = append(missed, m.Name+": "+c.String())
			}
		}
	}
	return missed
}

// String says the figure and its limit in a line.
func (c Check) String() string {
	if !c.Measured {
		return c.What + ": not measured"
	}
	s := c.What + ": " + c.figure(c.Value)
	if c.Goal {
		s += " (at most " + c.figure(c.Limit) + ")"
	}
	return s
}

func (c Check) figure(v float64) string {
	switch c.Unit {
	case "x":
		return fmt.Sprintf("%.3g ×", v)
	case "count":
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.3g %s", v, c.Unit)
	}
}

// ThisMachine describes where we run, and nothing that would tell which machine it is.
func ThisMachine() Machine {
	return Machine{
		Cores: runtime.NumCPU(), MemoryGiB: memory(), Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

func memory() int {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int
		if n, _ := fmt.Sscanf(lines.Text(), "MemTotal: %d kB", &kib); n == 1 {
			return (kib + 1<<19) >> 20
		}
	}
	return 0
}

// Write writes the report as JSON.
func (r *Report) Write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return os.WriteFile(file, append(b, '\n'), 0o644) //nolint:gosec // nothing in it is secret
}

// Read reads a report that Write wrote.
func Read(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("report %s: %w", file, err)
	}
	return &r, nil
}

// Stamp notes when the run ended and how long it took.
func (r *Report) Stamp(start, end time.Time) {
	r.Date = end.Format(time.DateOnly)
	r.Took = strings.Replace(end.Sub(start).Round(time.Second).String(), "m0s", "m", 1)
}
