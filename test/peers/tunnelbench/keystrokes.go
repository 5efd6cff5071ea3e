package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// keystroke measures the echo of a key beside one stream that takes all it can.
func keystroke(direction byte) func(context.Context, *bench) (measure, error) {
	return func(ctx context.Context, b *bench) (measure, error) {
		m := measure{
			Title: "A key and its echo beside one bulk stream " + way(direction) + ", 10 Mbit/s and 50 ms to the device",
			Head:  []string{"", "alone, p50 ms", "beside bulk, p50 ms", "p99 ms", "of keys", "bulk Mbit/s"},
		}
		sc, err := b.stage(ctx, &village)
		if err != nil {
			return m, err
		}
		defer sc.close()
		length, rounds := 11*time.Second, 2 // BBR looks how long the way is each ten seconds
		if b.quick {
			rounds = 1
		}
		alone, beside, rates := make([][]time.Duration, len(sc.subjects)), make([][]time.Duration, len(sc.subjects)), make([]float64, len(sc.subjects))
		for round := range rounds {
			for i := range sc.subjects {
				if round%2 == 1 {
					i = len(sc.subjects) - 1 - i // what comes later has older connections
				}
				s := sc.subjects[i]
				quiet, busy, f, err := s.typing(sc.target, direction, length)
				if err != nil {
					return m, err
				}
				alone[i], beside[i], rates[i] = append(alone[i], quiet...), append(beside[i], busy...), f.gbits()*1e3
				time.Sleep(5 * time.Second) // what is left in buffers still arrives, and is not for the next one to wait behind
			}
		}
		for i, s := range sc.subjects {
			p99 := quantile(beside[i], 0.99)
			m.Rows = append(m.Rows, []string{
				s.name, milliseconds(quantile(alone[i], 0.5)), milliseconds(quantile(beside[i], 0.5)), milliseconds(p99), fmt.Sprint(len(beside[i])), fmt.Sprintf("%.1f", rates[i]),
			})
			if s.own {
				m.Checks = append(m.Checks, check{What: s.name + ", p99", Value: p99.Seconds() * 1e3, Most: 90, Unit: "ms"})
			}
		}
		return m, nil
	}
}

// typists type at once, each on a connection of its own: the 99th percentile wants hundreds of keys.
const typists = 6

// typing types on a connection alone and then beside bulk.
func (s *subject) typing(t *target, direction byte, length time.Duration) (alone, beside []time.Duration, f flow, err error) {
	typists := make([]net.Conn, typists)
	for i := range typists {
		if typists[i], err = s.ask(echoes); err != nil {
			return nil, nil, f, err
		}
		defer typists[i].Close()
	}
	if alone, err = keys(typists[0], 10, 0, 10*time.Millisecond); err != nil {
		return nil, nil, f, fmt.Errorf("%s: %w", s.name, err)
	}
	full, err := s.pour(t, direction, 1, 0)
	if err != nil {
		return nil, nil, f, err
	}
	defer full.stop()
	time.Sleep(2 * time.Second)
	from, began := full.arrived(), time.Now()
	beside, err = together(typists, length)
	return alone[1:], beside, flow{bytes: full.arrived() - from, took: time.Since(began)}, err
}

func together(conns []net.Conn, length time.Duration) (all []time.Duration, err error) {
	var wg sync.WaitGroup
	each, errs := make([][]time.Duration, len(conns)), make([]error, len(conns))
	for i, c := range conns {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 15 * time.Millisecond) // nobody types in step
			each[i], errs[i] = keys(c, 5, length, 20*time.Millisecond)
		})
	}
	wg.Wait()
	return slices.Concat(each...), errors.Join(errs...)
}
