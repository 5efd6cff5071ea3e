package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"bulkhead/test/peers/internal/flood"
	"bulkhead/test/peers/internal/load"
	"bulkhead/test/peers/internal/measure"
	"bulkhead/test/peers/internal/report"
	"bulkhead/test/peers/internal/scene"
	"bulkhead/test/peers/internal/subject"
)

// probeEvery is the pace of the quiet realm.
const probeEvery = time.Millisecond

// steadyFlood is the events per second that a flooded realm delivers: close to all that nexusd can on two cores.
const steadyFlood = 75_000

// enoughFlood is the part of it that a flood must have reached, or there was none.
const enoughFlood = 0.95

// quiet measures the latency in one realm while another is flooded.
type quiet struct{ tls bool }

// beside is a probe while a flood runs in whichever process.
type beside struct {
	probe     *load.Probe
	flood     *flood.Flood
	perSecond int // publications of one publisher

	floods []flood.Outcome // of each round
}

// lead is how much longer than the probe a flood runs, before and after.
const lead = 50 * time.Millisecond

// Run floods for as long as it probes.
func (f *beside) Run(ctx context.Context, d time.Duration) (measure.Round, error) {
	done := make(chan error, 1)
	go func() {
		o, err := f.flood.Run(f.perSecond, d+2*lead)
		f.floods = append(f.floods, o)
		done <- err
	}()
	time.Sleep(lead)
	r, err := f.probe.Run(ctx, d)
	return r, errors.Join(err, <-done)
}

func (f *beside) Close() {}

// row is what the flood did.
func (f *beside) row(name string) report.Row {
	row := report.Row{Subject: name}
	var took time.Duration
	for _, o := range f.floods[1:] { // the first warms up
		row.Rounds++
		row.Ops += o.Delivered
		row.Lost += o.Lost
		row.Refused += o.Refused
		row.Disordered += o.Disordered
		took += o.Elapsed
	}
	row.Rate = float64(row.Ops) / took.Seconds()
	return row
}

// reached reports whether the flood published what it was to.
func (f *beside) reached() bool {
	for _, o := range f.floods[1:] {
		if want := float64(steadyFlood) * o.Elapsed.Seconds(); float64(o.Published) < enoughFlood*want {
			return false
		}
	}
	return true
}

func (m quiet) measure(ctx context.Context, b *bench) (report.Measure, error) {
	out := report.Measure{Per: "event"}
	for _, k := range []subject.Kind{subject.Bulkhead, subject.Nexusd} {
		if err := m.add(ctx, b, k, &out); err != nil {
			return out, fmt.Errorf("%s: %w", k, err)
		}
	}
	return out, nil
}

// add measures a server.
func (m quiet) add(ctx context.Context, b *bench, k subject.Kind, out *report.Measure) error {
	q, err := m.open(ctx, b, k)
	if err != nil {
		return err
	}
	defer q.close()
	if err := q.contest(ctx, b); err != nil {
		return err
	}
	out.Title = fmt.Sprintf("p99 of a quiet realm while another is flooded, %s; the probe with %s, the flood with SCHED_IDLE", over(m.tls), q.probe.Priority())
	out.Rows = append(out.Rows, q.rows()...)
	out.Checks = append(out.Checks, q.checks()...)
	return nil
}

// quartet is a server with a probe, and another of the same kind; each has a flood.
type quartet struct {
	kind       subject.Kind
	probe      *load.Probe
	near, far  *flood.Flood // in the probe's server; in the other
	contestant map[place]*contestant
	closers    []func()
}

// place is where a flood is.
type place int

const (
	alone         place = iota
	steadyNear          // a steady flood in another realm
	steadyFar           // the same in another process, which tells what the machine adds, for all share its cores
	boundlessNear       // one that takes all that the machine has
	boundlessFar
	places
)

func (m quiet) open(ctx context.Context, b *bench, k subject.Kind) (q *quartet, err error) {
	q = &quartet{kind: k, contestant: map[place]*contestant{}}
	defer func() {
		if err != nil {
			q.close()
		}
	}()
	here, target, err := b.start(ctx, k, m.tls)
	if err != nil {
		return q, err
	}
	q.closers = append(q.closers, here.Stop)
	there, elsewhere, err := b.start(ctx, k, m.tls)
	if err != nil {
		return q, err
	}
	q.closers = append(q.closers, there.Stop)
	if q.probe, err = load.NewProbe(ctx, target, scene.Quiet, probeEvery); err != nil {
		return q, err
	}
	q.closers = append(q.closers, q.probe.Close)
	if q.near, err = m.flood(ctx, b, target); err != nil {
		return q, err
	}
	q.closers = append(q.closers, q.near.Close)
	if q.far, err = m.flood(ctx, b, elsewhere); err != nil {
		return q, err
	}
	q.closers = append(q.closers, q.far.Close)
	q.enter(here)
	return q, nil
}

// floodWord is the argument with which this program is the process that floods.
const floodWord = "flood"

func (m quiet) flood(ctx context.Context, b *bench, t load.Target) (*flood.Flood, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := flood.Plan{Addr: t.Addr, Load: fanOut}
	p.Load.Realm = scene.Flooded
	if m.tls {
		p.CA = b.yard.CA()
	}
	return flood.Start(ctx, self, floodWord, p)
}

// enter makes the contestants.
func (q *quartet) enter(here *subject.Process) {
	pace := steadyFlood / fanOut.Publishers / fanOut.Subscribers
	with := func(f *flood.Flood, perSecond int) *beside {
		return &beside{probe: q.probe, flood: f, perSecond: perSecond}
	}
	for at, load := range map[place]runner{
		alone: q.probe, steadyNear: with(q.near, pace), steadyFar: with(q.far, pace),
		boundlessNear: with(q.near, 0), boundlessFar: with(q.far, 0),
	} {
		q.contestant[at] = &contestant{name: fmt.Sprintf("%s, %s", q.kind, at), proc: here, load: load}
	}
}

func (at place) String() string {
	const rate = steadyFlood / 1000
	switch at {
	case alone:
		return "alone"
	case steadyNear:
		return fmt.Sprintf("another realm takes %d k/s", rate)
	case steadyFar:
		return fmt.Sprintf("another process takes %d k/s", rate)
	case boundlessNear:
		return "another realm takes all"
	default:
		return "another process takes all"
	}
}

// windows are how often and how long each is measured.
func (b *bench) windows(k subject.Kind) (count int, each time.Duration) {
	switch {
	case b.quick && k != subject.Bulkhead:
		return 1, 1600 * time.Millisecond
	case b.quick:
		return 3, 1600 * time.Millisecond
	case k != subject.Bulkhead:
		return 3, 2 * time.Second
	default:
		return 6, 2 * time.Second
	}
}

// turn is who is measured in one round, in this order: those that the goal compares twice.
var turn = []place{alone, steadyNear, alone, steadyNear, steadyFar, boundlessNear, boundlessFar}

// contest lets all take turns. The first round of each warms up and does not count.
func (q *quartet) contest(ctx context.Context, b *bench) error {
	count, each := b.windows(q.kind)
	for at := range places {
		if _, err := q.contestant[at].round(ctx, each/4); err != nil {
			return err
		}
	}
	for range count {
		for _, at := range turn {
			c := q.contestant[at]
			r, err := c.round(ctx, each)
			if err != nil {
				return err
			}
			c.series = append(c.series, r)
		}
	}
	return nil
}

// rows leave out the CPU: it is the flood's.
func (q *quartet) rows() (out []report.Row) {
	for at := range places {
		c := q.contestant[at]
		row := report.Row{Subject: c.name, Summary: c.series.Summarize()}
		row.CPUPerOp, row.GeneratorPerOp = 0, 0
		out = append(out, row)
		if f, ok := c.load.(*beside); ok {
			out = append(out, f.row("what it takes"))
		}
	}
	return out
}

func (q *quartet) checks() []report.Check {
	note := func(what string, a, b place) report.Check {
		x, y := q.contestant[a].series, q.contestant[b].series
		n := min(len(x), len(y))
		ratio, ok := measure.Ratio(last(x, n), last(y, n), measure.Round.P99)
		return report.RatioNote(string(q.kind)+", "+what, ratio, ok && q.reached(a) && q.reached(b))
	}
	first := note("p99 beside a steady flood against alone", steadyNear, alone)
	if q.kind == subject.Bulkhead {
		first = report.RatioGoal(first.What, first.Value, first.Measured, 2)
	}
	return []report.Check{
		first,
		note("p99 beside a steady flood of another process against alone", steadyFar, alone),
		note("p99 beside a steady flood against one of another process", steadyNear, steadyFar),
		note("p99 beside a flood that takes the whole machine against alone", boundlessNear, alone),
		note("p99 beside that flood against one of another process", boundlessNear, boundlessFar),
	}
}

// last gives as many rounds as there were turns, of those that took part twice the last of each.
func last(s measure.Series, n int) (out measure.Series) {
	for i := range n {
		out = append(out, s[(i+1)*len(s)/n-1])
	}
	return out
}

// reached reports whether a flood was what it was to be.
func (q *quartet) reached(at place) bool {
	f, ok := q.contestant[at].load.(*beside)
	return !ok || f.perSecond == 0 || f.reached()
}

func (q *quartet) close() {
	for i := len(q.closers) - 1; i >= 0; i-- {
		q.closers[i]()
	}
}
