package mux

import "time"

const (
	// lookEvery is how long BBR takes a shortest round trip for granted.
	lookEvery = 10 * time.Second
	// longestLook is how long bulk waits for a look that has begun at most, beside two round trips. It takes 200 ms and one.
	longestLook = 400 * time.Millisecond
	// lateLook is how long bulk waits for one that does not begin.
	lateLook = 50 * time.Millisecond
	// vague is how long it may be unknown at most when BBR found the shortest.
	vague = 200 * time.Millisecond
	// glanceEvery is how often the kernel is asked, where there is anything to do.
	glanceEvery = 5 * time.Millisecond
	// shortWay is a round trip for which all of this does not matter: a few packets are a lot there, and timers are coarse.
	shortWay = 5 * time.Millisecond
)

// look knows when the kernel's BBR looks how long the way is: ten seconds after it found the shortest round trip it has no more
// than four packets under way for 200 ms. All that was under way has to arrive first, and whoever types waits for that, and
// behind all that the kernel holds. So bulk makes room: it waits from when the last of it can just arrive before the look until
// the look is over, which takes no more from it than the look does. Where nothing is left under way BBR does not even look.
//
// Bulk waits for a bounded time for each shortest trip that BBR has found and for each look. So nothing stands still, whatever
// the kernel says. A look knows the time only from its caller.
type look struct {
	at          time.Time // of the last glance
	shortest    time.Duration
	from, until time.Time // between which BBR found it
	looks       bool      // now
	since       time.Time // when it began to
}

// glance is what BBR says of itself.
type glance struct {
	shortest time.Duration
	looks    bool
}

// due reports whether the kernel should be asked.
func (l *look) due(now time.Time) bool { return now.Sub(l.at) >= glanceEvery }

func (l *look) seen(now time.Time, g glance) {
	switch {
	case g.looks && !l.looks:
		l.since = now
	case !g.looks && (l.looks || g.shortest != l.shortest):
		l.from, l.until = l.at, now
		if earliest := now.Add(-vague); l.from.Before(earliest) {
			l.from = earliest
		}
	}
	l.at, l.shortest, l.looks = now, g.shortest, g.looks
}

// waits reports whether bulk should wait.
func (l *look) waits(now time.Time) bool {
	switch {
	case l.shortest < shortWay:
		return false
	case l.looks:
		return now.Sub(l.since) < longestLook+2*l.shortest
	}
	return !now.Before(l.from.Add(lookEvery-l.shortest-2*backlog)) && now.Before(l.until.Add(lookEvery+lateLook))
}
