// Package throttle slows down who guesses.
//
// It promises that of any number of tries at once no more than the limit come through; that who guesses too often waits,
// each time twice as long; that a wait holds for the address from which the guesses came, and never for their victim at
// another; that of IPv6 an address is its network of 64 bits, and the many such networks that one customer may have count
// together, too; that who goes on trying in vain can be refused before it is known what is tried; and that its memory is bounded.
package throttle

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/network"
	"bulkhead/wire"
)

// Limits are how many tries fail before one has to wait.
type Limits struct {
	Each    int           // of one name from one address
	Address int           // of all names from one address, behind which may be an office; from a wide network network.Wide times as many
	Window  time.Duration // in which they are counted, and the first wait
	Longest time.Duration // wait
}

// Default is what people who mistype never meet.
var Default = Limits{Each: 5, Address: 40, Window: 15 * time.Minute, Longest: 24 * time.Hour}

// maxCounts bounds each of the memories. When one is full, what has waited out goes first.
const maxCounts = 100_000

// Throttle counts. Make one with New.
type Throttle struct {
	limits Limits
	now    func() time.Time

	mu        sync.Mutex // guards all below
	each      map[pair]*count
	addresses map[netip.Prefix]*count
	wide      map[netip.Prefix]*count
	known     map[pair]time.Time   // where a name was right before
	familiar  map[netip.Prefix]int // how many of known are from there
}

type pair struct {
	name string
	from netip.Prefix
}

// count is of tries that failed, or are on their way.
type count struct {
	share  int // of what one address may: 1, or network.Wide
	failed int
	since  time.Time
	until  time.Time // who tries waits until then
	waits  int       // how many waits there were in a row
	begun  int       // tries that have not passed, those included that were not looked at
	open   int       // tries that are on their way
	sent   time.Time // when one was last sent away that was not looked at
	paid   time.Time // when the tries that came to nothing are forgotten, at one each vainEvery
}

// New makes a Throttle.
func New(l Limits, now func() time.Time) *Throttle {
	return &Throttle{limits: l, now: now, each: map[pair]*count{}, addresses: map[netip.Prefix]*count{}, wide: map[netip.Prefix]*count{}, known: map[pair]time.Time{}, familiar: map[netip.Prefix]int{}}
}

// Try is one try that was let through. It counts as failed until it has Passed.
type Try struct {
	throttle *Throttle
	pair     pair
	wide     netip.Prefix
	passed   bool // or void
	done     bool
	// Known tells that this name was right before from this address.
	Known bool
}

// Begin lets a try through, or tells how long to wait. It counts before it is known how the try ends, so that many at once
// are no way around the limit.
func (t *Throttle) Begin(name, address string) (*Try, error) {
	from := network.OfText(address)
	p := pair{name, from.Own}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	one := counted(t.each, p, t.limits.Each, now, t.limits)
	around := t.around(from, now)
	_, known := t.known[p]
	for _, c := range around {
		c.pay(now)
	}
	for _, c := range append([]*count{one}, around...) {
		if now.Before(c.until) && (c == one || !known) { // others' guesses do not lock out who was right before from the same address
			return nil, errs.E(wire.Exhausted, "too many tries from here: wait %s, or try from elsewhere", readable(c.until.Sub(now)))
		}
	}
	one.add(t.limits.Each, now, t.limits)
	for _, c := range around {
		c.add(t.limits.Address*c.share, now, t.limits)
		c.open++
	}
	return &Try{throttle: t, pair: p, wide: from.Wide, Known: known}, nil
}

// around gives the counts of where a try comes from, begun where there were none. With mu held.
func (t *Throttle) around(from network.Networks, now time.Time) []*count {
	own := counted(t.addresses, from.Own, t.limits.Address, now, t.limits)
	own.share = 1
	if !from.Wide.IsValid() {
		return []*count{own}
	}
	all := counted(t.wide, from.Wide, t.limits.Address*network.Wide, now, t.limits)
	all.share = network.Wide
	return []*count{own, all}
}

// counts gives those of where the try came from that are still there. With mu held.
func (y *Try) counts() (all []*count) {
	if c, ok := y.throttle.addresses[y.pair.from]; ok {
		all = append(all, c)
	}
	if c, ok := y.throttle.wide[y.wide]; ok {
		all = append(all, c)
	}
	return all
}

// cleanTries are how many an address may have begun and still be clean: who is sent away once, as all are who come in a
// crowd, or has mistyped once.
const cleanTries = 2

// Clean tells whether nobody has failed lately from where the try comes, and nobody else tries from there meanwhile. That may
// change while it is on its way.
func (y *Try) Clean() bool {
	t := y.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range y.counts() {
		if c.begun > cleanTries*c.share || c.open > c.share || c.waits > 0 {
			return false
		}
	}
	return true
}

// Done tells that the try is no longer on its way, however it ended. Twice is fine.
func (y *Try) Done() {
	t := y.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range y.counts() {
		if !y.done {
			c.open = max(0, c.open-1)
		}
	}
	y.done = true
}

// Passed takes the try back: it was right. Nil is no try.
func (y *Try) Passed() {
	if y == nil {
		return
	}
	t := y.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if y.passed {
		return
	}
	y.passed = true
	delete(t.each, y.pair)
	for _, c := range y.counts() {
		c.takeBack(t.limits.Address * c.share)
		c.begun = max(0, c.begun-1)
		c.paid = c.paid.Add(-c.each())
	}
	t.remember(y.pair)
}

// remember keeps where a name was right. With mu held.
func (t *Throttle) remember(p pair) {
	if _, ok := t.known[p]; !ok {
		if makeRoom(t.known, func(time.Time) bool { return false }) {
			clear(t.familiar)
			for kept := range t.known {
				t.familiar[kept.from]++
			}
		}
		t.familiar[p.from]++
	}
	t.known[p] = t.now()
}

// Void takes the try back without having been right: it was not looked at.
func (y *Try) Void() {
	t := y.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if y.passed {
		return
	}
	y.passed = true
	if c, ok := t.each[y.pair]; ok {
		c.takeBack(t.limits.Each)
	}
	for _, c := range y.counts() {
		c.takeBack(t.limits.Address * c.share)
		c.sent = t.now()
	}
}

func (c *count) add(limit int, now time.Time, l Limits) {
	if c.failed == 0 {
		c.since = now
	}
	c.failed++
	c.begun++
	if c.failed < limit {
		return
	}
	c.until = now.Add(min(l.Window<<min(c.waits, 20), l.Longest))
	c.waits++
}

// takeBack undoes add, and the wait that it began.
func (c *count) takeBack(limit int) {
	if c.failed >= limit {
		c.until = time.Time{}
		c.waits = max(0, c.waits-1)
	}
	c.failed = max(0, c.failed-1)
}

// stale reports whether a count has nothing to say any more.
func (c *count) stale(now time.Time, l Limits) bool {
	return now.Sub(c.since) >= l.Window && now.Sub(c.until) >= l.Longest
}

// counted gives the count of a key, begun anew where its window or its wait is over.
func counted[K comparable](all map[K]*count, key K, limit int, now time.Time, l Limits) *count {
	c, ok := all[key]
	switch {
	case !ok:
		makeRoom(all, func(c *count) bool { return c.stale(now, l) })
		c = &count{since: now}
		all[key] = c
	case c.stale(now, l):
		*c = count{since: now, open: c.open}
	case now.Before(c.until): // waits
	case c.failed >= limit, now.Sub(c.since) >= l.Window:
		c.failed, c.begun, c.since = 0, 0, now
	}
	return c
}

// makeRoom makes a tenth of the room at a time, so that a flood of new names does not cost a look at all for each.
func makeRoom[K comparable, V any](all map[K]V, stale func(V) bool) (made bool) {
	if len(all) < maxCounts {
		return false
	}
	for key, v := range all {
		if stale(v) {
			delete(all, key)
		}
	}
	for key := range all { // any: Go's order is random
		if len(all) <= maxCounts*9/10 {
			break
		}
		delete(all, key)
	}
	return true
}

func readable(d time.Duration) string {
	if d > 90*time.Second {
		return fmt.Sprintf("%d minutes", (d+time.Minute-1)/time.Minute)
	}
	return fmt.Sprintf("%d seconds", (d+time.Second-1)/time.Second)
}

// Size is how much is remembered.
func (t *Throttle) Size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.each) + len(t.addresses) + len(t.wide) + len(t.known) + len(t.familiar)
}
