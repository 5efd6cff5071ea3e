package core

import (
	"time"

	"bulkhead/router/message"
)

// Realm is the broker and the dealer of one realm.
type Realm struct {
	config Config
}

// NewRealm makes a realm without sessions.
func NewRealm(c Config, now time.Time) *Realm { return &Realm{config: c} }

// Join adds a session; the caller has sent, or sends before anything else, its WELCOME. It fails where a quota is
// exhausted or the session's id is taken; then nothing has changed.
func (r *Realm) Join(s *Session, now time.Time) error { return nil }

// Leave removes a session: its subscriptions and registrations end, its calls are canceled, its callers get an error, its
// testaments are published. Leaving twice is fine.
func (r *Realm) Leave(s *Session, now time.Time) {}

// Handle takes a message of a session that has joined. An error is a violation of the protocol: the session is to be
// aborted with errs.URIOf(err) and to leave. What is refused to a session that follows the protocol it is told by ERROR.
//
// GOODBYE, HELLO and AUTHENTICATE are the transport's; here they are violations.
func (r *Realm) Handle(s *Session, m message.Message, now time.Time) error { return nil }

// NextDeadline tells when Tick has to be called at the latest; false says that nothing waits for time.
func (r *Realm) NextDeadline() (time.Time, bool) { return time.Time{}, false }

// Tick ends the calls whose time is up.
func (r *Realm) Tick(now time.Time) {}

// Recheck asks again whether the session may have what it has, and ends the subscriptions, registrations and calls that
// are no longer allowed. It is to be called whenever the answers of Authorize for the session may have changed.
func (r *Realm) Recheck(s *Session, now time.Time) {}

// Kill ends a session for the router's own reasons; roles do not protect from it. It returns whether the session was there.
func (r *Realm) Kill(id message.ID, reason, text string, now time.Time) bool { return false }

// KillAll ends every session, because the realm is removed or the server stops.
func (r *Realm) KillAll(reason, text string, now time.Time) int { return 0 }

// Session finds a session by its id.
func (r *Realm) Session(id message.ID) (*Session, bool) { return nil, false }

// Counts gives what the realm holds and has refused.
func (r *Realm) Counts() Counts { return Counts{} }
