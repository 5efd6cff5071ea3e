package footprint_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"bulkhead/agent/footprint"
)

// It changes the whole process, so the steps follow one another.
func TestAnAgentTakesOneProcessorUnlessItsOperatorSaysOtherwise(t *testing.T) { //nolint:paralleltest // as above
	before := [2]int{runtime.GOMAXPROCS(3), debug.SetGCPercent(77)}
	limit := debug.SetMemoryLimit(1 << 40)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(before[0])
		debug.SetGCPercent(before[1])
		debug.SetMemoryLimit(limit)
	})
	footprint.Reduce(func(string) string { return "set" })
	if n, percent, limit := now(); n != 3 || percent != 77 || limit != 1<<40 {
		t.Errorf("what the operator has set is changed to %d processors, %d %%, %d bytes", n, percent, limit)
	}
	footprint.Reduce(func(string) string { return "" })
	if n, percent, limit := now(); n != 1 || percent >= 77 || limit >= 1<<30 {
		t.Errorf("%d processors, %d %% and %d bytes are taken", n, percent, limit)
	}
}

// now says how much the process may take.
func now() (processors, gcPercent int, memory int64) {
	gcPercent = debug.SetGCPercent(-1)
	debug.SetGCPercent(gcPercent)
	return runtime.GOMAXPROCS(0), gcPercent, debug.SetMemoryLimit(-1)
}
