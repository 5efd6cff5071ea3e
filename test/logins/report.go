package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// The goals.
const (
	ratioAtMost = 2.0
	rateAtLeast = 0.95 * floodRate
)

func (r round) ratio() float64 { return float64(r.loaded.P99) / float64(r.quiet.P99) }
func (r round) floor() float64 { return float64(r.bare.P99) / float64(r.quiet.P99) }

// report prints the rounds, and tells what goal was missed.
func report(w io.Writer, s settings, rounds []round) error {
	var ratios, floors []float64
	var missed []error
	for i, r := range rounds {
		ratios, floors = append(ratios, r.ratio()), append(floors, r.floor())
		missed = append(missed, r.missed(i+1))
	}
	if err := errors.Join(latencyTable(w, rounds), floodTable(w, rounds)); err != nil {
		return err
	}
	fmt.Fprintf(w, "p99 of the router under a flood of %d wrong passwords a second, %d of them over new connections, against none: %.2f x (at most %.0f x)\n", floodRate, s.fresh, median(ratios), ratioAtMost)
	fmt.Fprintf(w, "the same with the flood at a bare server of net/http: %.2f x\n", median(floors))
	if median(ratios) > ratioAtMost {
		missed = append(missed, errors.New("the router was too slow under the flood"))
	}
	return errors.Join(missed...)
}

func latencyTable(w io.Writer, rounds []round) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "round\tp50\tp99\tmost\tflooded p50\tp99\tmost\tratio of p99\tbare p50\tp99\tmost\tratio of p99")
	for i, r := range rounds {
		fmt.Fprintf(table, "%d\t%v\t%v\t%.2f\t%v\t%.2f\n", i+1, r.quiet.latencies, r.loaded.latencies, r.ratio(), r.bare.latencies, r.floor())
	}
	return table.Flush()
}

func (l latencies) String() string {
	return fmt.Sprintf("%v\t%v\t%v", micros(l.P50), micros(l.P99), micros(l.Most))
}

func floodTable(w io.Writer, rounds []round) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "round\tanswered/s\twrong\tslowed\tfailed\tnew connections/s\tbare answered/s\tCPU quiet: server\tdatabase\tflooded: server\tdatabase\thashes\thonest in\tslowest known\tslowest new")
	for i, r := range rounds {
		f := r.loaded.flood
		in, known, strange := r.people()
		fmt.Fprintf(table, "%d\t%.0f\t%d\t%d\t%d\t%.0f\t%.0f\t%v\t%v\t%v\t%v\t%v\t%d of %d\t%v\t%v\n", i+1, f.rate(), f.Wrong, f.Slowed, f.Failed, float64(f.Fresh)/f.Took.Seconds(), r.bare.flood.rate(),
			r.quiet.spent.server, r.quiet.spent.database, r.loaded.spent.server, r.loaded.spent.database, r.loaded.spent.hashes, in, len(r.loaded.logins), micros(known), micros(strange))
	}
	return table.Flush()
}

func (r round) missed(n int) error {
	var missed []error
	if in, known, strange := r.people(); in < len(r.loaded.logins) || max(known, strange) > loginWithin {
		missed = append(missed, fmt.Errorf("round %d: not every honest login came in within %v", n, loginWithin))
	}
	if min(r.loaded.flood.rate(), r.bare.flood.rate()) < rateAtLeast {
		missed = append(missed, fmt.Errorf("round %d: the flood did not reach %d a second, so this measured nothing", n, floodRate))
	}
	return errors.Join(missed...)
}

func (r round) people() (in int, known, strange time.Duration) {
	for _, l := range r.loaded.logins {
		if l.ok {
			in++
		}
		if l.known {
			known = max(known, l.took)
		} else {
			strange = max(strange, l.took)
		}
	}
	return in, known, strange
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func micros(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
