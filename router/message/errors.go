package message

import (
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// ViolationURI is the reason with which a session that breaks the protocol is aborted.
const ViolationURI = "wamp.error.protocol_violation"

// ProtocolError says how a peer broke the protocol. Its text is for that peer: it names the rule and the place, and quotes nothing
// that the peer sent but the names of options.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return "protocol violation: " + e.Reason }

// Unwrap gives the error its kind, its WAMP URI and its text for the caller.
func (e *ProtocolError) Unwrap() error {
	return &errs.Error{Kind: wire.Invalid, User: e.Reason, URI: ViolationURI}
}
