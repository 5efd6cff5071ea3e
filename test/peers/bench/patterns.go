package main

import (
	"context"
	"fmt"
	"time"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/load"
	"bulkhead/test/peers/internal/measure"
	"bulkhead/test/peers/internal/report"
	"bulkhead/test/peers/internal/scene"
	"bulkhead/test/peers/internal/subject"
)

// patterns measures what subscriptions that do not match add to a publication.
type patterns struct{ tls bool }

// acknowledged counts publications, where PubSub counts deliveries.
type acknowledged struct{ *load.PubSub }

func (a acknowledged) Run(ctx context.Context, d time.Duration) (measure.Round, error) {
	r, err := a.PubSub.Run(ctx, d)
	r.Ops = a.Published()
	return r, err
}

func (m patterns) measure(ctx context.Context, b *bench) (report.Measure, error) {
	out := report.Measure{
		Title: fmt.Sprintf("CPU per publication with %d pattern subscriptions that do not match, against none; one subscriber, %s", b.size.patterns, over(m.tls)),
		Per:   "publication",
	}
	for _, k := range []subject.Kind{subject.Bulkhead, subject.Nexusd} {
		pair, err := m.pair(ctx, b, k)
		if err != nil {
			return out, fmt.Errorf("%s: %w", k, err)
		}
		out.Rows = append(out.Rows, rows(pair)...)
		ratio, ok := cpuRatio(pair[1], pair[0])
		if k == subject.Bulkhead {
			out.Checks = append(out.Checks, report.RatioGoal("CPU with patterns against none", ratio, ok, 1.2),
				report.None("events and acknowledgements lost", out.Rows[0].Lost+out.Rows[1].Lost))
		} else {
			out.Checks = append(out.Checks, report.RatioNote("the same of "+string(k), ratio, ok))
		}
	}
	return out, nil
}

// pair measures one server in two of its realms in turns.
func (m patterns) pair(ctx context.Context, b *bench, k subject.Kind) ([]*contestant, error) {
	proc, target, err := b.start(ctx, k, m.tls)
	if err != nil {
		return nil, err
	}
	defer proc.Stop()
	subscribed, err := load.Subscribe(ctx, target, scene.Patterns, b.size.patterns)
	if err != nil {
		return nil, err
	}
	defer subscribed.Close()
	var pair []*contestant
	for _, c := range []struct{ realm, name string }{{scene.Main, "none"}, {scene.Patterns, "patterns"}} {
		plan := load.PubSubPlan{
			Realm: c.realm, Topic: "bench.event.name", Publishers: 1, Window: 64, Subscribers: 1,
			From: frame.JSON, To: frame.JSON,
		}
		ps, err := load.NewPubSub(ctx, target, plan)
		if err != nil {
			return nil, err
		}
		defer ps.Close()
		pair = append(pair, &contestant{name: string(k) + ", " + c.name, proc: proc, load: acknowledged{ps}})
	}
	rounds, length := b.size.glances, b.size.glance
	if k != subject.Bulkhead {
		rounds, length = b.size.turns, b.size.turn // a window of its publications takes longer than a glance
	}
	if err := contest(ctx, rounds, length, pair...); err != nil {
		return nil, err
	}
	if k == subject.Bulkhead {
		err = b.profileRounds(ctx, "patterns"+suffix(m.tls), pair[1])
	}
	return pair, err
}
