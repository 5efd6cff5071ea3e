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

// quiet measures the latency in one realm while another is flooded.
type quiet struct{ tls bool }

// flooded is a probe while a flood runs, in whichever process.
type flooded struct {
	probe *load.Probe
	flood *load.PubSub
}

// Run floods for as long as it probes.
func (f flooded) Run(ctx context.Context, d time.Duration) (measure.Round, error) {
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
	out := report.Measure{
		Title: fmt.Sprintf("p99 of a quiet realm while another is flooded as in event/json, %s", over(m.tls)),
		Per:   "event",
	}
	for _, k := range []subject.Kind{subject.Bulkhead, subject.Nexusd} {
		all, err := m.trio(ctx, b, k)
		if err != nil {
			return out, fmt.Errorf("%s: %w", k, err)
		}
		out.Rows = append(out.Rows, latencyRows(all)...)
		against, ok := measure.Ratio(all[1].series, all[0].series, measure.Round.P99)
		elsewhere, okElsewhere := measure.Ratio(all[1].series, all[2].series, measure.Round.P99)
		if k == subject.Bulkhead {
			out.Checks = append(out.Checks, report.RatioGoal("p99 flooded against alone", against, ok, 2))
		} else {
			out.Checks = append(out.Checks, report.RatioNote("p99 flooded against alone, "+string(k), against, ok))
		}
		out.Checks = append(out.Checks,
			report.RatioNote(fmt.Sprintf("p99 flooded against the same flood in another process, %s", k), elsewhere, okElsewhere))
	}
	return out, nil
}

// trio measures a server alone, with a flood in another of its realms, and with the same flood in another process: the
// last tells what the machine adds, for all share its cores.
func (m quiet) trio(ctx context.Context, b *bench, k subject.Kind) ([]*contestant, error) {
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
	all := []*contestant{
		{name: string(k) + ", alone", proc: here, load: probe},
		{name: string(k) + ", another realm flooded", proc: here, load: flooded{probe, near}},
		{name: string(k) + ", another process flooded", proc: here, load: flooded{probe, far}},
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
