package transport

import "sync/atomic"

// Meter counts what goes over the links of one kind. All fields but HighWater only grow.
type Meter struct {
	BytesIn     atomic.Uint64
	BytesOut    atomic.Uint64
	MessagesOut atomic.Uint64
	Writes      atomic.Uint64 // system calls, but for TLS records
	Dropped     atomic.Uint64 // events dropped by DropOldest
	Dead        atomic.Uint64 // links that gave no sign of life
	HighWater   atomic.Int64  // the most bytes that ever waited in one queue
}

func (m *Meter) raise(n int) {
	for high := m.HighWater.Load(); int64(n) > high; high = m.HighWater.Load() {
		if m.HighWater.CompareAndSwap(high, int64(n)) {
			return
		}
	}
}
