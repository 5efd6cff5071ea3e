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

// line lets workers in at once. The others wait by rank, and within one in turns by name. Those of the last rank have but a
// quarter of a worker: a flood of guesses leaves the processors to others.
type line struct {
	workers int

	mu      sync.Mutex // guards all below
	busy    int
	waiting [ranks]queue
	rest    bool // since one of the last rank was served: no other is until it is over
}

func newLine() *line {
	l := &line{workers: workers()}
	for i := range l.waiting {
		l.waiting[i] = newQueue(maxWaiting)
	}
	return l
}

// enter waits for a place, at most as long as patience. Leave gives it back.
func (l *line) enter(ctx context.Context, t Turn) (leave func(), err error) {
	w := &waiter{name: t.Name, rank: min(max(t.Rank, Known), Failed), called: make(chan struct{})}
	if waits, err := l.join(w); err != nil {
		return nil, err
	} else if !waits {
		return l.place(w.rank), nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errBusy)
	defer cancel()
	select {
	case <-w.called:
		if w.dropped {
			return nil, errBusy
		}
		return l.place(w.rank), nil
	case <-ctx.Done():
		if !l.withdraw(w) { // the place was given meanwhile, or lost
			if <-w.called; !w.dropped {
				l.leave(w.rank, 0)
			}
		}
		return nil, context.Cause(ctx)
	}
}

// place gives what gives a place back that begins now.
func (l *line) place(rank Rank) func() {
	begun := time.Now()
	return func() { l.leave(rank, time.Since(begun)) }
}

func (l *line) join(w *waiter) (waits bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy < l.workers && (w.rank != Failed || !l.rest) {
		l.take(w.rank)
		return false, nil
	}
	if !l.waiting[w.rank].push(w) {
		return false, errBusy
	}
	return true, nil
}

// take counts who has got a place. With mu held.
func (l *line) take(rank Rank) {
	l.busy++
	if rank == Failed {
		l.rest = true
	}
}

// leave gives a place back that was used for a time.
func (l *line) leave(rank Rank, used time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	if rank == Failed {
		time.AfterFunc(min(3*used, patience/4), l.rested)
	}
	l.call()
}

// rested ends the rest of the last rank.
func (l *line) rested() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = false
	l.call()
}

// call gives the free places to those who wait. With mu held.
func (l *line) call() {
	for rank := Known; rank < ranks && l.busy < l.workers; rank++ {
		for l.busy < l.workers && (rank != Failed || !l.rest) {
			w := l.waiting[rank].pop()
			if w == nil {
				break
			}
			l.take(rank)
			close(w.called)
		}
	}
}

// withdraw reports whether w still waited.
func (l *line) withdraw(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting[w.rank].remove(w)
}
