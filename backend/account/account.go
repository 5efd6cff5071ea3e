// Package account knows who calls: it makes and checks API keys, and trades a login for a one-use ticket that opens a
// WAMP session.
//
// It promises that the server keeps no API key, only hashes; that a revoked or expired key is forgotten within a second; that an unknown
// key and a wrong one get the same answer; that each ticket opens one session once, in one realm, under one name, and none after its
// login has ended; that what it opened is ended with the login; and that an
// error while checking is a refusal.
package account

import (
	"time"

	"bulkhead/backend/audit"
)

// Principal is who acts, as this package proved it. The zero Principal is nobody and may do nothing.
type Principal struct {
	Kind Kind
	ID   string // of the API key
	Name string
	// Owner has every privilege on this server. Without it a principal has none, until privileges are granted.
	Owner bool
	// Until is when the login ends; zero: nobody knows.
	Until time.Time
}

// Kind tells what a principal is.
type Kind string

// The kinds of principal.
const (
	KindAPIKey Kind = "apikey"
)

// Valid reports whether p is somebody.
func (p Principal) Valid() bool { return p.Kind != "" && p.ID != "" }

// Actor gives the principal as the audit log names it.
func (p Principal) Actor(address, requestID string) audit.Actor {
	return audit.Actor{Kind: audit.ActorKind(p.Kind), ID: p.ID, Name: p.Name, Address: address, RequestID: requestID}
}
