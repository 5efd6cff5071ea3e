package main

import (
	"context"
	"fmt"
	"time"
)

// opening measures the time to the first byte of an answer, in round trips.
func opening(ctx context.Context, b *bench) (measure, error) {
	far := village
	far.bits = 100e6
	m := measure{Title: "From asking to the first byte of the answer, in round trips of 50 ms", Head: []string{"", "warm: one more stream", "cold: a new tunnel"}}
	sc, err := b.stage(ctx, &far)
	if err != nil {
		return m, err
	}
	defer sc.close()
	for _, s := range sc.subjects {
		var warm, cold []time.Duration
		for range 7 {
			took, err := firstByte(s)
			if err != nil {
				return m, err
			}
			warm = append(warm, took)
		}
		row := []string{s.name, fmt.Sprintf("%.2f", trips(warm)), "-"}
		if s.own {
			if cold, err = b.colds(sc, s.name == ours); err != nil {
				return m, err
			}
			row[2] = fmt.Sprintf("%.2f", trips(cold))
			m.Checks = append(m.Checks, check{What: s.name + ", warm", Value: trips(warm), Most: 1.5, Unit: "round trips"},
				check{What: s.name + ", cold", Value: trips(cold), Most: 5, Unit: "round trips"})
		}
		m.Rows = append(m.Rows, row)
	}
	return m, nil
}

func trips(all []time.Duration) float64 { return quantile(all, 0.5).Seconds() / village.trip.Seconds() }

// firstByte is how long it takes from dialling to the echo of a byte.
func firstByte(s *subject) (time.Duration, error) {
	began := time.Now()
	c, err := s.ask(echoes)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := keys(c, 1, 0, 0); err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	return time.Since(began), nil
}

// colds measures from the asking for a tunnel: what tells the device of it has half a round trip to go.
func (b *bench) colds(sc *scene, endToEnd bool) (all []time.Duration, err error) {
	p, err := b.newPair(sc.far)
	if err != nil {
		return nil, err
	}
	defer p.gateway.stop()
	defer p.agent.stop()
	for range 5 {
		began := time.Now().Add(-village.trip / 2)
		user, addr, err := b.newUser(p, sc.target.addr(), endToEnd)
		if err != nil {
			return nil, err
		}
		_, err = firstByte(&subject{name: "cold", addr: addr})
		all = append(all, time.Since(began))
		user.stop()
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
