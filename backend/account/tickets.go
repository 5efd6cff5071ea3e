package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// Limits of tickets.
const (
	TicketLife = 60 * time.Second
	// MaxTickets is how many wait to be used at most, for one principal, for the realms of one project, and for all.
	MaxTickets        = 100
	maxProjectTickets = 10_000
	maxAllTickets     = 40_000
	// maxInCrowd takes the place of maxProjectTickets where half of all that may wait do: few projects do not fill the other
	// half.
	maxInCrowd = 2_500
)

// Tickets trades a login over HTTPS for one WAMP session. They live in memory: a restart forgets them, and who holds one
// asks for another. Make one with NewTickets.
type Tickets struct {
	now func() time.Time

	mu      sync.Mutex // guards all below
	waiting map[ticketID]ticket
	held    map[wire.Key]int // how many of waiting by principal
	within  map[wire.Key]int // and by project of their realms
	oldest  []ticketID       // in the order of expiry; used ones are skipped
	opened  map[string]login // by the id of a login
}

// ticketID is the hash of a ticket, so that a look-up's timing tells nothing of what is stored.
type ticketID [sha256.Size]byte

type ticket struct {
	principal realms.Principal
	key       wire.Key // of who asked for it
	realm     string
	expires   time.Time
	until     time.Time // when the login ends; zero: nobody knows
}

// login is one that has opened sessions.
type login struct {
	until time.Time
	told  int // how often its end was told
}

// over reports whether the login has ended at a time.
func (l login) over(now time.Time) bool { return !l.until.IsZero() && !now.Before(l.until) }

// NewTickets makes an empty set.
func NewTickets(now func() time.Time) *Tickets {
	return &Tickets{now: now, waiting: map[ticketID]ticket{}, held: map[wire.Key]int{}, within: map[wire.Key]int{}, opened: map[string]login{}}
}

// errTicket is the one answer to whatever does not open the realm.
var errTicket = errs.E(wire.Unauthenticated, "the ticket is not valid")

// Issue gives p a ticket that opens one session in realm r within TicketLife, as role console under p's key.
func (t *Tickets) Issue(p Principal, r realms.Realm) (secret.Value, error) {
	if !p.Valid() || r.Name() == "" {
		return secret.Value{}, errs.E(wire.Denied, "a ticket is for somebody and a realm")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if t.opened[p.Login].over(now) { // while this request was on its way
		return secret.Value{}, errs.E(wire.Unauthenticated, "the login has ended")
	}
	t.sweep(now)
	t.compact()
	if !t.room(p.Key, r.Project) {
		return secret.Value{}, errs.E(wire.Exhausted, "too many tickets wait to be used: use one, or wait a minute")
	}
	text := secret.Random()
	id := ticketID(sha256.Sum256(text.Reveal()))
	t.waiting[id] = ticket{
		principal: realms.Principal{Role: realms.RoleConsole, AuthID: p.AuthID(), Project: r.Project, Login: p.Login, Scopes: p.scopes()},
		key:       p.Key, realm: r.Name(), expires: now.Add(TicketLife), until: p.Until,
	}
	t.held[p.Key]++
	t.within[r.Project]++
	t.oldest = append(t.oldest, id)
	return text, nil
}

// room tells whether one more may wait. With mu held.
func (t *Tickets) room(holder, project wire.Key) bool {
	most := maxProjectTickets
	if len(t.waiting) >= maxAllTickets/2 {
		most = maxInCrowd
	}
	return t.held[holder] < MaxTickets && t.within[project] < most && len(t.waiting) < maxAllTickets
}

// Redeem gives the principal of a ticket. A ticket is gone once it was presented, also in the wrong realm or under the
// wrong name: whoever does that is not who asked for it.
func (t *Tickets) Redeem(realm, authid, text string) (realms.Principal, error) {
	found, ok := t.take(ticketID(sha256.Sum256([]byte(text))))
	sameName := subtle.ConstantTimeCompare([]byte(authid), []byte(found.principal.AuthID)) == 1
	if !ok || !sameName || realm != found.realm || !t.open(found) {
		return realms.Principal{}, errTicket
	}
	return found.principal, nil
}

// open reports whether a ticket still opens a session, and remembers whose login it does so for.
func (t *Tickets) open(found ticket) bool {
	now := t.now()
	if !now.Before(found.expires) || !found.until.IsZero() && !now.Before(found.until) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened[found.principal.Login].over(now) {
		return false
	}
	if !found.until.IsZero() {
		t.opened[found.principal.Login] = login{until: found.until}
	}
	return true
}

// Serve calls end, within a second, for each login that ends after it has opened sessions, until ctx ends.
func (t *Tickets) Serve(ctx context.Context, end func(login string)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, id := range t.ended() {
				end(id)
			}
		}
	}
}

// ended lists the logins that have ended. Each is listed again when no ticket of it can be on its way any more: a session
// that was being opened meanwhile is not found the first time.
func (t *Tickets) ended() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	var ended []string
	for id, l := range t.opened {
		last := !now.Before(l.until.Add(TicketLife))
		switch {
		case !l.over(now):
		case !now.Before(l.until.Add(2 * TicketLife)):
			delete(t.opened, id)
		case l.told == 0, last && l.told == 1:
			ended = append(ended, id)
			t.opened[id] = login{l.until, l.told + 1}
		}
	}
	return ended
}

// Drop takes back the tickets of a login that has ended. Serve tells its end twice more, for sessions that are being opened.
func (t *Tickets) Drop(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now(); !t.opened[id].over(now) {
		t.opened[id] = login{until: now}
	}
	t.drop(id)
}

func (t *Tickets) drop(login string) {
	for id, waiting := range t.waiting {
		if waiting.principal.Login == login {
			t.remove(id)
		}
	}
}

func (t *Tickets) take(id ticketID) (ticket, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.waiting[id]
	t.remove(id)
	return found, ok
}

// remove, sweep and compact are called with mu held.
func (t *Tickets) remove(id ticketID) {
	found, ok := t.waiting[id]
	if !ok {
		return
	}
	delete(t.waiting, id)
	if t.held[found.key]--; t.held[found.key] == 0 {
		delete(t.held, found.key)
	}
	if project := found.principal.Project; t.within[project] > 1 {
		t.within[project]--
	} else {
		delete(t.within, project)
	}
}

func (t *Tickets) sweep(now time.Time) {
	for len(t.oldest) > 0 {
		id := t.oldest[0]
		if waiting, ok := t.waiting[id]; ok && now.Before(waiting.expires) {
			return
		}
		t.remove(id)
		t.oldest = t.oldest[1:]
	}
}

// compact drops the used tickets from oldest, so that its length is bounded by what waits and not by the rate of use.
func (t *Tickets) compact() {
	if len(t.oldest) < 2*maxAllTickets {
		return
	}
	t.oldest = slices.DeleteFunc(t.oldest, func(id ticketID) bool { _, ok := t.waiting[id]; return !ok })
}
