// Package lifecycle owns the goroutines of long-lived things.
//
// It promises that Stop returns only when every goroutine that was started has ended, that stopping twice is fine, and
// that nothing starts after Stop.
package lifecycle

import (
	"context"
	"sync"
)

// Group owns goroutines that share one context. The zero Group is not usable; see NewGroup.
type Group struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards stopped and the first Add of wg against Wait
	stopped bool
	wg      sync.WaitGroup
}

// NewGroup makes a group whose context ends when ctx ends or Stop is called.
func NewGroup(ctx context.Context) *Group {
	ctx, cancel := context.WithCancel(ctx)
	return &Group{ctx: ctx, cancel: cancel}
}

// Context is done once the group is stopping.
func (g *Group) Context() context.Context { return g.ctx }

// Go runs f with the group's context and reports whether it was started: a stopped group starts nothing.
func (g *Group) Go(f func(ctx context.Context)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	g.wg.Add(1)
	go g.run(f)
	return true
}

func (g *Group) run(f func(ctx context.Context)) {
	defer g.wg.Done()
	f(g.ctx)
}

// Stop ends the group's context and waits for its goroutines.
func (g *Group) Stop() {
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.cancel()
	g.wg.Wait()
}
