package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"bulkhead/internal/localca"
)

type greeting struct{ Addr string }

type done struct{ Took time.Duration }

// state is what the router's process says of itself.
type state struct {
	Goroutines int
	Heap       uint64             // bytes of live objects, where it was asked at rest
	Metrics    map[string]float64 // summed over all labels but the reason of a refusal
}

func certificate(folder string) localca.Files {
	return localca.Files{
		CA: filepath.Join(folder, "ca.pem"), Cert: filepath.Join(folder, "server.pem"), Key: filepath.Join(folder, "server.key"),
	}
}

func (r *routed) state(rest bool) (state, error) {
	if rest {
		runtime.GC() // pools keep what was used last for one collection more
		debug.FreeOSMemory()
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	metrics, err := r.metrics()
	return state{Goroutines: runtime.NumGoroutine(), Heap: memory.HeapAlloc, Metrics: metrics}, err
}

func (r *routed) metrics() (map[string]float64, error) {
	families, err := r.registry.Gather()
	sums := map[string]float64{}
	for _, f := range families {
		name := strings.TrimPrefix(f.GetName(), "bulkhead_router_")
		for _, m := range f.GetMetric() {
			at := name
			for _, l := range m.GetLabel() {
				if l.GetName() == "reason" {
					at += "." + l.GetValue()
				}
			}
			sums[at] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sums, err
}

func writeStacks(w io.Writer) { _ = pprof.Lookup("goroutine").WriteTo(w, 1) }

// descriptors counts the open descriptors of a process.
func descriptors(pid int) (int, error) {
	open, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	return len(open), err
}

// resident gives the bytes of memory that a process has.
func resident(pid int) (uint64, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm of %d is %q", pid, data)
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize()), err //nolint:gosec // positive
}
