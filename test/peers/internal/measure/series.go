package measure

import (
	"slices"
	"time"
)

// Round is what one subject did in one round.
type Round struct {
	Ops        int64 // events delivered, calls answered, sessions joined: what the measure counts
	CPU        time.Duration
	Generator  time.Duration // processor time that the load generator spent meanwhile
	Elapsed    time.Duration
	Lost       int64 // deliveries, acknowledgements and answers that never came
	Refused    int64 // requests that were answered with an error
	Disordered int64 // events that came twice or behind a later one
	Latency    *Histogram
}

// CPUPerOp is the processor time that the subject spent per operation.
func (r Round) CPUPerOp() time.Duration {
	if r.Ops == 0 {
		return 0
	}
	return r.CPU / time.Duration(r.Ops)
}

// GeneratorPerOp is the processor time that the load generator spent per operation.
func (r Round) GeneratorPerOp() time.Duration {
	if r.Ops == 0 {
		return 0
	}
	return r.Generator / time.Duration(r.Ops)
}

// P99 is the latency that one operation in a hundred exceeds.
func (r Round) P99() time.Duration { return r.Latency.Quantile(0.99) }

// Rate is how many operations there were per second.
func (r Round) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Ops) / r.Elapsed.Seconds()
}

// Series is the rounds of one subject in the order they were run.
type Series []Round

// Summary is a series in the numbers that are reported.
type Summary struct {
	Rounds         int           `json:"rounds"`
	Ops            int64         `json:"ops"`
	CPUPerOp       time.Duration `json:"cpu_per_op_ns"`       // the median of the rounds
	GeneratorPerOp time.Duration `json:"generator_per_op_ns"` // the median of the rounds
	Rate           float64       `json:"ops_per_second"`      // the median of the rounds
	P50            time.Duration `json:"p50_ns"`              // of all rounds together, as is what follows
	P99            time.Duration `json:"p99_ns"`
	P999           time.Duration `json:"p999_ns"`
	Lost           int64         `json:"lost"`
	Refused        int64         `json:"refused"`
	Disordered     int64         `json:"disordered"`
}

// Summarize gives the numbers of a series.
func (s Series) Summarize() Summary {
	out := Summary{Rounds: len(s), CPUPerOp: median(s, Round.CPUPerOp), Rate: median(s, Round.Rate)}
	out.GeneratorPerOp = median(s, Round.GeneratorPerOp)
	var all Histogram
	for _, r := range s {
		out.Ops += r.Ops
		out.Lost += r.Lost
		out.Refused += r.Refused
		out.Disordered += r.Disordered
		if r.Latency != nil {
			all.Merge(r.Latency)
		}
	}
	out.P50, out.P99, out.P999 = all.Quantile(0.5), all.Quantile(0.99), all.Quantile(0.999)
	return out
}

// Ratio is the median, over the rounds, of what one subject needed in a round divided by what another needed in the round
// beside it. It is false where there is nothing to compare.
func Ratio(a, b Series, of func(Round) time.Duration) (float64, bool) {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if x, y := of(a[i]), of(b[i]); x > 0 && y > 0 {
			ratios = append(ratios, float64(x)/float64(y))
		}
	}
	return middle(ratios), len(ratios) > 0
}

func median[T int64 | float64 | time.Duration](s Series, of func(Round) T) T {
	values := make([]T, len(s))
	for i, r := range s {
		values[i] = of(r)
	}
	return middle(values)
}

func middle[T int64 | float64 | time.Duration](values []T) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
