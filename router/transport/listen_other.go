//go:build !linux

package transport

import "net"

// tune changes nothing: Go keeps connections alive one by one.
func tune(*net.ListenConfig) {}
