package measure

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestAQuantileIsWithinTwoPercent(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(math.Exp(random.Float64() * 25)) // 1 ns to 72 s
		h.Record(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		want := float64(all[int(q*float64(len(all)))])
		if got := float64(h.Quantile(q)); math.Abs(got-want) > 0.02*want+1 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}

func TestQuantilesOfFewDurations(t *testing.T) {
	t.Parallel()
	var h Histogram
	if got := h.Quantile(0.99); got != 0 {
		t.Errorf("of none: %v", got)
	}
	h.Record(-time.Second)
	if got := h.Quantile(1); got != 0 {
		t.Errorf("of a negative one: %v", got)
	}
	h.Record(24 * time.Hour) // beyond the last bucket
	if got := h.Quantile(1); got < time.Hour {
		t.Errorf("of a day: %v", got)
	}
}

func TestMergedHistogramsCountAll(t *testing.T) {
	t.Parallel()
	var a, b Histogram
	for range 3 {
		a.Record(time.Millisecond)
	}
	b.Record(time.Second)
	a.Merge(&b)
	if got := a.Quantile(1); a.Count() != 4 || got < 980*time.Millisecond || got > 1020*time.Millisecond {
		t.Errorf("count %d, largest %v", a.Count(), got)
	}
	a.Reset()
	if a.Count() != 0 || a.Quantile(1) != 0 {
		t.Error("something is left after Reset")
	}
}

func round(cpu time.Duration, ops int64) Round {
	return Round{CPU: cpu, Ops: ops, Elapsed: time.Second, Latency: &Histogram{}}
}

func TestARatioIsTakenBetweenNeighbours(t *testing.T) {
	t.Parallel()
	// The machine is ten times as slow in the second round: for both.
	a := Series{round(100, 10), round(1000, 10), round(100, 10)}
	b := Series{round(200, 10), round(2000, 10), round(200, 10)}
	if got, ok := Ratio(a, b, Round.CPUPerOp); !ok || got != 0.5 {
		t.Errorf("ratio %v, %v", got, ok)
	}
}

func TestThereIsNoRatioToNothing(t *testing.T) {
	t.Parallel()
	some, none := Series{round(100, 10)}, Series{round(0, 0)}
	for name, pair := range map[string][2]Series{"none": {some, none}, "of none": {none, some}, "no rounds": {nil, nil}} {
		if got, ok := Ratio(pair[0], pair[1], Round.CPUPerOp); ok {
			t.Errorf("%s: ratio %v", name, got)
		}
	}
}

func TestASummaryAddsWhatWasLost(t *testing.T) {
	t.Parallel()
	a, b := round(100, 10), round(300, 10)
	a.Lost, b.Lost, b.Refused, b.Disordered = 2, 3, 4, 5
	a.Latency.Record(time.Millisecond)
	got := Series{a, b}.Summarize()
	if got.CPUPerOp != 20 || got.Ops != 20 || got.Rate != 10 || got.Lost != 5 || got.Refused != 4 || got.Disordered != 5 || got.P99 == 0 {
		t.Errorf("%+v", got)
	}
}
