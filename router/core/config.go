package core

import (
	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// Output is where a realm's messages go. The realm calls it synchronously, in the order in which each receiver must see
// the messages; it must not block and must not call the realm back.
type Output interface {
	// Send queues m for one session, or gives ErrTooLarge or ErrNotTaken: then a caller whose INVOCATION it was gets the
	// error. What becomes of a session that cannot take its own answers is the transport's business.
	Send(to *Session, m message.Message) error
	// Fanout queues one event for many sessions, so that it can be encoded once for all. The slice is valid only during
	// the call; the event is immutable and may be kept.
	Fanout(to []*Session, e *message.Event)
	// Close says that the realm has ended a session: queue the goodbye and close the connection. The session has left the
	// realm when Close is called, so that Leave of it does nothing.
	Close(s *Session, goodbye *message.Goodbye)
}

// What Output gives for a message that a session does not get.
var (
	ErrTooLarge = &errs.Error{Kind: wire.Exhausted, User: "the callee takes no message of this size", URI: "wamp.error.payload_size_exceeded"}
	ErrNotTaken = &errs.Error{Kind: wire.Unavailable, User: "the callee cannot take the call now"}
)

// Config is what a realm is made of. The zero value of each field but Output and Authorize has a meaning.
type Config struct {
	// Output receives the messages. Required.
	Output Output
	// Authorize decides whether a session may do something with every URI that the pattern matches; nil denies all. Its
	// answer for a session is remembered until Recheck of that session.
	Authorize func(s *Session, a realms.Action, uri string, m realms.Match) bool
	// MayKnow decides whether the meta API shows a session to another; nil is DefaultMayKnow.
	MayKnow func(asking, about *Session) bool
	// Accept is shown each publication of a session (testaments included) after it was found allowed and before it is
	// routed. Where it returns true, PUBLISHED or ERROR is not sent here: it has taken that upon itself. Nil takes nothing.
	Accept func(from *Session, p *message.Publish, publication message.ID) (answers bool)
	// Disclose shows publishers and callers whether or not they ask for it.
	Disclose bool
	// StrictURIs allows only lower case letters, digits and underscores in components.
	StrictURIs bool
	// Quotas are the limits of the realm; zero limits are none, but for the URI length.
	Quotas Quotas
	// History names the topics of which events are kept.
	History []HistoryRule
	// Random gives 64 random bits, for ids and for the invocation policy "random"; nil is the system's generator.
	Random func() uint64
}

// Counts are what a realm holds, and what it refused since it began.
type Counts struct {
	Sessions, Subscriptions, Registrations, Calls, Testaments, Retained int

	// Unauthorized and OverQuota count refusals; Unrouted counts publications without acknowledgement that were refused, of
	// which nobody else was told.
	Unauthorized, OverQuota, Unrouted uint64
}
