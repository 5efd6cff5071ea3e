// Package footprint has the agent take little of its device: what is left belongs to the device's own work.
//
// It promises one processor at most and a small resident set, both paid for with a little more work of the processor that it
// has, and that what the operator sets by GOMAXPROCS, GOGC and GOMEMLIMIT is left alone.
package footprint

import (
	"runtime"
	"runtime/debug"
)

const (
	// processors is one, also because handing work from one to another costs more than it gains where a tunnel is all there
	// is to do.
	processors = 1
	gcPercent  = 40
	// memoryLimit is well above what 64 encrypted streams at full speed use: near a limit the collector takes most of the
	// processor.
	memoryLimit = 48 << 20
)

// Reduce makes the process small. environ is os.Getenv.
func Reduce(environ func(string) string) {
	if environ("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors)
	}
	if environ("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if environ("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
