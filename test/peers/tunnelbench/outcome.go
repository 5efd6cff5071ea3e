package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
)

// outcome is what was measured.
type outcome struct {
	Date     string    `json:"date"`
	Cores    int       `json:"cores"`
	Go       string    `json:"go"`
	Kernel   string    `json:"congestion_control"`
	Measures []measure `json:"measures"`
}

// measure is one table.
type measure struct {
	Name   string     `json:"name"`
	Title  string     `json:"title"`
	Head   []string   `json:"head"`
	Rows   [][]string `json:"rows"`
	Checks []check    `json:"checks"`
}

// check holds a figure against a target: at least Least, or at most Most, whichever is not 0. Where both are, it has none.
type check struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Least float64 `json:"least,omitempty"`
	Most  float64 `json:"most,omitempty"`
	Unit  string  `json:"unit"`
}

func (c check) met() bool { return c.Value >= c.Least && (c.Most == 0 || c.Value <= c.Most) }

func (c check) target() string {
	switch {
	case c.Most != 0:
		return fmt.Sprintf("≤ %.3g %s", c.Most, c.Unit)
	case c.Least != 0:
		return fmt.Sprintf("≥ %.3g %s", c.Least, c.Unit)
	default:
		return "-"
	}
}

func (c check) verdict() string {
	switch {
	case c.Most == 0 && c.Least == 0:
		return "no goal"
	case c.met():
		return "met"
	default:
		return "**missed**"
	}
}

func newOutcome() *outcome {
	control, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	return &outcome{Date: time.Now().Format(time.DateOnly), Cores: runtime.NumCPU(), Go: runtime.Version(), Kernel: strings.TrimSpace(string(control))}
}

func readOutcome(file string) (*outcome, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	o := new(outcome)
	return o, json.Unmarshal(text, o)
}

func (o *outcome) print(w io.Writer) {
	for _, m := range o.Measures {
		m.print(w)
	}
}

// print writes a measure in the form of the page.
func (m measure) print(w io.Writer) {
	fmt.Fprintf(w, "\n## %s\n\n`-run '^%s$'`\n\n", m.Title, m.Name)
	row := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	row(m.Head)
	row(append([]string{"---"}, rights(len(m.Head)-1)...))
	for _, cells := range m.Rows {
		row(cells)
	}
	if len(m.Checks) > 0 {
		fmt.Fprint(w, "\n| target | | measured | |\n| --- | --- | ---: | --- |\n")
	}
	for _, c := range m.Checks {
		row([]string{c.What, c.target(), fmt.Sprintf("%.3g %s", c.Value, c.Unit), c.verdict()})
	}
}

// rights are columns of figures.
func rights(n int) []string {
	return strings.Split(strings.TrimSuffix(strings.Repeat("---:,", n), ","), ",")
}

// merge puts new measures in the place of those of the same name.
func (o *outcome) merge(older *outcome) {
	var all []measure
	for _, name := range catalogue() {
		for _, from := range []*outcome{o, older} {
			found := false
			for _, m := range from.Measures {
				if m.Name == name.name {
					all, found = append(all, m), true
				}
			}
			if found {
				break
			}
		}
	}
	o.Measures = all
}

func (o *outcome) publish(opts options) error {
	var errs []error
	if opts.json != "" {
		older, err := readOutcome(opts.json)
		switch {
		case err == nil:
			o.merge(older)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		text, err := json.MarshalIndent(o, "", "  ")
		errs = append(errs, err, os.WriteFile(opts.json, append(text, '\n'), 0o644)) //nolint:gosec // nothing in it is secret
	}
	if opts.page != "" {
		f, err := os.Create(opts.page)
		if err != nil {
			return err
		}
		o.writePage(f)
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

const pageHead = `<!-- Written by just bench-tunnel; do not edit. -->
# How fast tunnels are

Measured on %s with %s on %d cores that generator, target and all parts share; the kernel's congestion control is %s. Only ratios of one run mean something: absolute figures are those of the machine.

` + "`just bench-tunnel`" + ` measures anew, a part of it with ` + "`-run PATTERN`" + `, and writes this page with ` + "`-json FILE -doc docs/tunnel-performance.md`" + `. ssh -R is always measured against; chisel and frp where ` + "`CHISEL_BIN`, `FRPC_BIN` and `FRPS_BIN`" + ` name their programs. Slow links want root and /dev/net/tun. What takes turns are processes of their own: the gateway and the agent's tunnel code as the programs run them, without the API and the database, and the user's end as ` + "`bulkhead tunnel open`" + ` forwards a port. Up is from the user to the device.

Tunnels are compared with those of the same shape: ours has an end at the user's side, which speaks TLS to the gateway, so frp has its visitor there and chisel a client of its own. What is "in the clear" has users connect to the server without TLS, and one hop less to encrypt: frp and chisel as they are mostly set up, and ours for comparison, by the door that web applications have; it has no goals, because nobody can open such a tunnel. ssh -R has no end at the user's side either.
`

func (o *outcome) writePage(w io.Writer) {
	fmt.Fprintf(w, pageHead, o.Date, o.Go, o.Cores, o.Kernel)
	o.print(w)
}
