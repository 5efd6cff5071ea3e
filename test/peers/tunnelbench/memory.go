package main

import (
	"context"
	"fmt"
	"time"
)

// memory measures the agents' resident memory.
func memory(ctx context.Context, b *bench) (measure, error) {
	m := measure{Title: "Resident memory of the device's end", Head: []string{"", "one idle tunnel, MiB", "8 streams down at full speed, most, MiB"}}
	sc, err := b.stage(ctx, nil)
	if err != nil {
		return m, err
	}
	defer sc.close()
	for _, s := range sc.subjects {
		idle := s.agent.memory()
		full, err := s.pour(sc.target, source, 8, 0)
		if err != nil {
			return m, err
		}
		most := 0.0
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			most = max(most, s.agent.memory())
		}
		full.stop()
		m.Rows = append(m.Rows, []string{s.name, fmt.Sprintf("%.1f", idle), fmt.Sprintf("%.1f", most)})
		if s.own {
			m.Checks = append(m.Checks, check{What: s.name + ", idle", Value: idle, Most: 12, Unit: "MiB"}, check{What: s.name + ", bulk", Value: most, Most: 20, Unit: "MiB"})
		}
	}
	return m, nil
}
