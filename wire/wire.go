// Package wire holds what crosses a process boundary: keys, serials, URIs with their payload types, error kinds and the
// flash file.
//
// It promises that two processes of one contract version understand each other, that a URI and its payload types cannot
// be mismatched at a call site, and that it needs nothing but the standard library, so that a device can carry it.
package wire

// Version is the version of this contract. It changes when a process of the old version would misread one of the new.
const Version = 1
