package mux

import "time"

const (
	// backlog is how long what this side sends may wait on its way, beyond what the way takes: enough to keep a line
	// busy, little enough for who types.
	backlog = 20 * time.Millisecond
	// burst is how much of a known line's time goes out at once at most, and faster how fast what follows may: so much more
	// than is known to arrive that more room is found.
	burst  = 12 * time.Millisecond
	faster = 1.25
	// wakeEvery is how often what goes out with time does.
	wakeEvery = 2 * time.Millisecond
	// firstAllowance is what may be under way before anything is known.
	firstAllowance = 64 << 10
	leastAllowance = 8 << 10
	// frameTime is how long one frame may keep a line busy.
	frameTime = 4 * time.Millisecond
	leastData = 2 << 10
	// turnTime is how much of a line's time a stream of bulk has before it is another's turn.
	turnTime            = 500 * time.Microsecond
	leastTurn, mostTurn = 16 << 10, 64 << 10
	// markEvery is well below the backlog: what has arrived is only known when a mark is answered.
	markEvery = 4 * time.Millisecond
	maxMarks  = 256
	// probeEvery is how old the shortest round trip may be before it is looked for again: a little older than the kernel's
	// BBR has it, because it is seen while that looks.
	probeEvery = 12 * time.Second
)

// pace says how much may be under way at once, so that nothing waits long anywhere between the two sides: in the kernel, at
// a slow line, at the other side. It sends marks among the data, learns from the answers how fast bytes arrive and how long
// the way takes when nobody waits, and allows what that makes and a little more, by which it finds out when there is more
// room. It knows the time only from its caller.
type pace struct {
	sent, seen uint64 // bytes in all
	seenAt     time.Time
	seenSent   time.Time // when what was seen last was sent
	marks      []mark    // not answered yet, the oldest first
	number     uint64    // of the last mark
	marked     uint64    // sent when it was sent
	markedAt   time.Time

	trip     time.Duration // the shortest; 0: not known
	tripAt   time.Time
	probing  bool    // less is under way, so that the shortest can be seen
	resting  bool    // nothing more than what says little is sent
	found    bool    // the shortest, since it was looked for last
	budget   float64 // bytes that may go out at once
	budgetAt time.Time
	rates    [2]float64 // the most bytes per second, in this while and the one before
	rateFrom time.Time  // when this while began

	steady    bool    // the first search is over
	roundEnd  uint64  // mark with whose answer a round ends
	roundRate float64 // that a round must exceed by a quarter to go on searching
	flat      int     // rounds that did not
}

type mark struct {
	number     uint64
	at         time.Time
	sent, seen uint64
	seenAt     time.Time
	seenSent   time.Time
	full       bool // there was more to send
	clean      bool // nothing waited on the way
}

func (p *pace) rate() float64 { return max(p.rates[0], p.rates[1]) }

// allowance is how much may be under way.
func (p *pace) allowance() uint64 {
	rate := p.rate()
	if rate == 0 {
		return firstAllowance
	}
	a := rate * (p.trip + backlog).Seconds()
	switch {
	case p.probing:
		a = rate * max(p.trip-backlog, p.trip/2).Seconds()
	case !p.steady:
		a = max(2*a, firstAllowance)
	}
	return max(uint64(a), leastAllowance)
}

func (p *pace) underWay() uint64 { return p.sent - p.seen }

// tick takes the time, and whether bulk is to rest.
func (p *pace) tick(now time.Time, rests bool) {
	if rests && !p.resting {
		p.found = false
	}
	p.resting = rests
	most := p.rate() * burst.Seconds()
	if p.budget += faster * p.rate() * now.Sub(p.budgetAt).Seconds(); !p.paced() {
		p.budget = most
	}
	p.budget, p.budgetAt = max(-most, min(p.budget, most)), now
}

// paced reports whether bulk goes out with time, and not only with answers: after a rest, and after a loss, much is answered in
// one go, and what followed in one go would wait in front of who types, or be more than the line has room for.
func (p *pace) paced() bool { return p.steady && p.rate() > 0 && p.trip >= shortWay }

// spacing is how long after one message the next may be sent: in a look each is a packet, and four may be under way.
func (p *pace) spacing() time.Duration {
	if p.resting {
		return max(p.trip, shortWay) / 4
	}
	return 0
}

// filling reports whether more may be sent with time, without an answer.
func (p *pace) filling() bool {
	return p.resting || p.paced() && p.budget <= 0 && p.underWay() < p.allowance()
}

// open reports whether bulk may be sent.
func (p *pace) open() bool {
	return !p.resting && p.underWay() < p.allowance() && (p.budget > 0 || !p.paced())
}

// data is the most that a frame of bulk should carry.
func (p *pace) data() int {
	rate := p.rate()
	if rate == 0 {
		return maxData
	}
	return int(min(max(rate*frameTime.Seconds(), leastData), maxData))
}

// turn is how much one stream of bulk sends before another. On a fast line that is more, so that who reads it is not woken for
// little.
func (p *pace) turn() int {
	return int(min(max(p.rate()*turnTime.Seconds(), leastTurn), mostTurn))
}

// passed counts data that was sent.
func (p *pace) passed(now time.Time, n int) {
	if p.sent == p.seen {
		p.seenAt, p.seenSent = now, now // nothing was under way: the time before says nothing
	}
	p.budget -= float64(n)
	p.sent += uint64(n) //nolint:gosec // a length
}

// due reports whether a mark should be sent now, also because it is wanted.
func (p *pace) due(now time.Time, wanted bool) bool {
	if p.sent == p.marked && !wanted || len(p.marks) >= maxMarks {
		return false
	}
	return wanted || p.enough() || p.resting || now.Sub(p.markedAt) >= markEvery || p.underWay() >= p.allowance()
}

// enough reports whether as much was sent without a mark as a line carries between two of them.
func (p *pace) enough() bool {
	rate := p.rate()
	return rate > 0 && float64(p.sent-p.marked) >= max(rate*markEvery.Seconds(), leastData)
}

// mark makes a mark. full says that there was more to send than was sent.
func (p *pace) mark(now time.Time, full bool) uint64 {
	p.number++
	if !p.probing && p.trip > 0 && now.Sub(p.tripAt) > probeEvery {
		p.probing, p.found = true, false
	}
	if p.probing && p.rate() == 0 {
		p.probing = false // nothing is under way that could be less
		p.trip = 0
	}
	clean := p.resting && p.underWay() <= leastData ||
		p.probing && p.underWay() <= max(p.allowance(), leastAllowance)+uint64(p.data()) //nolint:gosec // positive
	p.marks = append(p.marks, mark{p.number, now, p.sent, p.seen, p.seenAt, p.seenSent, full, clean})
	p.marked, p.markedAt = p.sent, now
	return p.number
}

// answered takes the answer to a mark. Answers come in the order of the marks.
func (p *pace) answered(now time.Time, number uint64) error {
	if len(p.marks) == 0 || p.marks[0].number != number {
		return broke("an answer to no mark")
	}
	m := p.marks[0]
	p.marks = p.marks[1:]
	trip := max(now.Sub(m.at), time.Microsecond)
	if p.trip == 0 || trip <= p.trip || m.clean && !p.found {
		p.trip, p.tripAt = trip, now
	}
	if m.clean {
		p.probing, p.found = false, true
	}
	if m.sent > p.seen {
		p.seen, p.seenAt, p.seenSent = m.sent, now, m.at
	}
	p.age(now)
	if m.sent > m.seen {
		// What a lost packet has held up arrives at once: nothing can have arrived faster than it was sent.
		took := max(now.Sub(m.seenAt), m.at.Sub(m.seenSent), time.Microsecond)
		p.sample(float64(m.sent-m.seen)/took.Seconds(), m.full)
	}
	p.search(m, trip)
	return nil
}

// age forgets rates of long ago. Where none is left, the search begins anew.
func (p *pace) age(now time.Time) {
	long := max(time.Second, 10*p.trip)
	for range 2 {
		if now.Sub(p.rateFrom) < long {
			return
		}
		p.rates = [2]float64{0, p.rates[0]}
		p.rateFrom = p.rateFrom.Add(long)
	}
	p.rateFrom = now
	if p.rate() == 0 {
		p.steady, p.flat, p.roundRate, p.roundEnd = false, 0, 0, 0
	}
}

// sample takes a rate. What was not slowed by the way tells how fast it can be only where it is faster.
func (p *pace) sample(rate float64, full bool) {
	if known := p.rate(); full || known > 0 && rate > known {
		p.rates[0] = max(p.rates[0], rate)
	}
}

// search ends the first search once more under way no longer makes more arrive.
func (p *pace) search(m mark, trip time.Duration) {
	if p.steady || !m.full {
		return
	}
	if trip > p.trip+3*backlog {
		p.steady = true
	}
	if m.number < p.roundEnd {
		return
	}
	p.roundEnd = p.number + 1
	if rate := p.rate(); rate > 1.25*p.roundRate {
		p.roundRate, p.flat = rate, 0
		return
	}
	if p.flat++; p.flat >= 3 {
		p.steady = true
	}
}
