//go:build !race

package heap

import "testing"

// The race detector keeps memory of its own for each byte, so this is left out there.
func TestWhatIsReservedTakesNoMemory(t *testing.T) {
	t.Parallel()
	if _, resident := child(t, ""); resident > reserved>>11 {
		t.Errorf("the process has %d KiB", resident)
	}
}
