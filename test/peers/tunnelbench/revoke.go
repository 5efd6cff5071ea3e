package main

import (
	"context"
	"fmt"
	"time"
)

// revoke measures how soon a connection at each end is dead once the gateway is told to end its tunnel, while it is busy.
func revoke(ctx context.Context, b *bench) (measure, error) {
	m := measure{Title: "From a revoke to the death of the connections at both ends, of busy tunnels", Head: []string{"", "p50 ms", "p99 ms"}}
	sc, err := b.stage(ctx, nil, ours)
	if err != nil {
		return m, err
	}
	defer sc.close()
	p, err := b.newPair(nil)
	if err != nil {
		return m, err
	}
	defer p.gateway.stop()
	defer p.agent.stop()
	count := 100
	if b.quick {
		count = 20
	}
	var all []time.Duration
	for range count {
		took, err := b.revokeOne(p, sc.target)
		if err != nil {
			return m, err
		}
		all = append(all, took)
	}
	p99 := quantile(all, 0.99)
	m.Rows = [][]string{{ours, milliseconds(quantile(all, 0.5)), milliseconds(p99)}}
	m.Checks = []check{{What: "p99", Value: p99.Seconds(), Most: 1, Unit: "s"}}
	return m, nil
}

func (b *bench) revokeOne(p *pair, t *target) (time.Duration, error) {
	user, addr, err := b.newUser(p, t.addr(), true)
	if err != nil {
		return 0, err
	}
	defer user.stop()
	s := &subject{name: "revoked", addr: addr}
	full, err := s.pour(t, source, 1, 0)
	if err != nil {
		return 0, err
	}
	if err := await(context.Background(), "nothing comes", func() bool { return full.arrived() > 0 }); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := ask[gatewayAnswer](p.gateway, order{End: fmt.Sprintf("T%d", p.opened)}); err != nil {
		return 0, err
	}
	full.wg.Wait() // the user's connection is dead
	err = await(context.Background(), "the target's connection lives", func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return len(t.open) == 0
	})
	took := time.Since(began)
	full.stop()
	return took, err
}
