package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// rate measures how much goes through, on the loopback.
func rate(direction byte, streams int) func(context.Context, *bench) (measure, error) {
	return func(ctx context.Context, b *bench) (measure, error) {
		m := measure{
			Title: strings.Replace(fmt.Sprintf("%d streams %s over the loopback", streams, way(direction)), "1 streams", "One stream", 1),
			Head:  []string{"", "Gbit/s", "CPU-s per GB, agent + gateway", "CPU-s per GB, user's end"},
		}
		names, by := b.routes()
		for _, also := range []string{oursClear, frpClear, chiselClear, floor} {
			if by[also] != nil {
				names = append(names, also)
			}
		}
		sc, err := b.stage(ctx, nil, names...)
		if err != nil {
			return m, err
		}
		defer sc.close()
		rounds, length := 9, 400*time.Millisecond
		if b.quick {
			rounds, length = 5, 250*time.Millisecond
		}
		flows := make(map[string][]flow, len(sc.subjects))
		for round := range rounds {
			for i := range sc.subjects {
				if round%2 == 1 {
					i = len(sc.subjects) - 1 - i // who comes after whom changes
				}
				s := sc.subjects[i]
				full, err := s.pour(sc.target, direction, streams, 0)
				if err != nil {
					return m, err
				}
				flows[s.name] = append(flows[s.name], full.run(s, 300*time.Millisecond, length))
				full.stop()
			}
		}
		for _, s := range sc.subjects {
			row := []string{s.name}
			for _, figure := range []func(flow) float64{flow.gbits, flow.cost, flow.userCost} {
				row = append(row, fmt.Sprintf("%.2f", median(flows[s.name], figure)))
			}
			m.Rows = append(m.Rows, row)
		}
		m.Checks = rateChecks(flows, streams)
		return m, nil
	}
}

func median(flows []flow, figure func(flow) float64) float64 {
	all := make([]float64, len(flows))
	for i, f := range flows {
		all[i] = figure(f)
	}
	return quantile(all, 0.5)
}

// rateChecks are the goals: of speed for one stream, of cost for any, against tunnels of the same shape. In the clear there are
// none, since no tunnel of ours is. A ratio is the median of those of the rounds, because a machine has slow times that are longer
// than a round.
func rateChecks(flows map[string][]flow, streams int) (checks []check) {
	for _, goal := range []struct {
		own, peer   string
		speed, cost float64
	}{
		{oursOpen, frp, 1.5, 0.65},
		{oursOpen, chisel, 2.5, 0.4},
		{ours, frp, 1, 0.9},
		{ours, chisel, 0, 0.55},
		{oursClear, frpClear, 0, 0},
		{oursClear, chiselClear, 0, 0},
	} {
		own, peer := flows[goal.own], flows[goal.peer]
		if len(peer) == 0 {
			continue
		}
		ratio := func(figure func(flow) float64) float64 {
			all := make([]float64, len(own))
			for i := range own {
				all[i] = figure(own[i]) / figure(peer[i])
			}
			return quantile(all, 0.5)
		}
		if streams == 1 && goal.speed > 0 {
			checks = append(checks, check{What: goal.own + " against " + goal.peer + ": speed", Value: ratio(flow.gbits), Least: goal.speed, Unit: "×"})
		}
		checks = append(checks, check{What: goal.own + " against " + goal.peer + ": CPU", Value: ratio(flow.cost), Most: goal.cost, Unit: "×"})
	}
	return checks
}

// long measures one stream over a long line.
func long(direction byte) func(context.Context, *bench) (measure, error) {
	return func(ctx context.Context, b *bench) (measure, error) {
		m := measure{
			Title: "One stream " + way(direction) + " over 100 Mbit/s and 100 ms to the device, after 4 s", Head: []string{"", "Mbit/s", "of the link"},
		}
		sc, err := b.stage(ctx, &ocean)
		if err != nil {
			return m, err
		}
		defer sc.close()
		for _, s := range sc.subjects {
			full, err := s.pour(sc.target, direction, 1, 0)
			if err != nil {
				return m, err
			}
			f := full.run(s, 4*time.Second, 4*time.Second)
			full.stop()
			share := f.gbits() * 1e9 / ocean.bits
			m.Rows = append(m.Rows, []string{s.name, fmt.Sprintf("%.1f", f.gbits()*1e3), fmt.Sprintf("%.0f %%", share*100)})
			if s.own {
				m.Checks = append(m.Checks, check{What: s.name, Value: share * 100, Least: 90, Unit: "%"})
			}
			time.Sleep(time.Second) // what is under way still arrives
		}
		return m, nil
	}
}
