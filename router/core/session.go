package core

import (
	"cmp"
	"maps"
	"slices"

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

// Session is one session of a realm. The realm owns what is in it; only Handle belongs to the transport.
type Session struct {
	// Handle is the transport's, to find its own side of the session. The core never looks at it.
	Handle any

	id        message.ID
	principal realms.Principal
	details   Details
	identity  message.Identity

	present bool   // between Join and Leave
	party   *party // set once it has joined
	used    usage
	allowed map[access]*grant // what Authorize has said yes to

	subscriptions map[*subscription]int // where in the subscription's list the session stands
	registrations map[*registration]*callee
	calls         map[message.ID]*call // outstanding, by the id of the CALL
	invocations   map[message.ID]*call // outstanding, by the id of the INVOCATION
	invoked       message.ID           // the id of the last INVOCATION
	ended         []message.ID         // calls that were answered while their caller was still sending
	testaments    [2][]testament       // by scope
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

// orderedSubscriptions gives the session's subscriptions, the oldest first.
func (s *Session) orderedSubscriptions() []*subscription {
	return slices.SortedFunc(maps.Keys(s.subscriptions), func(a, b *subscription) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
}

// orderedRegistrations gives the session's registrations, the oldest first.
func (s *Session) orderedRegistrations() []*registration {
	return slices.SortedFunc(maps.Keys(s.registrations), func(a, b *registration) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
}

// put sets a key of a map that is made when first needed, because most sessions need few of theirs.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}
