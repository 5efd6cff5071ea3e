package db

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// standing is a line of who waits for one pool's turns.
type standing struct {
	t     *testing.T
	turns turns
	pool  *pgxpool.Pool
	share share
	given chan string
}

// come has somebody of a project wait, and gives what ends its turn, or its waiting.
func (s *standing) come(name string) (end context.CancelFunc) {
	ctx, cancel := context.WithCancel(s.t.Context())
	w := s.turns.enter(s.pool, name, s.share)
	left := make(chan struct{})
	go func() {
		defer close(left)
		select {
		case <-w.turn:
			s.given <- name
			<-ctx.Done()
		case <-ctx.Done():
		}
		s.turns.leave(s.pool, name, w)
	}()
	return func() {
		cancel()
		<-left
	}
}

func (s *standing) next(want string) {
	s.t.Helper()
	if got := <-s.given; got != want {
		s.t.Errorf("%s goes first, want %s", got, want)
	}
}

func newStanding(t *testing.T, sh share) *standing {
	return &standing{t: t, pool: new(pgxpool.Pool), share: sh, given: make(chan string, 100)}
}

func TestAProjectWithManyQueriesGoesNotBeforeOneWithFew(t *testing.T) {
	t.Parallel()
	s := newStanding(t, share{all: 1, each: 1})
	ends := []context.CancelFunc{s.come("a")}
	s.next("a")
	for range 5 {
		ends = append(ends, s.come("a"), s.come("b"))
	}
	ends = append(ends, s.come("c"))
	// Each time whoever has the turn ends it; those who had none for longest come first, whoever came before.
	holder := map[string]int{"a": 0, "b": 2, "c": len(ends) - 1}
	ends[holder["a"]]()
	s.next("b")
	ends[holder["b"]]()
	s.next("c")
	for _, end := range ends {
		end()
	}
	if len(s.turns.pools) != 0 {
		t.Error("something is remembered of who has left")
	}
}

func TestNoProjectHasAllTurnsOfAPool(t *testing.T) {
	t.Parallel()
	s := newStanding(t, share{all: 3, each: 2})
	var ends []context.CancelFunc
	for range 4 {
		ends = append(ends, s.come("a"))
	}
	s.next("a")
	s.next("a")
	ends = append(ends, s.come("b"))
	s.next("b")
	if len(s.given) != 0 {
		t.Error("a project has more turns than it may")
	}
	for _, end := range ends {
		end()
	}
	if len(s.turns.pools) != 0 {
		t.Error("something is remembered of who has left")
	}
}

func TestWhoGivesUpTakesNoTurn(t *testing.T) {
	t.Parallel()
	s := newStanding(t, share{all: 1, each: 1})
	first := s.come("a")
	s.next("a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.turns.take(ctx, s.pool, "b", s.share); err == nil {
		t.Error("a turn was given that there was not")
	}
	last := s.come("c")
	first()
	s.next("c")
	last()
}
