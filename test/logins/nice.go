package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// startNice starts a process with a nice value, which all of its threads have from their beginning: a process inherits it from
// the thread that starts it. That thread ends with the goroutine, so that no other work of this process has it.
func startNice(cmd *exec.Cmd, nice int) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice); err != nil && nice != 0 {
			started <- fmt.Errorf("nice %d: %w", nice, err)
			return
		}
		started <- cmd.Start()
	}()
	return <-started
}
