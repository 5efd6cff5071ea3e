package dev

import "syscall"

// childAttributes has the kernel end the child with its parent, and keeps the terminal's Ctrl-C for the parent alone,
// which stops its parts in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
