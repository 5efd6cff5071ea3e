package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

// The bounds of the pause before the next attempt, and how long a session must last for its end to be a new trouble and
// not the old one.
const (
	firstPause  = 500 * time.Millisecond
	longestWait = 30 * time.Second
	steady      = 60 * time.Second
)

// backoff says how long to pause before the next attempt: a random time below a bound that doubles ("full jitter"), so
// that devices which lost their router together do not come back together. The zero backoff is ready.
type backoff struct{ attempts int }

// bound is what the next pause is below.
func (b *backoff) bound() time.Duration {
	return min(longestWait, firstPause<<min(b.attempts, 10))
}

func (b *backoff) next() time.Duration {
	pause := rand.N(b.bound()) //nolint:gosec // nobody gains by guessing it
	b.attempts++
	return pause
}

// lasted forgets the earlier attempts where the session was a steady one.
func (b *backoff) lasted(d time.Duration) {
	if d >= steady {
		b.attempts = 0
	}
}

// pause waits, and reports whether it was to its end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
