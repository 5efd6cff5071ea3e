//go:build !race

package heap

import "testing"

// The race detector keeps memory of its own for each byte, so it is left out there.
func TestWhatIsReservedTakesNoMemory(t *testing.T) {
	t.Parallel()
	if _, kilobytes := child(t); kilobytes > 64<<10+32<<10 { // the garbage, and the program
		t.Errorf("the process has %d KiB", kilobytes)
	}
}
