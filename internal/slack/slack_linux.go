package slack

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// usual is what the kernel gives a process unless it is told otherwise.
const usual = 50 * time.Microsecond

// taken is the variable that says that it was done: its value is the process, so that children do not take it for theirs.
const taken = "BULKHEAD_SLACK_TAKEN"

// Take begins the program anew with more slack; it is to be called before anything else was done. Threads inherit it from who
// starts them, and when main begins the one that matters runs already.
func Take() {
	mine := strconv.Itoa(os.Getpid())
	if os.Getenv(taken) == mine {
		_ = os.Unsetenv(taken) // it is set, so its name is right
		return
	}
	runtime.LockOSThread() // what is set is the thread's, and the thread's is what the program begins anew with
	defer runtime.UnlockOSThread()
	if of() != usual || set(Enough) != nil {
		return
	}
	if program, err := os.Executable(); err == nil { // by its own name, which is what ps and pidof know it by
		_ = syscall.Exec(program, os.Args, append(os.Environ(), taken+"="+mine)) // returns if it is not to be
	}
	_ = set(usual)
}

// of is the slack of the calling thread.
func of() time.Duration {
	n, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_GET_TIMERSLACK, 0, 0)
	if errno != 0 {
		return 0
	}
	return time.Duration(n) //nolint:gosec // nanoseconds, which are few
}

func set(d time.Duration) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, uintptr(d), 0); errno != 0 { //nolint:gosec // as above
		return errno
	}
	return nil
}
