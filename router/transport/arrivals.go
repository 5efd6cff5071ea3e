package transport

import (
	"net"
	"sync"
	"time"
)

// arrivals are the connections and the links that have not joined, with the time that each has left. There is one timer for all
// of them, which looks now and then: to set and to stop one for each costs more than many a step of joining.
type arrivals struct {
	expire func(*Link)
	grain  time.Duration // how often it looks

	mu      sync.Mutex
	waiting arrival     // guarded by mu, as is all that follows: the ring of them, itself being none
	timer   *time.Timer // nil until there was one
	armed   bool        // it will look
	closed  bool
}

// arrival is one of them. All of it is guarded by the mutex of the arrivals.
type arrival struct {
	of         *arrivals
	next, prev *arrival // nil when it has joined, or is given up
	until      time.Time
	conn       net.Conn // below TLS: closing it waits for nobody
	link       *Link    // once it is one
}

// looks is how often arrivals are looked at in the shortest time that one may have.
const looks = 16

func newArrivals(limits *Limits, expire func(*Link)) *arrivals {
	a := &arrivals{expire: expire, grain: min(limits.TLSHandshake, limits.Handshake) / looks}
	a.waiting.next, a.waiting.prev = &a.waiting, &a.waiting
	return a
}

// add gives a connection time to become a link; nil when nothing is let in any more.
func (a *arrivals) add(c net.Conn, until time.Time) *arrival {
	one := &arrival{of: a, conn: c, until: until}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	one.prev, one.next = a.waiting.prev, &a.waiting
	one.prev.next, one.next.prev = one, one
	a.arm()
	return one
}

func (a *arrivals) arm() {
	switch {
	case a.armed:
		return
	case a.timer == nil:
		a.timer = time.AfterFunc(a.grain, a.look)
	default:
		a.timer.Reset(a.grain)
	}
	a.armed = true
}

// extend gives more time, to the connection or to the link that it is now.
func (one *arrival) extend(l *Link, until time.Time) {
	one.of.mu.Lock()
	defer one.of.mu.Unlock()
	one.link, one.until = l, until
}

// end is for who has joined, or has come for something else, or is gone. Ending twice is fine.
func (one *arrival) end() {
	one.of.mu.Lock()
	defer one.of.mu.Unlock()
	one.unlink()
}

func (one *arrival) unlink() {
	if one.next != nil {
		one.prev.next, one.next.prev = one.next, one.prev
		one.prev, one.next = nil, nil
	}
}

// look ends those whose time is over.
func (a *arrivals) look() {
	for _, late := range a.late(time.Now()) {
		if late.link != nil {
			a.expire(late.link)
		} else {
			_ = late.conn.Close() // who waits for its bytes finds out, and counts it
		}
	}
}

// late takes out those whose time is over before it would look again, and sees to it that the others are looked at: nobody is given
// more time than was said.
func (a *arrivals) late(now time.Time) (late []*arrival) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for one := a.waiting.next; one != &a.waiting; {
		next := one.next
		if now.Add(a.grain).After(one.until) {
			one.unlink()
			late = append(late, one)
		}
		one = next
	}
	if a.armed = false; a.waiting.next != &a.waiting {
		a.arm()
	}
	return late
}

// close closes the connections that are not links yet, and lets no others in.
func (a *arrivals) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for one := a.waiting.next; one != &a.waiting; one = one.next {
		if one.link == nil {
			_ = one.conn.Close() // it was promised nothing yet
		}
	}
}
