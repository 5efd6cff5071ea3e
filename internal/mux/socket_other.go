//go:build !linux

package mux

import "syscall"

func tuneSocket(_, _ string, _ syscall.RawConn) error { return nil }
