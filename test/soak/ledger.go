package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxFaults bounds what is kept of what went wrong; all of it is counted.
const maxFaults = 30

// ledger is what the clients saw.
type ledger struct {
	published, delivered, called, reconnected atomic.Uint64
	slowest                                   atomic.Int64 // of the honest ones' requests, in nanoseconds
	honestFaults, rogueFaults                 atomic.Uint64

	mu     sync.Mutex
	faults []string         // guarded by mu
	runs   map[string]*runs // of misbehaviour, by its name; guarded by mu
	ends   map[string]int   // reasons of ABORT and GOODBYE that misbehaving clients got; guarded by mu
}

// runs counts what became of one kind of misbehaviour.
type runs struct{ done, unmet, failed int }

func newLedger() *ledger {
	return &ledger{runs: map[string]*runs{}, ends: map[string]int{}}
}

// lost notes what an honest client did not get.
func (l *ledger) lost(text string, args ...any) {
	l.honestFaults.Add(1)
	l.note("honest: "+text, args...)
}

func (l *ledger) note(text string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < maxFaults {
		l.faults = append(l.faults, fmt.Sprintf(text, args...))
	}
}

// took notes how long an honest client waited.
func (l *ledger) took(d time.Duration) {
	for {
		known := l.slowest.Load()
		if int64(d) <= known || l.slowest.CompareAndSwap(known, int64(d)) {
			return
		}
	}
}

// ended notes the reason that a misbehaving client was told.
func (l *ledger) ended(reason string) {
	if reason == "" {
		reason = "(cut off)"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends[reason]++
}

func (l *ledger) ran(name string, count func(*runs)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs[name] == nil {
		l.runs[name] = &runs{}
	}
	count(l.runs[name])
}
