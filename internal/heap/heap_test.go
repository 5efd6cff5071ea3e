package heap

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// allocate makes 64 MiB of garbage and gives how many collections that took, and how much memory the process has.
func allocate() (collections uint32, resident int) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 64 << 10 {
		sink = make([]byte, 1<<10)
	}
	runtime.ReadMemStats(&after)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			resident, _ = strconv.Atoi(strings.Fields(text)[0])
		}
	}
	return after.NumGC - before.NumGC, resident
}

var sink []byte

const asChild = "HEAP_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	Reserve(64 << 20)
	n, kilobytes := allocate()
	if _, err := os.Stdout.WriteString(strconv.Itoa(int(n)) + " " + strconv.Itoa(kilobytes)); err != nil {
		os.Exit(1)
	}
}

func child(t *testing.T, more ...string) (collections, kilobytes int) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(append(os.Environ(), "GOGC=", asChild+"=1"), more...)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(out))
	collections, _ = strconv.Atoi(fields[0])
	kilobytes, _ = strconv.Atoi(fields[1])
	return collections, kilobytes
}

func TestGarbageIsLeftUntilItIsAsMuchAsWasReserved(t *testing.T) {
	t.Parallel()
	if n, _ := child(t); n > 1 {
		t.Errorf("%d collections for 64 MiB of garbage, with as much reserved", n)
	}
}

func TestTheOperatorsWordHolds(t *testing.T) {
	t.Parallel()
	if n, _ := child(t, "GOGC=100"); n < 4 {
		t.Errorf("%d collections for 64 MiB of garbage, though GOGC asks for more", n)
	}
}
