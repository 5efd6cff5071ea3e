package databackend

import (
	"testing"
	"time"
)

func TestAMeterChargesForWhatPassesAndNothingElse(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000_000, 0)
	m := newMeter(Rate{PerSecond: 1, Burst: 10}, Rate{PerSecond: 1, Burst: 6})
	for i, c := range []struct {
		publisher string
		rows      int
		after     time.Duration
		want      bool
	}{
		{"a", 6, 0, true},  // all its own
		{"a", 1, 0, false}, // over its own
		{"b", 6, 0, false}, // over what all may, and b is not charged
		{"b", 4, 0, true},  // what is left of all
		{"c", 1, 500 * time.Millisecond, false},
		{"c", 1, time.Second, true},        // one has come
		{"b", 2, time.Second, false},       // none is left of all
		{"b", 2, 3 * time.Second, true},    // b had 2 left
		{"a", 20, 100 * time.Second, true}, // more than the burst passes when the bucket is full,
		{"a", 1, 105 * time.Second, false}, // and leaves a debt,
		{"b", 1, 109 * time.Second, false}, // for all
		{"b", 1, 112 * time.Second, true},
	} {
		wait, ok := m.take(c.publisher, c.rows, start.Add(c.after))
		if ok != c.want || ok != (wait == 0) {
			t.Errorf("step %d: %v after %s, wait %s", i, ok, c.after, wait)
		}
	}
}
