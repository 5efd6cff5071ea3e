package mux

import (
	"fmt"
	"math"
	"sort"
	"testing"
	"time"
)

// answerTo is the answer to a mark on its way.
type answerTo struct {
	number uint64
	at     time.Time
}

// afterLoss holds an answer up: each half second a packet is lost, and what comes behind it waits until it was sent again.
func afterLoss(at time.Time, trip time.Duration) time.Time {
	const every = 500 * time.Millisecond
	if lost := at.Sub(start) / every * every; at.Sub(start.Add(lost)) < trip {
		return start.Add(lost + trip)
	}
	return at
}

// road is a line between two sides.
type road struct {
	bits  float64 // per second
	trip  time.Duration
	loses bool // now and then
	slow  bool // the kernel has little under way at first, and as much more as has arrived
}

// kernelFirst is what a kernel has under way at first.
const kernelFirst = 14 << 10

// onItsWay is what was sent until then, and when its arrival is known.
type onItsWay struct {
	sent int
	at   time.Time
}

// lets gives when a kernel that begins slowly lets the last of so many bytes go.
func lets(known []onItsWay, sent int) time.Time {
	wanted := (sent - kernelFirst) / 2
	i := sort.Search(len(known), func(i int) bool { return known[i].sent >= wanted })
	if wanted <= 0 || i == len(known) {
		return start
	}
	return known[i].at
}

// drive has a pace fill a line for a while, and gives how much of it was used and how long a byte waited at most, both without
// the first three seconds, and how long it took to fill it.
func drive(t *testing.T, r road) (used float64, waited, filled time.Duration) {
	t.Helper()
	var p pace
	var answers []answerTo
	var known []onItsWay
	now, free := start, start
	const long = 13 * time.Second // in which the shortest round trip is looked for again
	settled := start.Add(3*time.Second + 10*r.trip)
	var carried, sent int
	mark := func() {
		at := free.Add(r.trip)
		if r.loses {
			at = afterLoss(at, r.trip)
		}
		answers = append(answers, answerTo{p.mark(now, true), at})
	}
	mark() // as a session does when it begins
	for now.Before(start.Add(long)) {
		for p.open() {
			n := p.data()
			p.passed(now, n)
			if free.Before(now) {
				free = now
			}
			if sent += n; r.slow {
				if let := lets(known, sent); free.Before(let) {
					free = let
				}
			}
			free = free.Add(time.Duration(float64(n*8) / r.bits * float64(time.Second)))
			known = append(known, onItsWay{sent, free.Add(r.trip)})
			if now.After(settled) {
				carried += n
				waited = max(waited, free.Sub(now))
			}
			if p.due(now, false) {
				mark()
			}
		}
		if p.due(now, false) {
			mark()
		}
		if len(answers) == 0 {
			t.Fatal("it waits for nothing")
		}
		now = answers[0].at
		if err := p.answered(now, answers[0].number); err != nil {
			t.Fatal(err)
		}
		if filled == 0 && p.rate()*8 > 0.85*r.bits {
			filled = now.Sub(start)
		}
		answers = answers[1:]
	}
	return float64(carried*8) / r.bits / now.Sub(settled).Seconds(), waited, filled
}

func TestALineIsKeptBusyAndLittleWaitsForIt(t *testing.T) {
	t.Parallel()
	for _, mbits := range []float64{1, 10, 100, 1000} {
		for _, trip := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
			t.Run(fmt.Sprintf("%v Mbit/s and %v", mbits, trip), func(t *testing.T) {
				t.Parallel()
				used, waited, _ := drive(t, road{bits: mbits * 1e6, trip: trip})
				// The way is measured a little long, and what is under way is never less than 8 KiB.
				most := 3*backlog + 10*time.Millisecond + time.Duration(leastAllowance*8/(mbits*1e6)*float64(time.Second))
				if used < 0.85 || waited > most {
					t.Errorf("%.0f %% is used, and a byte waits for %v", used*100, waited)
				}
			})
		}
	}
}

func TestWhatALostPacketHasHeldUpIsNotTakenForAFasterLine(t *testing.T) {
	t.Parallel()
	for _, mbits := range []float64{10, 100} {
		for _, trip := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond} {
			if used, waited, _ := drive(t, road{bits: mbits * 1e6, trip: trip, loses: true}); used < 0.6 || waited > trip+2*backlog {
				t.Errorf("%v Mbit/s and %v: %.0f %% is used, and a byte waits for %v", mbits, trip, used*100, waited)
			}
		}
	}
}

// A kernel has twice as much under way after each round trip. What wants to fill the line keeps up with it.
func TestALineIsFilledAsSoonAsTheKernelFillsIt(t *testing.T) {
	t.Parallel()
	for _, mbits := range []float64{1, 10, 100} {
		for _, trip := range []time.Duration{20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
			rounds := 5 + max(0, math.Log2(mbits*1e6/8*trip.Seconds()/kernelFirst))
			first := time.Duration(firstAllowance * 8 / (mbits * 1e6) * float64(time.Second)) // on a slow line
			most := time.Duration(rounds*float64(trip)) + 3*first
			used, _, filled := drive(t, road{bits: mbits * 1e6, trip: trip, slow: true})
			if used < 0.85 || filled == 0 || filled > most {
				t.Errorf("%v Mbit/s and %v: it took %v, want %v at most; then %.0f %% is used", mbits, trip, filled, most, used*100)
			}
		}
	}
}

func TestAnAnswerOutOfOrderIsRefused(t *testing.T) {
	t.Parallel()
	var p pace
	p.passed(start, 100)
	first := p.mark(start, true)
	p.passed(start, 100)
	second := p.mark(start, true)
	if err := p.answered(start, second); err == nil {
		t.Error("the second is answered before the first")
	}
	if err := p.answered(start, first); err != nil {
		t.Error(err)
	}
	if err := p.answered(start, first); err == nil {
		t.Error("the first is answered twice")
	}
}
