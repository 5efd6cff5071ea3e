package load

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// urgently gives the calling thread, which must be locked, the processor whenever it wants it, as far as the kernel lets us. It
// says how, and gives what ends it. Threads that this one starts do not inherit it.
func urgently() (how string, end func()) {
	const thread, first, better = 0, 1, -10
	fifo := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: first, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	normal := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	if unix.SchedSetAttr(thread, &fifo, 0) == nil {
		return "SCHED_FIFO", func() { _ = unix.SchedSetAttr(thread, &normal, 0) } // less is always granted
	}
	nice := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: better, Flags: unix.SCHED_FLAG_RESET_ON_FORK}
	if unix.SchedSetAttr(thread, &nice, 0) == nil {
		return "nice -10", func() { _ = unix.SchedSetAttr(thread, &normal, 0) }
	}
	return "no priority", func() {}
}

// sleepUntil blocks the thread itself: the runtime would wake a goroutine by way of another thread.
func sleepUntil(due time.Time) {
	for {
		left := time.Until(due)
		if left <= 0 {
			return
		}
		t := unix.NsecToTimespec(int64(left))
		if err := unix.Nanosleep(&t, nil); err != nil && !errors.Is(err, unix.EINTR) {
			time.Sleep(left)
		}
	}
}
