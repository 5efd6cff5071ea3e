package idp

import (
	"crypto/rand"
	"sync"
	"time"
)

// Limits of logins that are under way.
const (
	tripLife = 10 * time.Minute
	codeLife = time.Minute
	maxTrips = 1000
)

// trip is one login: what the client asked, and who logged in.
type trip struct {
	state, nonce, challenge, hint string

	begun time.Time
	user  string // empty until the password was right
	at    time.Time
}

// trips are the logins under way: by id until the password was right, then by code.
type trips struct {
	now func() time.Time

	mu   sync.Mutex // guards both
	open map[string]trip
	done map[string]trip
}

func newTrips(now func() time.Time) *trips {
	return &trips{now: now, open: map[string]trip{}, done: map[string]trip{}}
}

// begin gives the id of a new trip, or false where too many are under way.
func (t *trips) begin(asked trip) (id string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for id, old := range t.open {
		if now.Sub(old.begun) >= tripLife {
			delete(t.open, id)
		}
	}
	for code, old := range t.done {
		if now.Sub(old.at) >= codeLife {
			delete(t.done, code)
		}
	}
	if len(t.open)+len(t.done) >= maxTrips {
		return "", false
	}
	id, asked.begun = rand.Text(), now
	t.open[id] = asked
	return id, true
}

// find gives a trip whose password was not right yet.
func (t *trips) find(id string) (trip, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.open[id]
	return found, ok && t.now().Sub(found.begun) < tripLife
}

// finish gives the code of a trip, once.
func (t *trips) finish(id, user string) (code string, finished trip, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.open[id]
	delete(t.open, id)
	if !ok || t.now().Sub(found.begun) >= tripLife {
		return "", trip{}, false
	}
	found.user, found.at = user, t.now()
	code = rand.Text()
	t.done[code] = found
	return code, found, true
}

// redeem takes a code: it is gone whatever comes of it.
func (t *trips) redeem(code string) (trip, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.done[code]
	delete(t.done, code)
	return found, ok && t.now().Sub(found.at) < codeLife
}
