//go:build !linux

package apart

import (
	"os"
	"syscall"
)

// Self is this program.
func Self() (string, error) { return os.Executable() }

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func yield() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19) }
