package provision

import (
	"context"
	"sync"
)

// turns lets a number of operations run at once, and of those that take the same lock one. The others with that lock wait
// aside: a project can have its own operations wait for its own logins, and they must not take the turns of all.
type turns struct {
	free chan struct{} // has a token for each that runs

	mu    sync.Mutex // guards locks
	locks map[string]*line
}

// line is who has a lock, or waits for it. It goes with the last of them.
type line struct {
	held  chan struct{} // has a token while somebody has the lock
	users int
}

func newTurns(most int) *turns {
	return &turns{free: make(chan struct{}, most), locks: map[string]*line{}}
}

// take waits for a turn under a lock.
func (t *turns) take(ctx context.Context, lock string) (leave func(), err error) {
	one := t.enter(lock)
	select {
	case one.held <- struct{}{}:
	case <-ctx.Done():
		t.leave(lock, one)
		return nil, ctx.Err()
	}
	unlock := func() {
		<-one.held
		t.leave(lock, one)
	}
	select {
	case t.free <- struct{}{}:
		return func() {
			<-t.free
			unlock()
		}, nil
	case <-ctx.Done():
		unlock()
		return nil, ctx.Err()
	}
}

func (t *turns) enter(lock string) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.locks[lock]
	if one == nil {
		one = &line{held: make(chan struct{}, 1)}
		t.locks[lock] = one
	}
	one.users++
	return one
}

func (t *turns) leave(lock string, one *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.locks, lock)
	}
}
