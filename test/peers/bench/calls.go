package main

import (
	"context"
	"fmt"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/load"
	"bulkhead/test/peers/internal/report"
	"bulkhead/test/peers/internal/scene"
	"bulkhead/test/peers/internal/subject"
)

var callPlan = load.CallPlan{Realm: scene.Main, Callers: 4, Callees: 4, Window: 32, Serializer: frame.JSON}

// calls measures what a call costs, from CALL to RESULT.
type calls struct{ tls bool }

func (m calls) measure(ctx context.Context, b *bench) (report.Measure, error) {
	var all []*contestant
	defer func() { closeAll(all) }()
	for _, k := range []subject.Kind{subject.Bulkhead, subject.Nexusd, subject.Floor} {
		proc, target, err := b.start(ctx, k, m.tls)
		if err != nil {
			return report.Measure{}, err
		}
		c := &contestant{name: string(k), proc: proc}
		all = append(all, c)
		l, err := load.NewCalls(ctx, target, callPlan)
		if err != nil {
			return report.Measure{}, fmt.Errorf("%s: %w", k, err)
		}
		c.load = l
	}
	if err := contest(ctx, b.size.turns, b.size.turn, all...); err != nil {
		return report.Measure{}, err
	}
	if err := b.profileRounds(ctx, "call"+suffix(m.tls), all[0]); err != nil {
		return report.Measure{}, err
	}
	out := report.Measure{
		Title: fmt.Sprintf("CPU per call, %d callers × %d callees, %d outstanding each, %d bytes, JSON, %s",
			callPlan.Callers, callPlan.Callees, callPlan.Window, frame.PayloadSize, over(m.tls)),
		Per:  "call",
		Rows: rows(all),
	}
	ratio, ok := cpuRatio(all[0], all[1])
	least, okLeast := cpuRatio(all[0], all[2])
	out.Checks = []report.Check{
		report.RatioGoal("CPU against nexusd", ratio, ok, 1.0/5),
		report.RatioNote("CPU against the floor", least, okLeast),
		report.None("answers lost", out.Rows[0].Lost),
		report.None("calls refused", out.Rows[0].Refused),
	}
	return out, nil
}
