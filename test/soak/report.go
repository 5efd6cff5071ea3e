package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// report is what a soak found.
type report struct {
	settings
	before, after, peak sample
	ledger              *ledger
}

// measure is one row of the table: what it was at rest before and after, and by how much it may have grown to be called flat.
type measure struct {
	name                string
	before, peak, after uint64
	margin              uint64
	unit                string
}

const mib = 1 << 20

// measures have the margins. Goroutines and descriptors are counted, so nothing is left to chance but the runtime's own; memory
// has the pools' and the allocator's slack: a leak of a quarter of what is there, or of 1 MiB of heap, is found.
func (r *report) measures() []measure {
	of := func(name, unit string, get func(sample) uint64, margin func(uint64) uint64) measure {
		b := get(r.before)
		return measure{name, b, get(r.peak), get(r.after), margin(b), unit}
	}
	return []measure{
		of("goroutines", "", func(s sample) uint64 { return uint64(s.Goroutines) }, func(uint64) uint64 { return 2 }),   //nolint:gosec // positive
		of("descriptors", "", func(s sample) uint64 { return uint64(s.Descriptors) }, func(uint64) uint64 { return 1 }), //nolint:gosec // positive
		of("heap", "KiB", func(s sample) uint64 { return s.Heap >> 10 }, func(b uint64) uint64 { return max(b/4, mib>>10) }),
		of("resident", "KiB", func(s sample) uint64 { return s.Resident >> 10 }, func(b uint64) uint64 { return max(b/4, 16*mib>>10) }),
	}
}

func (m measure) flat() bool { return m.after <= m.before+m.margin }

func (r *report) flat() bool {
	return !slices.ContainsFunc(r.measures(), func(m measure) bool { return !m.flat() })
}

// quiet reports whether each client saw what it should, the router did not panic, and every kind of misbehaviour was met.
func (r *report) quiet() bool {
	return r.ledger.honestFaults.Load() == 0 && r.ledger.rogueFaults.Load() == 0 &&
		r.after.Metrics["panics_total"] == 0 && r.after.Metrics["overflows_total"] >= float64(r.slow()) && int(r.after.Metrics["sessions"]) == tenants*honestDevices
}

// slow is how many clients did not read and were ended; the router must have counted as many queues that were full.
func (r *report) slow() int {
	if n := r.ledger.runs[neverReads]; n != nil {
		return n.done
	}
	return 0
}

// idle names the kinds of misbehaviour that never came to their end: they prove nothing.
func (r *report) idle() []string {
	var names []string
	for _, m := range catalogue {
		if r.ledger.runs[m.name] == nil || r.ledger.runs[m.name].done == 0 {
			names = append(names, m.name)
		}
	}
	return names
}

func (r *report) held() bool { return r.flat() && r.quiet() && len(r.idle()) == 0 }

func (r *report) print(w io.Writer) {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintf(t, "seed %d, %v after %v of warm-up\n\n", r.seed, r.lasts, r.warmUp)
	fmt.Fprintln(t, "the router at rest, 20 honest sessions\tbefore\tpeak\tafter\tmay grow by\t")
	for _, m := range r.measures() {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d %s\t%s\n", m.name, m.before, m.peak, m.after, m.margin, m.unit, verdict(m.flat()))
	}
	r.printHonest(t)
	r.printMisbehaviour(t)
	r.printCounts(t)
	for _, f := range r.ledger.faults {
		fmt.Fprintf(t, "fault\t%s\n", f)
	}
	for _, name := range r.idle() {
		fmt.Fprintf(t, "fault\tnone that %s came to its end\n", name)
	}
	if over := r.after.Metrics["overflows_total"]; over < float64(r.slow()) {
		fmt.Fprintf(t, "fault\t%d clients that do not read were ended, of which %.0f for that\n", r.slow(), over)
	}
	fmt.Fprintf(t, "\nverdict\t%s\n", verdict(r.held()))
}

func verdict(ok bool) string {
	if ok {
		return "held"
	}
	return "FAILED"
}

func (r *report) printHonest(w io.Writer) {
	l := r.ledger
	fmt.Fprintf(w, "\nhonest clients\t\n")
	fmt.Fprintf(w, "publications acknowledged\t%d\n", l.published.Load())
	fmt.Fprintf(w, "events received, each once and in order\t%d\n", l.delivered.Load())
	fmt.Fprintf(w, "calls answered\t%d\n", l.called.Load())
	fmt.Fprintf(w, "sessions ended and begun again\t%d\n", l.reconnected.Load())
	fmt.Fprintf(w, "longest wait\t%v\n", time.Duration(l.slowest.Load()).Round(time.Millisecond))
	fmt.Fprintf(w, "lost or wrong\t%d\n", l.honestFaults.Load())
}

func (r *report) printMisbehaviour(w io.Writer) {
	fmt.Fprintln(w, "\none that\tdone\trefused at the door\tfailed\t")
	for _, name := range slices.Sorted(maps.Keys(r.ledger.runs)) {
		n := r.ledger.runs[name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", name, n.done, n.unmet, n.failed)
	}
	fmt.Fprintln(w, "\nreason that it was told\t")
	for _, reason := range slices.Sorted(maps.Keys(r.ledger.ends)) {
		fmt.Fprintf(w, "%s\t%d\n", reason, r.ledger.ends[reason])
	}
}

// printCounts prints what the router counted that has to do with misbehaviour.
func (r *report) printCounts(w io.Writer) {
	fmt.Fprintln(w, "\ncounted by the router\t")
	for _, name := range slices.Sorted(maps.Keys(r.after.Metrics)) {
		if n := r.after.Metrics[name]; n >= 1 {
			fmt.Fprintf(w, "%s\t%.0f\n", name, n)
		}
	}
	fmt.Fprintln(w)
}
