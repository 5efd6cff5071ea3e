package password_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/backend/account/password"
	"bulkhead/backend/account/throttle"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// held derives when it is told to. Its tests run in bubbles: nothing in them depends on how fast the machine is.
type held struct{ let chan struct{} }

func (h held) Derive(ctx context.Context, _ secret.Value, _ []byte) ([]byte, error) {
	select {
	case <-h.let:
		return make([]byte, password.KeySize), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// desk is a Hasher with those who ask it.
type desk struct {
	t      *testing.T
	hasher *password.Hasher
	let    chan struct{}

	mu      sync.Mutex // guards all below
	turns   []string   // names in the order in which they came to be hashed
	refused map[string]int
}

func newDesk(t *testing.T) *desk {
	d := held{make(chan struct{})}
	return &desk{t: t, hasher: password.New(d), let: d.let, refused: map[string]int{}}
}

// ask has somebody come. When it returns the name is hashed, waits or was refused.
func (d *desk) ask(ctx context.Context, turn password.Turn) {
	d.t.Helper()
	go func() {
		_, err := d.hasher.Verify(ctx, turn, func() (string, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.turns = append(d.turns, turn.Name)
			return "", nil
		}, right)
		switch {
		case errs.KindOf(err) == wire.Exhausted:
			d.mu.Lock()
			defer d.mu.Unlock()
			d.refused[turn.Name]++
		case err != nil && ctx.Err() == nil:
			d.t.Errorf("%s: %v", turn.Name, err)
		}
	}()
	synctest.Wait()
}

// finish has n hashes end, one after the other.
func (d *desk) finish(n int) {
	for range n {
		d.let <- struct{}{}
		synctest.Wait()
	}
}

// after gives the turns that came after the first ones.
func (d *desk) after(first int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.turns[first:])
}

func (d *desk) refusals(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused[name]
}

// fill has every worker hash somebody.
func (d *desk) fill() {
	for range password.Workers() {
		d.ask(d.t.Context(), password.Turn{Name: "first", Rank: password.Known})
	}
}

func TestWhoIsFoundToFloodWhileWaitingGoesBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.fill()
		d.ask(t.Context(), password.Turn{Name: "flood", Rank: password.Clean, Still: func() password.Rank { return password.Failed }})
		d.ask(t.Context(), password.Turn{Name: "honest", Rank: password.Clean, Still: func() password.Rank { return password.Clean }})
		d.finish(password.Workers() + 2)
		if got := d.after(password.Workers()); !slices.Equal(got, []string{"honest", "flood"}) {
			t.Errorf("the turns were %q", got)
		}
	})
}

func TestAFloodAtOneNameDoesNotKeepOthersWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.fill()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		honest := []string{"a", "b", "c"}
		for _, name := range honest {
			for range 40 { // more than there are places
				d.ask(ctx, password.Turn{Name: "victim", Rank: password.Failed})
			}
			d.ask(t.Context(), password.Turn{Name: name, Rank: password.Clean})
		}
		if d.refusals("victim") == 0 {
			t.Error("nobody was refused: there was no flood")
		}
		d.finish(len(honest))
		if got := d.after(password.Workers()); !slices.Equal(got, honest) {
			t.Errorf("the turns were %q", got)
		}
		d.finish(password.Workers())
		if got := d.after(password.Workers() + len(honest)); !slices.Equal(got, []string{"victim"}) {
			t.Errorf("then the turns were %q", got)
		}
	})
}

func TestAFloodOfOneRankIsServedInTurnsByName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.fill()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for range 20 {
			d.ask(ctx, password.Turn{Name: "victim", Rank: password.Clean})
		}
		for _, name := range []string{"a", "b", "c"} {
			d.ask(t.Context(), password.Turn{Name: name, Rank: password.Clean})
		}
		d.finish(password.Workers() + 4) // a crowd has one worker at a time, however many there are
		if got := d.after(password.Workers()); !slices.Equal(got, []string{"victim", "a", "b", "c", "victim"}) {
			t.Errorf("the turns were %q", got)
		}
	})
}

func TestNobodyWaitsForeverAndWhoIsSentAwayIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.fill()
		begun := time.Now() // of the bubble
		_, err := d.hasher.Verify(t.Context(), password.Turn{Name: "late"}, kept(""), right)
		if took := time.Since(begun); errs.KindOf(err) != wire.Exhausted || took > 3*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		d.finish(password.Workers())
		d.ask(t.Context(), password.Turn{Name: "next"})
		d.finish(1)
		if got := d.after(password.Workers()); !slices.Equal(got, []string{"next"}) {
			t.Errorf("the turns were %q", got)
		}
	})
}

func TestWhoGivesUpLeavesTheLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.fill()
		ctx, cancel := context.WithCancel(t.Context())
		for range 20 {
			d.ask(ctx, password.Turn{Name: "gone"})
		}
		cancel()
		synctest.Wait()
		d.ask(t.Context(), password.Turn{Name: "here"})
		d.finish(password.Workers() + 1)
		if got := d.after(password.Workers()); !slices.Equal(got, []string{"here"}) {
			t.Errorf("the turns were %q", got)
		}
	})
}

// slowly takes the time of the bubble that a hash takes, and counts what is hashed.
type slowly struct {
	mu     sync.Mutex // guards hashed
	hashed int
}

func (s *slowly) Derive(context.Context, secret.Value, []byte) ([]byte, error) {
	<-time.After(40 * time.Millisecond) // of the bubble
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hashed++
	return make([]byte, password.KeySize), nil
}

func TestGuessesHaveAnEighthOfOneWorkerAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		count := &slowly{}
		h := password.New(count)
		ctx, stop := context.WithTimeout(t.Context(), 16*time.Second)
		defer stop()
		var flood sync.WaitGroup
		for range 10 { // there is a place for each, or they would turn and turn without time passing
			flood.Go(func() {
				for ctx.Err() == nil {
					_, _ = h.Verify(ctx, password.Turn{Name: "victim", Rank: password.Failed}, kept(""), right)
				}
			})
		}
		flood.Wait()
		if most := 16 * 1000 / 320; count.hashed > most+1 || count.hashed < most/2 {
			t.Errorf("%d were hashed in 16 s, not about %d", count.hashed, most)
		}
	})
}

// Each of the addresses is at a name of its own, so that nothing tells the newcomer from them but coming back.
func TestWhoComesBackGetsInBesideAFloodOfAddressesThatSendOnceEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, guard := password.New(&slowly{}), throttle.New(throttle.Default, time.Now)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		try := func(name, address string) error {
			y, err := guard.Begin(name, address)
			if err != nil {
				return err
			}
			defer y.Done()
			rank := func() password.Rank {
				switch {
				case y.Back():
					return password.Back
				case y.Clean():
					return password.Clean
				default:
					return password.Failed
				}
			}
			if _, err = h.Verify(ctx, password.Turn{Name: name, Rank: rank(), Still: rank}, kept(""), right); err != nil {
				y.Void()
			}
			return err
		}
		var flood sync.WaitGroup
		flood.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond) // of the bubble
			defer tick.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				<-tick.C
				flood.Go(func() { _ = try(fmt.Sprintf("user-%d", i), fmt.Sprintf("10.%d.%d.1", i>>8, i&255)) })
			}
		})
		<-time.After(5 * time.Second)
		begun := time.Now()
		tries := 1
		for try("alice", "192.0.2.1") != nil && tries < 10 {
			<-time.After(3 * time.Second)
			tries++
		}
		if tries > 2 {
			t.Errorf("she got in at try %d, after %v", tries, time.Since(begun))
		}
		stop()
		flood.Wait()
	})
}

func TestACrowdThatIsCleanHasAnEighthOfOneWorkerAndWhoIsKnownGoesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		count := &slowly{}
		h := password.New(count)
		ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
		defer stop()
		var all sync.WaitGroup
		for range 60 {
			all.Go(func() {
				for ctx.Err() == nil {
					_, _ = h.Verify(ctx, password.Turn{Name: "crowd", Rank: password.Clean}, kept(""), right)
				}
			})
		}
		all.Go(func() {
			<-time.After(4 * time.Second)
			begun := time.Now() // of the bubble
			if _, err := h.Verify(ctx, password.Turn{Name: "known"}, kept(""), right); err != nil || time.Since(begun) > 100*time.Millisecond {
				t.Errorf("who is known waited %v: %v", time.Since(begun), err)
			}
		})
		all.Wait()
		if most := 8 * 1000 / 320; count.hashed > most+32 || count.hashed < most/2 { // the last few are no crowd any more
			t.Errorf("%d were hashed in 8 s, not about %d", count.hashed, most)
		}
	})
}
