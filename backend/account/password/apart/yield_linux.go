package apart

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Self is this program, also where its file has been replaced since.
func Self() (string, error) { return "/proc/self/exe", nil }

// attributes keep the terminal's Ctrl-C from the process.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// yield has this process run only where a processor has nothing else to do, as far as the system allows it: threads that
// are made later inherit it from those that make them.
func yield() {
	idle := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE, Nice: 19}
	for seen := map[int]bool{}; ; {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		before := len(seen)
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil && !seen[id] {
				seen[id] = true
				_ = unix.SchedSetAttr(id, idle, 0) // where it is forbidden, the process is as any other
			}
		}
		if len(seen) == before {
			return
		}
	}
}
