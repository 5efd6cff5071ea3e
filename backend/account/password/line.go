package password

import (
	"context"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Limits of those who wait to be hashed. A hash takes some 40 ms, so whoever is let in waits well under two seconds.
const (
	workers   = 2
	maxKnown  = 32
	maxOthers = 32
	patience  = 2 * time.Second
)

// Turn is who waits for a hash.
type Turn struct {
	Name  string // that is tried: names wait in turns, so that a flood of guesses at one does not keep others waiting
	Known bool   // has logged in from here before, and comes before those who have not
}

var errBusy = errs.E(wire.Exhausted, "too many people log in at this moment: try again in a few seconds")

// line lets workers in at once. The others wait in two lines, each with turns by name; of four places, the known have
// three where both wait.
type line struct {
	mu     sync.Mutex // guards all below
	busy   int
	known  queue
	others queue
	served int
}

func newLine() *line { return &line{known: newQueue(maxKnown), others: newQueue(maxOthers)} }

// enter waits for a place, at most as long as patience.
func (l *line) enter(ctx context.Context, t Turn) (leave func(), err error) {
	w := &waiter{name: t.Name, called: make(chan struct{})}
	if waits, err := l.join(w, t.Known); err != nil {
		return nil, err
	} else if !waits {
		return l.leave, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errBusy)
	defer cancel()
	select {
	case <-w.called:
		if w.dropped {
			return nil, errBusy
		}
		return l.leave, nil
	case <-ctx.Done():
		if l.withdraw(w) {
			return nil, context.Cause(ctx)
		}
		<-w.called // the place was given meanwhile, or lost
		if !w.dropped {
			l.leave()
		}
		return nil, context.Cause(ctx)
	}
}

func (l *line) join(w *waiter, known bool) (waits bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy < workers {
		l.busy++
		return false, nil
	}
	w.queue = &l.others
	if known {
		w.queue = &l.known
	}
	if !w.queue.push(w) {
		return false, errBusy
	}
	return true, nil
}

// leave gives the place to the next.
func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.served++
	first, second := &l.known, &l.others
	if l.served%4 == 0 {
		first, second = second, first
	}
	for _, q := range []*queue{first, second} {
		if w := q.pop(); w != nil {
			close(w.called)
			return
		}
	}
	l.busy--
}

// withdraw reports whether w still waited.
func (l *line) withdraw(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return w.queue.remove(w)
}
