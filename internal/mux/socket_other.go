//go:build !linux

package mux

import (
	"net"
	"syscall"
)

func tuneSocket(_, _ string, _ syscall.RawConn) error { return nil }

func tune(net.Conn) {}
