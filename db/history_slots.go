package db

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// slots gives out half of each pool's connections. The zero slots are ready.
type slots struct {
	mu    sync.Mutex // guards what follows
	taken map[*pgxpool.Pool]*slot
}

type slot struct {
	turns chan struct{}
	users int // who has a turn or waits for one; the slot goes with the last
}

// take waits for a turn with a pool.
func (s *slots) take(ctx context.Context, pool *pgxpool.Pool) (release func(), err error) {
	one := s.enter(pool)
	select {
	case one.turns <- struct{}{}:
		return func() {
			<-one.turns
			s.leave(pool, one)
		}, nil
	case <-ctx.Done():
		s.leave(pool, one)
		return nil, ctx.Err()
	}
}

func (s *slots) enter(pool *pgxpool.Pool) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.taken[pool]
	if one == nil {
		one = &slot{turns: make(chan struct{}, max(1, int(pool.Config().MaxConns)/2))}
		if s.taken == nil {
			s.taken = map[*pgxpool.Pool]*slot{}
		}
		s.taken[pool] = one
	}
	one.users++
	return one
}

func (s *slots) leave(pool *pgxpool.Pool, one *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(s.taken, pool)
	}
}
