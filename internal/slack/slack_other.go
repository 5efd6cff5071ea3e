//go:build !linux

package slack

// Take does nothing: there is no such thing here.
func Take() {}
