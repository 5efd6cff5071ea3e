package devicegrant

import (
	"time"

	"bulkhead/wire"
)

// Limits of guesses: with ten thousand requests waiting, ten tries hit one of them once in 250,000 windows.
const (
	guessWindow = 15 * time.Minute
	maxGuesses  = 10
)

// guesses counts wrong codes by who typed them. Only users with a second factor get so far, so there are few, and one does
// not lock out another.
type guesses map[wire.Key]tries

type tries struct {
	since time.Time
	count int
}

func (g guesses) exhausted(now time.Time, user wire.Key) bool {
	t := g[user]
	return t.count >= maxGuesses && now.Sub(t.since) < guessWindow
}

func (g guesses) wrong(now time.Time, user wire.Key) {
	t := g[user]
	if now.Sub(t.since) >= guessWindow {
		t = tries{since: now}
	}
	t.count++
	g[user] = t
}

func (g guesses) sweep(now time.Time) {
	for user, t := range g {
		if now.Sub(t.since) >= guessWindow {
			delete(g, user)
		}
	}
}
