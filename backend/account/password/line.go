package password

import (
	"context"
	"runtime"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Limits of those who wait to be hashed. A hash takes some 40 ms.
const (
	maxWorkers = 2
	patience   = 2500 * time.Millisecond
)

// maxWaiting are the places of each rank. Of the clean ones many may be those of a flood that has just begun: they wait
// until it is known, by what comes next from where they came, who is who.
var maxWaiting = [ranks]int{Known: 64, Back: 64, Clean: 256, Failed: 12}

// Workers are how many are hashed at once: two at most, and half of the processors are left to others.
func Workers() int { return max(1, min(maxWorkers, runtime.GOMAXPROCS(0)/2)) }

// Rank says how likely somebody is to be honest.
type Rank int

// The ranks, the first one first.
const (
	Known  Rank = iota // has logged in from here before
	Back               // was sent away in a crowd, and has come back
	Clean              // nobody has failed from here lately
	Failed             // somebody has
	ranks
)

// Turn is who waits for a hash.
type Turn struct {
	Name string // that is tried: names wait in turns, so that a flood of guesses at one does not keep others waiting
	Rank Rank
	// Still gives the rank again when it is the turn of who waits, lest those stay clean who have sent more meanwhile. Nil: it
	// does not change.
	Still func() Rank
}

var errBusy = errs.E(wire.Exhausted, "too many people log in at this moment: try again in a few seconds")

// crowd is how many clean ones wait where there may be a flood that has just begun.
const crowd = 16

// line lets workers in at once. The others wait by rank, and within one in turns by name. Those of the last rank, and a crowd of
// those who are clean, have but an eighth of a worker: a flood of guesses leaves the processors, and their caches, to others.
type line struct {
	workers int

	mu      sync.Mutex // guards all below
	busy    int
	waiting [ranks]queue
	rest    bool // since one of a flood was served: no other is until it is over
}

func newLine() *line {
	l := &line{workers: Workers()}
	for i := range l.waiting {
		l.waiting[i] = newQueue(maxWaiting[i])
	}
	return l
}

// enter waits for a place, at most as long as patience. Leave gives it back.
func (l *line) enter(ctx context.Context, t Turn) (leave func(), err error) {
	w := &waiter{name: t.Name, rank: clamp(t.Rank), still: t.Still, called: make(chan struct{})}
	if waits, err := l.join(w); err != nil {
		return nil, err
	} else if !waits {
		return l.place(w), nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errBusy)
	defer cancel()
	select {
	case <-w.called:
		if w.dropped {
			return nil, errBusy
		}
		return l.place(w), nil
	case <-ctx.Done():
		if !l.withdraw(w) { // the place was given meanwhile, or lost
			if <-w.called; !w.dropped {
				l.leave(w, 0)
			}
		}
		return nil, context.Cause(ctx)
	}
}

// place gives what gives a place back that begins now.
func (l *line) place(w *waiter) func() {
	begun := time.Now()
	return func() { l.leave(w, time.Since(begun)) }
}

func (l *line) join(w *waiter) (waits bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy < l.workers && l.serves(w.rank) {
		l.take(w)
		return false, nil
	}
	if !l.waiting[w.rank].push(w) {
		return false, errBusy
	}
	return true, nil
}

// serves tells whether one of a rank may have a place that is free. With mu held.
func (l *line) serves(rank Rank) bool {
	return !l.rest || !l.floods(rank)
}

// floods tells whether those of a rank are taken for a flood: they have failed, or a crowd of them waits. With mu held.
func (l *line) floods(rank Rank) bool {
	return rank == Failed || rank == Clean && l.waiting[Clean].size > crowd
}

// take counts who has got a place. With mu held.
func (l *line) take(w *waiter) {
	l.busy++
	if l.floods(w.rank) {
		l.rest, w.rests = true, true
	}
}

// leave gives a place back that was used for a time.
func (l *line) leave(w *waiter, used time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	if w.rests {
		time.AfterFunc(min(7*used, patience/4), l.rested)
	}
	l.call()
}

// rested ends the rest after one of a flood.
func (l *line) rested() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = false
	l.call()
}

// call gives the free places to those who wait. With mu held.
func (l *line) call() {
	for rank := Known; rank < ranks && l.busy < l.workers; rank++ {
		for l.busy < l.workers && l.serves(rank) {
			w := l.waiting[rank].pop()
			if w == nil {
				break
			}
			if l.behind(w) {
				continue
			}
			l.take(w)
			close(w.called)
		}
	}
}

// behind sends who is no longer of the rank in which it waited to the one where it belongs now. With mu held.
func (l *line) behind(w *waiter) bool {
	if w.still == nil {
		return false
	}
	rank := clamp(w.still())
	if rank <= w.rank {
		return false
	}
	w.rank = rank
	if !l.waiting[rank].push(w) {
		w.dropped = true
		close(w.called)
	}
	return true
}

func clamp(r Rank) Rank { return min(max(r, Known), Failed) }

// withdraw reports whether w still waited.
func (l *line) withdraw(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting[w.rank].remove(w)
}
