package idp

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Limits of logins that are under way.
const (
	tripLife = 10 * time.Minute
	codeLife = time.Minute
	maxTrips = 1000
)

// trip is one login: what the client asked, and who logged in. The library gets copies, for it reads without our lock.
type trip struct {
	id    string
	asked oidc.AuthRequest
	begun time.Time
	user  string // empty until the password was right
	at    time.Time
}

var _ op.AuthRequest = trip{}

func (t trip) GetID() string                      { return t.id }
func (trip) GetACR() string                       { return "" }
func (trip) GetAMR() []string                     { return []string{"pwd"} }
func (t trip) GetAudience() []string              { return []string{t.asked.ClientID} }
func (t trip) GetAuthTime() time.Time             { return t.at }
func (t trip) GetClientID() string                { return t.asked.ClientID }
func (t trip) GetNonce() string                   { return t.asked.Nonce }
func (t trip) GetRedirectURI() string             { return t.asked.RedirectURI }
func (t trip) GetScopes() []string                { return t.asked.Scopes }
func (t trip) GetState() string                   { return t.asked.State }
func (t trip) GetSubject() string                 { return t.user }
func (t trip) Done() bool                         { return t.user != "" }
func (t trip) GetResponseType() oidc.ResponseType { return t.asked.ResponseType }
func (t trip) GetResponseMode() oidc.ResponseMode { return t.asked.ResponseMode }
func (t trip) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: t.asked.CodeChallenge, Method: t.asked.CodeChallengeMethod}
}

// trips are the logins under way: by id until there is a code, then by code.
type trips struct {
	now func() time.Time

	mu   sync.Mutex // guards both
	open map[string]trip
	done map[string]trip
}

func newTrips(now func() time.Time) *trips {
	return &trips{now: now, open: map[string]trip{}, done: map[string]trip{}}
}

// begin gives a new trip, or false where too many are under way.
func (t *trips) begin(asked oidc.AuthRequest) (made trip, ok bool) {
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
		return trip{}, false
	}
	made = trip{id: rand.Text(), asked: asked, begun: now}
	t.open[made.id] = made
	return made, true
}

// find gives a trip whose password was not right yet.
func (t *trips) find(id string) (trip, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting(id)
}

// waiting is called with mu held.
func (t *trips) waiting(id string) (trip, bool) {
	found, ok := t.open[id]
	return found, ok && !found.Done() && t.now().Sub(found.begun) < tripLife
}

// finish says who has logged in, once.
func (t *trips) finish(id, user string) (trip, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.waiting(id)
	if !ok {
		return trip{}, false
	}
	found.user, found.at = user, t.now()
	t.open[id] = found
	return found, true
}

// file has a finished trip wait for its code, the only one that it gets.
func (t *trips) file(id, code string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.open[id]
	if !ok || !found.Done() {
		return false
	}
	delete(t.open, id)
	t.done[code] = found
	return true
}

// redeem takes a code: it is gone whatever comes of it.
func (t *trips) redeem(code string) (trip, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.done[code]
	delete(t.done, code)
	return found, ok && t.now().Sub(found.at) < codeLife
}
