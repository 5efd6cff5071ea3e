// Package measure keeps what a benchmark saw: latencies, rounds, and the ratios between subjects.
//
// It promises that a quantile is wrong by less than 2 %, that recording allocates nothing, and that a ratio is taken between
// rounds that were measured next to each other.
package measure

import (
	"math/bits"
	"time"
)

const (
	subBits = 6 // 64 steps per power of two
	steps   = 1 << subBits
	buckets = 38 * steps // up to 2^43 ns, more than two hours
)

// Histogram counts durations. The zero Histogram is ready. It is not safe for use by several goroutines.
type Histogram struct {
	counts [buckets]uint32
	total  uint64
}

// Record counts one duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucketOf(max(d, 0))]++
	h.total++
}

// Merge adds what other counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Reset forgets everything.
func (h *Histogram) Reset() { *h = Histogram{} }

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile is the duration that a share q of the recorded ones does not exceed; 0 where none was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); n > 0 && seen > min(rank, h.total-1) {
			return valueOf(i)
		}
	}
	return 0
}

func bucketOf(d time.Duration) int {
	n := uint64(d)
	if n < steps {
		return int(n)
	}
	shift := bits.Len64(n) - 1 - subBits
	return min((shift+1)*steps+int(n>>shift)-steps, buckets-1)
}

// valueOf is the middle of a bucket.
func valueOf(i int) time.Duration {
	if i < 2*steps {
		return time.Duration(i)
	}
	shift := i/steps - 1
	return time.Duration((i%steps+steps)<<shift + 1<<shift/2)
}
