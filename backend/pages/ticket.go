package pages

import (
	"crypto/sha256"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

const (
	ticketLife = time.Minute
	maxTickets = 4096
)

// tickets let the script of a page open what the page was made for: once, soon, and for the same login.
type tickets struct {
	now func() time.Time

	mu   sync.Mutex // guards held
	held map[[sha256.Size]byte]ticket
}

type ticket struct {
	login, id string
	until     time.Time
}

func newTickets(now func() time.Time) *tickets {
	return &tickets{now: now, held: map[[sha256.Size]byte]ticket{}}
}

func (t *tickets) issue(login, id string) (string, error) {
	text, now := secret.Random().Reveal(), t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.held) >= maxTickets {
		for hash, one := range t.held {
			if !now.Before(one.until) {
				delete(t.held, hash)
			}
		}
	}
	if len(t.held) >= maxTickets {
		return "", errs.E(wire.Exhausted, "too many terminals are being opened at once: try again in a minute")
	}
	t.held[sha256.Sum256(text)] = ticket{login, id, now.Add(ticketLife)}
	return string(text), nil
}

// redeem takes a ticket. It is gone then, whoever has shown it.
func (t *tickets) redeem(login, text string) (id string, err error) {
	hash := sha256.Sum256([]byte(text))
	t.mu.Lock()
	defer t.mu.Unlock()
	one, ok := t.held[hash]
	delete(t.held, hash)
	if !ok || login == "" || one.login != login || !t.now().Before(one.until) {
		return "", errs.E(wire.Unauthenticated, "this page was used, or is too old: open the terminal again")
	}
	return one.id, nil
}
