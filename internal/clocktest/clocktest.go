// Package clocktest is a clock for tests: no time passes but what they say.
package clocktest

import (
	"sync"
	"time"
)

// Clock may be read and moved at once. Make one with Start or At.
type Clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

// Start makes a clock that stands at the present time.
func Start() *Clock { return At(time.Now()) }

// At makes a clock that stands at a time.
func At(now time.Time) *Clock { return &Clock{now: now} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Pass has time pass.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set has it be a time, a later or an earlier one.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}
