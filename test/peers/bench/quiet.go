package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"bulkhead/test/peers/internal/load"
	"bulkhead/test/peers/internal/measure"
	"bulkhead/test/peers/internal/report"
	"bulkhead/test/peers/internal/scene"
	"bulkhead/test/peers/internal/subject"
)

// probeEvery is the pace of the quiet realm.
const probeEvery = 2 * time.Millisecond

// steadyFlood is the events per second that a flooded realm delivers: close to all that nexusd can on two cores.
const steadyFlood = 75_000

// quiet measures the latency in one realm while another is flooded.
type quiet struct{ tls bool }

// flooded is a probe while a flood runs, in whichever process.
type flooded struct {
	probe     *load.Probe
	flood     *load.PubSub
	perSecond int // publications of one publisher
}

// Run floods for as long as it probes.
func (f flooded) Run(ctx context.Context, d time.Duration) (measure.Round, error) {
	f.flood.Pace(f.perSecond)
	done := make(chan error, 1)
	go func() {
		_, err := f.flood.Run(ctx, d)
		done <- err
	}()
	r, err := f.probe.Run(ctx, d)
	return r, errors.Join(err, <-done)
}

func (f flooded) Close() {}

func (m quiet) measure(ctx context.Context, b *bench) (report.Measure, error) {
	// The probe's thread must not wait for a turn among the goroutines that receive the flood.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	out := report.Measure{Title: "p99 of a quiet realm while another is flooded, " + over(m.tls), Per: "event"}
	for _, k := range []subject.Kind{subject.Bulkhead, subject.Nexusd} {
		all, err := m.quartet(ctx, b, k)
		if err != nil {
			return out, fmt.Errorf("%s: %w", k, err)
		}
		out.Rows = append(out.Rows, latencyRows(all)...)
		out.Checks = append(out.Checks, quietChecks(k, all)...)
	}
	return out, nil
}

func quietChecks(k subject.Kind, all []*contestant) []report.Check {
	compare := func(i, j int) (float64, bool) {
		return measure.Ratio(all[i].series, all[j].series, measure.Round.P99)
	}
	steady, okSteady := compare(1, 0)
	most, okMost := compare(2, 0)
	elsewhere, okElsewhere := compare(2, 3)
	first := report.RatioNote(string(k)+", p99 beside a steady flood against alone", steady, okSteady)
	if k == subject.Bulkhead {
		first = report.RatioGoal(first.What, steady, okSteady, 2)
	}
	return []report.Check{
		first,
		report.RatioNote(string(k)+", p99 beside a flood that takes the whole machine against alone", most, okMost),
		report.RatioNote(string(k)+", p99 beside that flood against one of another process", elsewhere, okElsewhere),
	}
}

// quartet measures a server alone; with a steady flood in another of its realms; with a flood that takes all that the
// machine has; and with the same flood in another process, which tells what the machine adds, for all share its cores.
func (m quiet) quartet(ctx context.Context, b *bench, k subject.Kind) ([]*contestant, error) {
	here, target, err := b.start(ctx, k, m.tls)
	if err != nil {
		return nil, err
	}
	defer here.Stop()
	there, elsewhere, err := b.start(ctx, k, m.tls)
	if err != nil {
		return nil, err
	}
	defer there.Stop()
	probe, err := load.NewProbe(ctx, target, scene.Quiet, probeEvery)
	if err != nil {
		return nil, err
	}
	defer probe.Close()
	plan := fanOut
	plan.Realm = scene.Flooded
	near, err := load.NewPubSub(ctx, target, plan)
	if err != nil {
		return nil, err
	}
	defer near.Close()
	far, err := load.NewPubSub(ctx, elsewhere, plan)
	if err != nil {
		return nil, err
	}
	defer far.Close()
	steady := fmt.Sprintf("%s, another realm takes %d k/s", k, steadyFlood/1000)
	all := []*contestant{
		{name: string(k) + ", alone", proc: here, load: probe},
		{name: steady, proc: here, load: flooded{probe, near, steadyFlood / fanOut.Publishers / fanOut.Subscribers}},
		{name: string(k) + ", another realm takes all", proc: here, load: flooded{probe, near, 0}},
		{name: string(k) + ", another process takes all", proc: here, load: flooded{probe, far, 0}},
	}
	return all, b.contest(ctx, all...)
}

// latencyRows leaves out the CPU: it is the flood's.
func latencyRows(all []*contestant) []report.Row {
	out := rows(all)
	for i := range out {
		out[i].CPUPerOp, out[i].GeneratorPerOp = 0, 0
	}
	return out
}
