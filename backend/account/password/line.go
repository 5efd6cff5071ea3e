package password

import (
	"context"
	"runtime"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Limits of those who wait to be hashed. A hash takes some 40 ms, so whoever is let in waits well under two seconds.
const (
	maxWorkers = 2
	maxWaiting = 24 // of each rank
	patience   = 2 * time.Second
)

// workers are at most two, and leave half of the processors to others.
func workers() int { return max(1, min(maxWorkers, runtime.GOMAXPROCS(0)/2)) }

// Rank says how likely somebody is to be honest.
type Rank int

// The ranks, the first one first.
const (
	Known  Rank = iota // has logged in from here before
	Clean              // nobody has failed from here lately
	Failed             // somebody has
	ranks
)

// Turn is who waits for a hash.
type Turn struct {
	Name string // that is tried: names wait in turns, so that a flood of guesses at one does not keep others waiting
	Rank Rank
}

var errBusy = errs.E(wire.Exhausted, "too many people log in at this moment: try again in a few seconds")

// line lets workers in at once. The others wait by rank, and within one in turns by name. Of four places one goes to who
// has waited at the other end, so that nobody waits for ever.
type line struct {
	workers int

	mu      sync.Mutex // guards all below
	busy    int
	waiting [ranks]queue
	served  int
}

func newLine() *line {
	l := &line{workers: workers()}
	for i := range l.waiting {
		l.waiting[i] = newQueue(maxWaiting)
	}
	return l
}

// enter waits for a place, at most as long as patience.
func (l *line) enter(ctx context.Context, t Turn) (leave func(), err error) {
	w := &waiter{name: t.Name, called: make(chan struct{})}
	if waits, err := l.join(w, t.Rank); err != nil {
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

func (l *line) join(w *waiter, rank Rank) (waits bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy < l.workers {
		l.busy++
		return false, nil
	}
	w.queue = &l.waiting[min(max(rank, Known), Failed)]
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
	for i := range l.waiting {
		if l.served%4 == 0 {
			i = len(l.waiting) - 1 - i
		}
		if w := l.waiting[i].pop(); w != nil {
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
