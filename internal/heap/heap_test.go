package heap

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
)

const (
	asChild  = "HEAP_TEST_CHILD"
	reserved = 64 << 20
)

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	Reserve(reserved)
	Reserve(reserved) // only once
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	fmt.Println(goal[0].Value.Uint64()>>10, resident())
}

// resident is how much memory the process has in KiB.
func resident() int {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(text)[0])
			return n
		}
	}
	return 0
}

// child gives what a process that reserves has: at which size of the heap it collects, and how much memory, in KiB.
func child(t *testing.T, gogc string) (goal, resident int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), "GOGC="+gogc, asChild+"=1")
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := fmt.Sscan(string(out), &goal, &resident); n != 2 {
		t.Fatalf("%q: %v", out, err)
	}
	return goal, resident
}

func TestGarbageIsLeftUntilItIsAsMuchAsWasReserved(t *testing.T) {
	t.Parallel()
	if goal, _ := child(t, ""); goal < 2*reserved>>10 || goal > 3*reserved>>10 {
		t.Errorf("the heap is collected at %d KiB", goal)
	}
}

func TestTheOperatorsWordHolds(t *testing.T) {
	t.Parallel()
	if goal, _ := child(t, "100"); goal > reserved>>10 {
		t.Errorf("the heap is collected at %d KiB, though GOGC is set", goal)
	}
}
