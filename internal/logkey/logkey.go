// Package logkey is the dictionary of log attributes.
//
// It promises one key per thing, the same word as in JSON and SQL, so that a log can be searched without knowing who wrote the line.
package logkey

// Keys of log attributes.
const (
	Addr         = "addr"
	App          = "app"
	AuthID       = "authid"
	Bytes        = "bytes"
	Count        = "count"
	Database     = "database"
	Device       = "device"
	Duration     = "duration"
	Error        = "error"
	File         = "file"
	Installation = "installation"
	Op           = "op"
	PID          = "pid"
	Project      = "project"
	Provider     = "provider"
	Reason       = "reason"
	Realm        = "realm"
	RequestID    = "request_id"
	Role         = "role"
	Schema       = "schema"
	Serial       = "serial"
	Session      = "session"
	Stack        = "stack"
	Table        = "table"
	Target       = "target"
	Tunnel       = "tunnel"
	URI          = "uri"
	Version      = "version"
)
