package main

import (
	"context"
	"fmt"
	"time"
)

// stalled measures what seven readers get beside one that has stalled, and what they get without it. Each time the tunnel is
// a new one: the kernel's congestion control empties a line every ten seconds to look how long it is.
func stalled(ctx context.Context, b *bench) (measure, error) {
	m := measure{
		Title: "Seven readers beside one that has stalled, over 100 Mbit/s and 100 ms, in the first ten seconds of a tunnel",
		Head:  []string{"", "seven alone, Mbit/s", "beside a stalled one, Mbit/s", "lost"},
	}
	sc, err := b.empty(&ocean)
	if err != nil {
		return m, err
	}
	defer sc.close()
	rounds := 3
	if b.quick {
		rounds = 1
	}
	names := []string{ours, oursOpen, sshR}
	got := make([][2]flow, len(names))
	for range rounds {
		for i, name := range names {
			for stalls := range got[i] {
				f, err := b.seven(ctx, sc, name, stalls)
				if err != nil {
					return m, err
				}
				got[i][stalls].add(f)
			}
		}
	}
	for i, name := range names {
		alone, beside := got[i][0].gbits(), got[i][1].gbits()
		lost := 100 * (1 - beside/alone)
		m.Rows = append(m.Rows, []string{name, fmt.Sprintf("%.1f", alone*1e3), fmt.Sprintf("%.1f", beside*1e3), fmt.Sprintf("%.1f %%", lost)})
		if name != sshR {
			m.Checks = append(m.Checks, check{What: name + ", lost", Value: max(lost, 0), Most: 5, Unit: "%"})
		}
	}
	return m, nil
}

// seven has seven readers come to a new tunnel, once nothing more is buffered for those that have stalled.
func (b *bench) seven(ctx context.Context, sc *scene, name string, stalls int) (flow, error) {
	_, routes := b.routes()
	s, err := routes[name](ctx, sc.far, sc.target.addr())
	if err != nil {
		return flow{}, err
	}
	defer s.close()
	first, err := s.pour(sc.target, source, stalls, stalls)
	if err != nil {
		return flow{}, err
	}
	defer first.stop()
	if stalls > 0 {
		sc.target.settle()
	}
	full, err := s.pour(sc.target, source, 7, 0)
	if err != nil {
		return flow{}, err
	}
	defer full.stop()
	return full.run(s, 3*time.Second, 2*time.Second), nil
}
