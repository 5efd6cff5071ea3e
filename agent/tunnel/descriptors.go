package tunnel

import (
	"os"
	"strconv"
	"syscall"
)

// keepDescriptors has no process that the agent starts inherit a descriptor but the three that it is given. Go sees to that
// for what it opens itself; who started the agent may have left others open.
func keepDescriptors() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // no system with that folder
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd) // of one that is closed by now nothing is changed
		}
	}
}
