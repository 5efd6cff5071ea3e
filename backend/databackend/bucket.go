package databackend

import (
	"sync"
	"time"
)

// Rate is how much may come per second, and how much at once. A Rate that is not positive does not limit.
type Rate struct {
	PerSecond float64
	Burst     float64
}

// bucket is a token bucket.
type bucket struct {
	tokens float64
	last   time.Time
}

// take takes n tokens at now, or tells how long until they are there. What is larger than the burst passes when the bucket
// is full, and leaves a debt.
func (b *bucket) take(r Rate, n float64, now time.Time) (wait time.Duration, ok bool) {
	if r.PerSecond <= 0 {
		return 0, true
	}
	if b.last.IsZero() {
		b.tokens = r.Burst
	} else if passed := now.Sub(b.last).Seconds(); passed > 0 {
		b.tokens = min(r.Burst, b.tokens+passed*r.PerSecond)
	}
	b.last = now
	if need := min(n, r.Burst); b.tokens < need {
		return time.Duration((need - b.tokens) / r.PerSecond * float64(time.Second)), false
	}
	b.tokens -= n
	return 0, true
}

// meter limits an installation as a whole and each publisher in it.
type meter struct {
	all, each Rate

	mu         sync.Mutex // guards what follows
	total      bucket
	publishers map[string]*bucket
}

// maxPublishers bounds the buckets that a meter remembers. Forgetting one lets its publisher burst again, no more.
const maxPublishers = 10_000

func newMeter(all, each Rate) *meter {
	return &meter{all: all, each: each, publishers: map[string]*bucket{}}
}

// take takes n rows for a publisher, or tells how long it should wait.
func (m *meter) take(publisher string, n int, now time.Time) (wait time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.publishers[publisher]
	if b == nil {
		if len(m.publishers) >= maxPublishers {
			clear(m.publishers)
		}
		b = &bucket{}
		m.publishers[publisher] = b
	}
	if wait, ok := b.take(m.each, float64(n), now); !ok {
		return wait, false
	}
	if wait, ok := m.total.take(m.all, float64(n), now); !ok {
		b.tokens += float64(n) // the publisher is not charged for what the others took
		return wait, false
	}
	return 0, true
}
