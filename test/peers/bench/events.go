package main

import (
	"context"
	"fmt"
	"strings"

	"bulkhead/test/peers/internal/frame"
	"bulkhead/test/peers/internal/load"
	"bulkhead/test/peers/internal/report"
	"bulkhead/test/peers/internal/scene"
	"bulkhead/test/peers/internal/subject"
)

// fanOut is the load that the goals name.
var fanOut = load.PubSubPlan{Realm: scene.Main, Topic: "bench.event", Publishers: 2, Window: 64, Subscribers: 50}

// events measures what a delivered event costs.
type events struct {
	from, to     frame.Serializer
	tls          bool
	againstNexus float64
	againstFloor float64 // 0: no goal
}

func (e events) name() string {
	if e.from == e.to {
		return "event/" + strings.ToLower(e.from.String())
	}
	return fmt.Sprintf("event/%s-%s", strings.ToLower(e.from.String()), strings.ToLower(e.to.String()))
}

// eventOrder is who takes part, ours first and once more as tenants get it.
var eventOrder = []struct {
	kind   subject.Kind
	tenant bool
}{
	{subject.Bulkhead, false},
	{subject.Nexusd, false},
	{subject.Floor, false},
	{subject.Bulkhead, true},
}

func (e events) measure(ctx context.Context, b *bench) (report.Measure, error) {
	var all []*contestant
	defer func() { closeAll(all) }()
	for _, who := range eventOrder {
		c, err := e.prepare(ctx, b, who.kind, who.tenant)
		if c != nil {
			all = append(all, c)
		}
		if err != nil {
			return report.Measure{}, fmt.Errorf("%s: %w", who.kind, err)
		}
	}
	if err := b.contest(ctx, all...); err != nil {
		return report.Measure{}, err
	}
	if err := b.profileRounds(ctx, e.name()+suffix(e.tls), all[0]); err != nil {
		return report.Measure{}, err
	}
	return e.result(all), nil
}

func (e events) prepare(ctx context.Context, b *bench, k subject.Kind, tenant bool) (*contestant, error) {
	proc, target, err := b.start(ctx, k, e.tls)
	if err != nil {
		return nil, err
	}
	plan := fanOut
	plan.From, plan.To = e.from, e.to
	c := &contestant{name: string(k), proc: proc}
	if tenant {
		plan.Realm, plan.CRA = scene.DataRealm, true
		c.name += ", a tenant's realm"
	}
	ps, err := load.NewPubSub(ctx, target, plan)
	if err == nil {
		c.load = ps
	}
	return c, err
}

func (e events) result(all []*contestant) report.Measure {
	ours, nexusd, floor, tenant := all[0], all[1], all[2], all[3]
	m := report.Measure{
		Title: fmt.Sprintf("CPU per delivered event, %d subscribers, %d publishers with %d unacknowledged each, %d bytes, %s → %s, %s",
			fanOut.Subscribers, fanOut.Publishers, fanOut.Window, frame.PayloadSize, e.from, e.to, over(e.tls)),
		Per:  "event",
		Rows: rows(all),
	}
	ratio, ok := cpuRatio(ours, nexusd)
	m.Checks = append(m.Checks, report.RatioGoal("CPU against nexusd", ratio, ok, e.againstNexus))
	ratio, ok = cpuRatio(ours, floor)
	if e.againstFloor > 0 && !e.tls {
		m.Checks = append(m.Checks, report.RatioGoal("CPU against the floor", ratio, ok, e.againstFloor))
	} else {
		m.Checks = append(m.Checks, report.RatioNote("CPU against the floor", ratio, ok))
	}
	ratio, ok = cpuRatio(tenant, ours)
	own := m.Rows[0]
	m.Checks = append(m.Checks, report.RatioNote("CPU in a tenant's realm against an open one", ratio, ok),
		report.None("events and acknowledgements lost", own.Lost+m.Rows[3].Lost),
		report.None("events out of order or twice", own.Disordered+m.Rows[3].Disordered))
	return m
}

func suffix(tls bool) string {
	if tls {
		return "/tls"
	}
	return ""
}
