package db

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"bulkhead/backend/databackend"
	"bulkhead/realms"
)

// share is how much of a pool its users may have at once: all of them, and each project among them. A project can have its
// statements wait for its own logins, or take long, as often as it likes; so where a database is shared, it never has all.
type share struct{ all, each int }

// readShare leaves half of the connections to who writes.
func readShare(p databackend.Placement, conns int) share {
	return share{max(1, conns/2), eachOf(p, conns)}
}

// writeShare takes what nobody reads with, and leaves half of a shared pool to who reads.
func writeShare(p databackend.Placement, conns int) share {
	if p.Driver != databackend.DriverSchema {
		return share{conns, conns}
	}
	return share{max(1, conns/2), eachOf(p, conns)}
}

func eachOf(p databackend.Placement, conns int) int {
	if p.Driver != databackend.DriverSchema {
		return conns
	}
	return max(1, conns/6)
}

// ownerOf names the project that a placement is for.
func ownerOf(p databackend.Placement) string {
	if r, err := realms.Parse(p.Realm); err == nil {
		return r.Project.String()
	}
	return p.Realm
}

// turns gives out shares of pools. Whose project has least goes first, and among those the one that was served longest ago:
// how many of one project wait makes no difference to the others. The zero turns are ready.
type turns struct {
	mu    sync.Mutex // guards what follows and all that it leads to
	pools map[*pgxpool.Pool]*queue
}

// queue is who uses a pool, or waits to. It goes with the last of them.
type queue struct {
	free    int
	users   int
	clock   int // how many turns were given
	owners  map[string]*owner
	waiting []*waiter
}

// owner is a project that uses a pool, or waits to.
type owner struct{ users, held, served int }

type waiter struct {
	owner *owner
	each  int
	turn  chan struct{} // closed when it is its turn
}

// take waits for a turn with a pool.
func (t *turns) take(ctx context.Context, pool *pgxpool.Pool, name string, s share) (release func(), err error) {
	w := t.enter(pool, name, s)
	select {
	case <-w.turn:
		return func() { t.leave(pool, name, w) }, nil
	case <-ctx.Done():
		t.leave(pool, name, w)
		return nil, ctx.Err()
	}
}

func (t *turns) enter(pool *pgxpool.Pool, name string, s share) *waiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.pools[pool]
	if q == nil {
		q = &queue{free: s.all, owners: map[string]*owner{}}
		if t.pools == nil {
			t.pools = map[*pgxpool.Pool]*queue{}
		}
		t.pools[pool] = q
	}
	o := q.owners[name]
	if o == nil {
		o = &owner{}
		q.owners[name] = o
	}
	w := &waiter{o, s.each, make(chan struct{})}
	q.users++
	o.users++
	q.waiting = append(q.waiting, w)
	q.give()
	return w
}

// leave gives back a turn, or the place of who waited for one.
func (t *turns) leave(pool *pgxpool.Pool, name string, w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.pools[pool]
	if i := slices.Index(q.waiting, w); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	} else {
		q.free++
		w.owner.held--
	}
	if w.owner.users--; w.owner.users == 0 {
		delete(q.owners, name)
	}
	if q.users--; q.users == 0 {
		delete(t.pools, pool)
		return
	}
	q.give()
}

// give gives the free turns to those who go first.
func (q *queue) give() {
	for q.free > 0 {
		next := -1
		for i, w := range q.waiting {
			if w.owner.held < w.each && (next < 0 || w.owner.before(q.waiting[next].owner)) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		w := q.waiting[next]
		q.waiting = slices.Delete(q.waiting, next, next+1)
		q.clock++
		q.free--
		w.owner.held++
		w.owner.served = q.clock
		close(w.turn)
	}
}

func (o *owner) before(other *owner) bool {
	return o.held < other.held || o.held == other.held && o.served < other.served
}
