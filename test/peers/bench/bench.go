package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"bulkhead/test/peers/internal/load"
	"bulkhead/test/peers/internal/measure"
	"bulkhead/test/peers/internal/report"
	"bulkhead/test/peers/internal/subject"
)

// bench is one run.
type bench struct {
	options
	size   size
	dir    string
	yard   *subject.Yard
	tls    *tls.Config
	report *report.Report
}

// size says how long and how many.
type size struct {
	rounds   int
	round    time.Duration
	turns    int           // many short rounds, where the goal is close to what is measured
	turn     time.Duration // one of them
	glances  int           // rounds of patterns, where two realms of one process are compared
	glance   time.Duration // one of them
	rushes   int           // rounds of joins: no two are alike, and only many say what a join costs
	joins    int           // sessions of one of them
	idle     int
	patterns int
	settle   time.Duration // before memory is read
	limit    time.Duration // of the whole run; what was measured by then is reported
}

var (
	fullSize  = size{rounds: 5, round: 1200 * time.Millisecond, turns: 16, turn: 400 * time.Millisecond, glances: 300, glance: 40 * time.Millisecond, rushes: 64, joins: 400, idle: 10_000, patterns: 10_000, settle: 4 * time.Second, limit: 25 * time.Minute}
	quickSize = size{rounds: 2, round: 300 * time.Millisecond, turns: 11, turn: 200 * time.Millisecond, glances: 150, glance: 40 * time.Millisecond, rushes: 32, joins: 400, idle: 2_000, patterns: 10_000, settle: time.Second, limit: 8 * time.Minute}
)

func newBench(ctx context.Context, o options) (*bench, error) {
	dir, err := os.MkdirTemp("", "bulkhead-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, size: fullSize, dir: dir, report: &report.Report{Quick: o.quick, Machine: report.ThisMachine()}}
	if o.quick {
		b.size = quickSize
	}
	if err := b.prepare(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) prepare(ctx context.Context) (err error) {
	fmt.Fprintln(os.Stderr, "building the servers")
	if b.yard, err = subject.Build(ctx, b.dir, subject.Bulkhead, subject.Nexusd, subject.NexusCRA, subject.Floor); err != nil {
		return err
	}
	pem, err := os.ReadFile(b.yard.CA())
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	b.tls = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
	return nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// runAll runs the measures that were asked for and prints each when it is done.
func (b *bench) runAll(ctx context.Context) error {
	for _, m := range catalogue() {
		if !b.options.run.MatchString(m.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", m.name)
		result, err := m.measure(ctx, b)
		if err != nil {
			return errors.Join(ctx.Err(), context.Cause(ctx), fmt.Errorf("%s: %w", m.name, err))
		}
		result.Name = m.name
		b.report.Measures = append(b.report.Measures, result)
		if err := result.Print(os.Stdout); err != nil {
			return err
		}
	}
	return nil
}

// start starts a server and says where to reach it.
func (b *bench) start(ctx context.Context, k subject.Kind, withTLS bool) (*subject.Process, load.Target, error) {
	p, err := b.yard.Start(ctx, k, withTLS, b.profile != "")
	if err != nil {
		return nil, load.Target{}, err
	}
	t := load.Target{Addr: p.Addr}
	if withTLS {
		t.TLS = b.tls
	}
	return p, t, nil
}

// runner is a load that can be applied for a time.
type runner interface {
	Run(ctx context.Context, d time.Duration) (measure.Round, error)
	Close()
}

// rester is a runner that wants to tidy up after each round, outside of what is measured.
type rester interface{ Rest() }

// contestant is a server under a load.
type contestant struct {
	name   string
	proc   *subject.Process
	load   runner
	series measure.Series
}

// contest lets the contestants take turns. The first round of each warms up and does not count.
func (b *bench) contest(ctx context.Context, contestants ...*contestant) error {
	return contest(ctx, b.size.rounds, b.size.round, contestants...)
}

// contest lets the contestants take so many turns of such a length.
func contest(ctx context.Context, rounds int, length time.Duration, contestants ...*contestant) error {
	for _, c := range contestants {
		if _, err := c.round(ctx, length/3); err != nil {
			return err
		}
	}
	for round := range rounds {
		for _, i := range order(len(contestants), round) {
			c := contestants[i]
			r, err := c.round(ctx, length)
			if err != nil {
				return err
			}
			c.series = append(c.series, r)
		}
	}
	return nil
}

// order is who takes a turn when in a round: A B D C, B C A D, C D B A, D A C B, then the same from behind. So each is first, and
// comes after each other, as often as any, and who came before cannot help or harm always the same.
//
// Source: E. J. Williams, "Experimental designs balanced for the estimation of residual effects of treatments", 1949.
func order(n, round int) []int {
	all := make([]int, n)
	for i := range all {
		step := (i + 1) / 2
		if i%2 == 0 {
			step = n - step
		}
		all[i] = (round + step) % n
	}
	if round/n%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

// round applies the load once and adds what the kernel says it cost.
func (c *contestant) round(ctx context.Context, d time.Duration) (measure.Round, error) {
	cpu, errCPU := c.proc.CPU()
	own, errOwn := subject.OwnCPU()
	r, err := c.load.Run(ctx, d)
	cpuAfter, errAfter := c.proc.CPU()
	ownAfter, _ := subject.OwnCPU()
	r.CPU, r.Generator = cpuAfter-cpu, ownAfter-own
	if rests, ok := c.load.(rester); ok {
		rests.Rest()
	}
	if err := errors.Join(err, errCPU, errOwn, errAfter, c.proc.Alive()); err != nil {
		return r, fmt.Errorf("%s: %w", c.name, err)
	}
	return r, nil
}

func (c *contestant) close() {
	if c.load != nil {
		c.load.Close()
	}
	c.proc.Stop()
}

func closeAll(contestants []*contestant) {
	for _, c := range contestants {
		c.close()
	}
}

// rows are the contestants' results.
func rows(contestants []*contestant) (out []report.Row) {
	for _, c := range contestants {
		out = append(out, report.Row{Subject: c.name, Summary: c.series.Summarize()})
	}
	return out
}

func cpuRatio(a, b *contestant) (float64, bool) {
	return measure.Ratio(a.series, b.series, measure.Round.CPUPerOp)
}
