package core

import (
	"bulkhead/realms"
	"bulkhead/router/message"
)

// Details are what a session is known by besides its principal. They are shown by the session meta API.
type Details struct {
	AuthMethod   string
	AuthProvider string
	Transport    message.Dict // what to show of the transport; may be nil
	Features     ClientFeatures
}

// ClientFeatures are the features that a client announced in HELLO and that the router must know to treat it right.
type ClientFeatures struct {
	CallCanceling          bool // callee: INTERRUPT may be sent to it
	RegistrationRevocation bool // callee: UNREGISTERED may be sent to it unasked
	SubscriptionRevocation bool // subscriber: UNSUBSCRIBED may be sent to it unasked
	CallPassthru           bool // caller: may call with payload passthru
	CalleePassthru         bool // callee: may be called with payload passthru
	PublishPassthru        bool // publisher: may publish with payload passthru
}

// Session is one session of a realm. The realm owns what is in it; only Handle belongs to the transport.
type Session struct {
	// Handle is the transport's, to find its own side of the session. The core never looks at it.
	Handle any

	id        message.ID
	principal realms.Principal
	details   Details
	identity  message.Identity
}

// NewSession makes a session that has not joined yet. The principal is the one that was proved.
func NewSession(id message.ID, p realms.Principal, d Details) *Session {
	return &Session{
		id: id, principal: p, details: d,
		identity: message.Identity{Session: id, AuthID: p.AuthID, AuthRole: string(p.Role)},
	}
}

// ID is the session's id.
func (s *Session) ID() message.ID { return s.id }

// Principal is who the session is.
func (s *Session) Principal() realms.Principal { return s.principal }

// Details are what else is known of the session.
func (s *Session) Details() Details { return s.details }
