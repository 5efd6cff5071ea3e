package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"bulkhead/test/peers/internal/load"
	"bulkhead/test/peers/internal/measure"
	"bulkhead/test/peers/internal/report"
	"bulkhead/test/peers/internal/scene"
	"bulkhead/test/peers/internal/subject"
)

// idleGoal is the resident memory that an idle session may take.
const idleGoal = 14 // KiB

// idleOrder is who takes part: ours as tenants get it.
var idleOrder = []struct {
	kind  subject.Kind
	realm string
	cra   bool
}{
	{subject.Bulkhead, scene.DataRealm, true},
	{subject.Nexusd, scene.Main, false},
	{subject.Floor, scene.Main, false},
}

// idle measures the memory of sessions that do nothing.
type idle struct{}

func (idle) measure(ctx context.Context, b *bench) (report.Measure, error) {
	n, err := affordable(b.size.idle)
	if err != nil {
		return report.Measure{}, err
	}
	out := report.Measure{Title: fmt.Sprintf("resident memory per idle session, %d of them, no TLS", n), Per: "session"}
	for _, who := range idleOrder {
		row, err := b.holdIdle(ctx, who.kind, load.JoinPlan{Realm: who.realm, CRA: who.cra, Workers: joinWorkers, Limit: n})
		if err != nil {
			return out, fmt.Errorf("%s: %w", who.kind, err)
		}
		out.Rows = append(out.Rows, row)
	}
	own := out.Rows[0]
	out.Checks = []report.Check{
		{What: "memory per session", Value: own.Bytes / 1024, Limit: idleGoal, Unit: "KiB", Goal: true, Measured: own.Bytes > 0},
		report.RatioNote("memory against nexusd", own.Bytes/out.Rows[1].Bytes, out.Rows[1].Bytes > 0),
		report.None("sessions that did not last", own.Lost),
	}
	return out, nil
}

// holdIdle measures one server, and what the joins cost while it is at it.
func (b *bench) holdIdle(ctx context.Context, k subject.Kind, plan load.JoinPlan) (report.Row, error) {
	proc, target, err := b.start(ctx, k, false)
	if err != nil {
		return report.Row{}, err
	}
	defer proc.Stop()
	before, err := proc.Memory()
	if err != nil {
		return report.Row{}, err
	}
	l := &idleLoad{target: target, plan: plan}
	c := &contestant{name: joinName(k, plan.CRA), proc: proc, load: l}
	defer l.Close()
	joined, err := c.round(ctx, 0)
	if err != nil {
		return report.Row{}, err
	}
	if err := pause(ctx, b.size.settle); err != nil {
		return report.Row{}, err
	}
	after, err := proc.Memory()
	if err != nil {
		return report.Row{}, err
	}
	row := report.Row{Subject: c.name, Bytes: float64(after-before) / float64(plan.Limit), Summary: measure.Series{joined}.Summarize()}
	row.Lost = l.sessions.Ended()
	return row, b.profileHeap(ctx, "idle", k, proc)
}

// idleLoad joins a number of sessions and leaves them open.
type idleLoad struct {
	target   load.Target
	plan     load.JoinPlan
	sessions *load.Idle
}

// Run joins all, however long it takes.
func (l *idleLoad) Run(ctx context.Context, _ time.Duration) (r measure.Round, err error) {
	start := time.Now()
	l.sessions, err = load.NewIdle(ctx, l.target, l.plan)
	return measure.Round{Ops: int64(l.plan.Limit), Elapsed: time.Since(start)}, err
}

func (l *idleLoad) Close() {
	if l.sessions != nil {
		l.sessions.Close()
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// affordable is n, or as many sessions as this process and its children have descriptors for.
func affordable(n int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	const others = 200
	if limit.Max > others && uint64(n) > limit.Max-others {
		n = int(limit.Max) - others
	}
	return n, nil
}
