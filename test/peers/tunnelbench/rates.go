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
		sc, err := b.stage(ctx, nil)
		if err != nil {
			return m, err
		}
		defer sc.close()
		rounds, length := 3, time.Second
		if b.quick {
			rounds, length = 1, 700*time.Millisecond
		}
		flows := make([][]flow, len(sc.subjects))
		for range rounds {
			for i, s := range sc.subjects {
				full, err := s.pour(sc.target, direction, streams, 0)
				if err != nil {
					return m, err
				}
				flows[i] = append(flows[i], full.run(s, 300*time.Millisecond, length))
				full.stop()
			}
		}
		got := map[string][2]float64{}
		for i, s := range sc.subjects {
			var speed, cost, user []float64
			for _, f := range flows[i] {
				speed, cost, user = append(speed, f.gbits()), append(cost, f.perGB(f.cpu)), append(user, f.perGB(f.user))
			}
			got[s.name] = [2]float64{quantile(speed, 0.5), quantile(cost, 0.5)}
			m.Rows = append(m.Rows, []string{
				s.name, fmt.Sprintf("%.2f", got[s.name][0]), fmt.Sprintf("%.2f", got[s.name][1]), fmt.Sprintf("%.2f", quantile(user, 0.5)),
			})
		}
		m.Checks = rateChecks(got, streams)
		return m, nil
	}
}

// rateChecks are the goals: of speed for one stream, of cost for any.
func rateChecks(got map[string][2]float64, streams int) (checks []check) {
	for _, goal := range []struct {
		own, peer   string
		speed, cost float64
	}{{oursOpen, frp, 1.5, 0.65}, {oursOpen, chisel, 2.5, 0.4}, {ours, frp, 1, 0.9}, {ours, chisel, 0, 0.55}} {
		own, peer := got[goal.own], got[goal.peer]
		if peer[0] == 0 {
			continue
		}
		if streams == 1 && goal.speed > 0 {
			checks = append(checks, check{What: goal.own + " against " + goal.peer + ": speed", Value: own[0] / peer[0], Least: goal.speed, Unit: "×"})
		}
		checks = append(checks, check{What: goal.own + " against " + goal.peer + ": CPU", Value: own[1] / peer[1], Most: goal.cost, Unit: "×"})
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
			if s.user != nil {
				m.Checks = append(m.Checks, check{What: s.name, Value: share * 100, Least: 90, Unit: "%"})
			}
			time.Sleep(time.Second) // what is under way still arrives
		}
		return m, nil
	}
}
