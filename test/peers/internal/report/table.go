package report

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// heads are the columns of a measure's table; per is what is counted.
func heads(per string) []string {
	return []string{"", "CPU/" + per, "KiB/" + per, per + "s/s", "p50", "p99", "p99.9", "lost", "refused", "generator/" + per}
}

// cells are a row's figures in the order of heads.
func (r Row) cells() []string {
	return []string{
		r.Subject, duration(r.CPUPerOp), kib(r.Bytes), rate(r.Rate), duration(r.P50), duration(r.P99), duration(r.P999),
		strconv.FormatInt(r.Lost, 10), strconv.FormatInt(r.Refused, 10), duration(r.GeneratorPerOp),
	}
}

// absent stands where nothing was measured.
const absent = "–"

// columns gives heads and rows without the columns that are empty in every row.
func (m Measure) columns() (head []string, rows [][]string) {
	all := make([][]string, len(m.Rows))
	for i, r := range m.Rows {
		all[i] = r.cells()
	}
	rows = make([][]string, len(all))
	for col, name := range heads(m.Per) {
		if emptyColumn(all, col) {
			continue
		}
		head = append(head, name)
		for i := range all {
			rows[i] = append(rows[i], all[i][col])
		}
	}
	return head, rows
}

func emptyColumn(rows [][]string, col int) bool {
	for _, r := range rows {
		if r[col] != absent {
			return false
		}
	}
	return true
}

// Print writes a measure as a table for a terminal.
func (m Measure) Print(w io.Writer) error {
	fmt.Fprintf(w, "\n%s: %s\n", m.Name, m.Title)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head, rows := m.columns()
	for _, cells := range append([][]string{head}, rows...) {
		for _, cell := range cells {
			fmt.Fprintf(table, "%s\t", cell)
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, c := range m.Checks {
		fmt.Fprintf(w, "  %-5s %s\n", c.verdict(), c)
	}
	return nil
}

// verdict is the word before a check.
func (c Check) verdict() string {
	switch {
	case !c.Goal:
		return "note"
	case c.Met():
		return "met"
	default:
		return "MISS"
	}
}

func duration(d time.Duration) string {
	switch {
	case d <= 0:
		return absent
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.2f µs", float64(d)/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d)/1e6)
	default:
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
}

func kib(bytes float64) string {
	if bytes <= 0 {
		return absent
	}
	return fmt.Sprintf("%.1f", bytes/1024)
}

func rate(perSecond float64) string {
	switch {
	case perSecond <= 0:
		return absent
	case perSecond < 10_000:
		return fmt.Sprintf("%.0f", perSecond)
	default:
		return fmt.Sprintf("%.0f k", perSecond/1e3)
	}
}
