package main

import (
	"context"

	"bulkhead/test/peers/internal/load"
	"bulkhead/test/peers/internal/report"
	"bulkhead/test/peers/internal/scene"
	"bulkhead/test/peers/internal/subject"
)

// joinWorkers is how many join at the same time.
const joinWorkers = 8

// joins measures what it costs to join.
type joins struct{ tls bool }

// The contestants, ours first. nexusd cannot be configured to have WAMP-CRA.
var joinOrder = []struct {
	kind subject.Kind
	cra  bool
}{
	{subject.Bulkhead, true},
	{subject.Nexusd, false},
	{subject.NexusCRA, true},
	{subject.Floor, false},
}

func (m joins) measure(ctx context.Context, b *bench) (report.Measure, error) {
	var all []*contestant
	defer func() { closeAll(all) }()
	for _, who := range joinOrder {
		proc, target, err := b.start(ctx, who.kind, m.tls)
		if err != nil {
			return report.Measure{}, err
		}
		all = append(all, &contestant{name: joinName(who.kind, who.cra), proc: proc, load: load.NewJoins(target, b.joinPlan(who.cra))})
	}
	if err := contest(ctx, b.size.rushes, b.size.turn, all...); err != nil {
		return report.Measure{}, err
	}
	if err := b.profileRounds(ctx, "join"+suffix(m.tls), all[0]); err != nil {
		return report.Measure{}, err
	}
	return m.result(all), nil
}

func (b *bench) joinPlan(cra bool) load.JoinPlan {
	realm := scene.Main
	if cra {
		realm = scene.ProjectRealm
	}
	return load.JoinPlan{Realm: realm, CRA: cra, Workers: joinWorkers, Limit: b.size.joins}
}

func joinName(k subject.Kind, cra bool) string {
	if cra {
		return string(k) + ", WAMP-CRA"
	}
	return string(k) + ", anonymous"
}

func (m joins) result(all []*contestant) report.Measure {
	limit := 1.0 / 2
	if m.tls {
		limit = 0.85
	}
	out := report.Measure{Title: "CPU per join, " + over(m.tls), Per: "join", Rows: rows(all)}
	for i, against := range []string{"CPU against nexusd, which asks for no proof", "CPU against nexus with WAMP-CRA", "CPU against the floor"} {
		ratio, ok := cpuRatio(all[0], all[i+1])
		if i == 0 {
			out.Checks = append(out.Checks, report.RatioGoal(against, ratio, ok, limit))
		} else {
			out.Checks = append(out.Checks, report.RatioNote(against, ratio, ok))
		}
	}
	return out
}
