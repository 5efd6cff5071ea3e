//go:build !linux

package mux

import "syscall"

func tuneSocket(_, _ string, _ syscall.RawConn) error { return nil }

func tune(syscall.RawConn) {}

func sendsByBBR(syscall.RawConn) bool { return false }

func ask(syscall.RawConn) (glance, bool) { return glance{}, false }
