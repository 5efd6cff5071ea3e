package account

import (
	"context"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Limits of the cache. A flood of made-up ids costs a look-up each, as without it, and no more memory than this.
const (
	cacheLife   = time.Second
	cacheSize   = 4096
	lookupLimit = 5 * time.Second
	// lookupsAtOnce is how many of the database's connections look-ups have, whoever asks for them.
	lookupsAtOnce = 4
)

// cache remembers records, and that there is none, for at most cacheLife. Callers that ask for the same id at once share
// one look-up.
type cache[T any] struct {
	find func(ctx context.Context, id string) (T, error)
	now  func() time.Time
	// turns has one element for each look-up that goes on.
	turns chan struct{}

	mu      sync.Mutex // guards entries
	entries map[string]*lookup[T]
}

// lookup is one look-up; record, err are set before done is closed.
type lookup[T any] struct {
	done   chan struct{}
	begun  time.Time
	record T
	err    error
}

func newCache[T any](find func(ctx context.Context, id string) (T, error), now func() time.Time) *cache[T] {
	return &cache[T]{find: find, now: now, turns: make(chan struct{}, lookupsAtOnce), entries: map[string]*lookup[T]{}}
}

func (c *cache[T]) record(ctx context.Context, id string) (T, error) {
	found, mine := c.entry(id)
	if mine {
		c.fill(ctx, id, found)
	}
	select {
	case <-found.done:
		return found.record, found.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// entry gives the look-up to wait for, and whether the caller is the one to do it.
func (c *cache[T]) entry(id string) (found *lookup[T], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if found, ok := c.entries[id]; ok && now.Sub(found.begun) < cacheLife {
		return found, false
	}
	c.makeRoom(now)
	found = &lookup[T]{done: make(chan struct{}), begun: now}
	c.entries[id] = found
	return found, true
}

// fill does the look-up in the caller's goroutine but without its cancellation, since others wait for it too. A failure
// is not remembered.
func (c *cache[T]) fill(ctx context.Context, id string, l *lookup[T]) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupLimit)
	defer cancel()
	defer close(l.done)
	l.err = errs.E(wire.Internal, "") // what those who wait get if the store panics
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
		l.record, l.err = c.find(ctx, id)
	case <-ctx.Done():
		l.err = ctx.Err()
	}
	if l.err != nil && errs.KindOf(l.err) != wire.NotFound {
		c.forgetIf(id, l)
	}
}

func (c *cache[T]) makeRoom(now time.Time) {
	if len(c.entries) < cacheSize {
		return
	}
	for id, l := range c.entries {
		if now.Sub(l.begun) >= cacheLife {
			delete(c.entries, id)
		}
	}
	for id := range c.entries { // still full: any others, since none is older than a second; a tenth, so that not each costs a look at all
		if len(c.entries) <= cacheSize*9/10 {
			return
		}
		delete(c.entries, id)
	}
}

func (c *cache[T]) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, id)
}

// forgetIf forgets a look-up unless a newer one has taken its place.
func (c *cache[T]) forgetIf(id string, l *lookup[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[id] == l {
		delete(c.entries, id)
	}
}
