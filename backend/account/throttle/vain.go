package throttle

import (
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/network"
	"bulkhead/wire"
)

// Limits of tries in vain, whatever they failed for, from an address where nobody was right before: so many, then one each so
// long.
const (
	vainTries = 5
	vainEvery = 5 * time.Second
)

// Admit tells whether a try from an address is to be looked at, before it is known whose name it is at, so that it can be
// refused before it is read. It counts nothing: Begin does. From where somebody was right before all are looked at, lest others'
// tries lock them out.
func (t *Throttle) Admit(address string) error {
	from := network.OfText(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.familiar[from.Own] > 0 {
		return nil
	}
	now := t.now()
	wait := max(t.vain(t.addresses[from.Own], now), t.vain(t.wide[from.Wide], now))
	if wait <= 0 {
		return nil
	}
	return errs.E(wire.Exhausted, "too many tries from here: wait %s, or try from elsewhere", readable(wait))
}

// vain is how long who has such a count is to wait; none has nil. With mu held.
func (t *Throttle) vain(c *count, now time.Time) time.Duration {
	if c == nil {
		return 0
	}
	wait := c.paid.Sub(now) - vainTries*vainEvery + c.each()
	if c.failed >= t.limits.Address*c.share {
		wait = max(wait, c.until.Sub(now))
	}
	return wait
}

// each is what one try in vain costs.
func (c *count) each() time.Duration { return vainEvery / time.Duration(c.share) }

// pay counts a try as one in vain, until it has Passed.
func (c *count) pay(now time.Time) {
	if c.paid.Before(now) {
		c.paid = now
	}
	c.paid = c.paid.Add(c.each())
	if most := now.Add(vainTries * vainEvery); c.paid.After(most) {
		c.paid = most
	}
}

// When somebody who was sent away unseen has come back: not at once, and not again and again.
const (
	backAfter = 2 * time.Second
	backTries = 3
)

// Back tells whether the try is of somebody who was sent away in a crowd without having been looked at, and has come back after a
// while, as a person does. A flood of addresses that send once each does not.
func (y *Try) Back() bool {
	t := y.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.addresses[y.pair.from]
	if w, known := t.wide[y.wide]; known && (w.begun > backTries*w.share || w.waits > 0) {
		return false
	}
	return ok && !c.sent.IsZero() && t.now().Sub(c.sent) >= backAfter && c.begun <= backTries && c.failed <= 1 && c.open <= 1 && c.waits == 0
}
