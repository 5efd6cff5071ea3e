package mux

import (
	"fmt"
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

// simulate has a pace fill a line for a while, and gives how much of it was used and how long a byte waited at most, both
// without the first three seconds.
func simulate(t *testing.T, bits float64, trip time.Duration, loses bool) (used float64, waited time.Duration) {
	t.Helper()
	var p pace
	var answers []answerTo
	now, free := start, start
	const long = 13 * time.Second // in which the shortest round trip is looked for again
	settled := start.Add(3*time.Second + 10*trip)
	var carried int
	mark := func() {
		at := free.Add(trip)
		if loses {
			at = afterLoss(at, trip)
		}
		answers = append(answers, answerTo{p.mark(now, true), at})
	}
	for now.Before(start.Add(long)) {
		p.tick(now, false)
		for p.open() {
			n := p.data()
			p.passed(now, n)
			if free.Before(now) {
				free = now
			}
			free = free.Add(time.Duration(float64(n*8) / bits * float64(time.Second)))
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
		if later := now.Add(wakeEvery); p.filling() && (len(answers) == 0 || later.Before(answers[0].at)) {
			now = later
			continue
		}
		if len(answers) == 0 {
			t.Fatal("it waits for nothing")
		}
		now = answers[0].at
		if err := p.answered(now, answers[0].number); err != nil {
			t.Fatal(err)
		}
		answers = answers[1:]
	}
	return float64(carried*8) / bits / now.Sub(settled).Seconds(), waited
}

func TestALineIsKeptBusyAndLittleWaitsForIt(t *testing.T) {
	t.Parallel()
	for _, mbits := range []float64{1, 10, 100, 1000} {
		for _, trip := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
			t.Run(fmt.Sprintf("%v Mbit/s and %v", mbits, trip), func(t *testing.T) {
				t.Parallel()
				used, waited := simulate(t, mbits*1e6, trip, false)
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
			if used, waited := simulate(t, mbits*1e6, trip, true); used < 0.6 || waited > trip+2*backlog {
				t.Errorf("%v Mbit/s and %v: %.0f %% is used, and a byte waits for %v", mbits, trip, used*100, waited)
			}
		}
	}
}

// known gives a pace that knows its line.
func known(rate float64, trip time.Duration) pace {
	return pace{steady: true, trip: trip, tripAt: start, rates: [2]float64{rate, rate}, rateFrom: start, budgetAt: start}
}

func TestWhatMayGoOutInOneGoGoesOutWithTime(t *testing.T) {
	t.Parallel()
	const rate, trip = 1.25e6, 50 * time.Millisecond
	p := known(rate, trip)
	free := start // when the line has carried all
	var waited time.Duration
	now := start.Add(time.Second)
	for began := now; p.underWay() < p.allowance(); now = now.Add(wakeEvery) {
		if p.tick(now, false); now.Sub(began) > 2*trip {
			t.Fatalf("%d of %d bytes are under way after %v", p.underWay(), p.allowance(), now.Sub(began))
		}
		for p.open() {
			n := p.data()
			p.passed(now, n)
			if free.Before(now) {
				free = now
			}
			free = free.Add(time.Duration(float64(n) / rate * float64(time.Second)))
			waited = max(waited, free.Sub(now))
		}
		if p.underWay() < p.allowance() && !p.filling() {
			t.Fatal("nothing has it go on")
		}
	}
	if most := burst + frameTime + trip/4; waited > most {
		t.Errorf("a byte waits for %v, want %v at most", waited, most)
	}
}

func TestARestShowsThatTheWayIsLonger(t *testing.T) {
	t.Parallel()
	const before, after = 50 * time.Millisecond, 80 * time.Millisecond
	p := known(1.25e6, before)
	answer := func(sent time.Time, took time.Duration) {
		p.passed(sent, 1)
		if err := p.answered(sent.Add(took), p.mark(sent, true)); err != nil {
			t.Fatal(err)
		}
	}
	p.tick(start, false)
	if answer(start, after); p.trip != before {
		t.Fatalf("beside bulk it takes %v for the trip", p.trip)
	}
	p.tick(start, true)
	if p.open() {
		t.Error("bulk goes on")
	}
	answer(start, after)
	if p.trip != after {
		t.Errorf("it takes %v for the trip, which takes %v", p.trip, after)
	}
	answer(start, after+backlog)
	if p.trip != after {
		t.Errorf("what waited in the rest makes it %v", p.trip)
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

func TestATurnIsLongerOnAFastLineAndNeverWithoutBounds(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]int{0: leastTurn, 1e6: leastTurn, 60e6: 30_000, 1e9: mostTurn, 1e18: mostTurn} {
		if p := (pace{rates: [2]float64{rate}}); p.turn() != want {
			t.Errorf("%g bytes a second: turns of %d, want %d", rate, p.turn(), want)
		}
	}
}
