package password_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"bulkhead/backend/account/password"
	"bulkhead/internal/secret"
)

// held derives when it is told to.
type held struct{ let chan struct{} }

func (h held) Derive(context.Context, secret.Value, []byte) ([]byte, error) {
	<-h.let
	return make([]byte, password.KeySize), nil
}

func TestWhoIsFoundToFloodWhileWaitingGoesBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := held{make(chan struct{})}
		h := password.New(d)
		var mu sync.Mutex // guards turns
		var turns []string
		ask := func(name string, rank, later password.Rank) {
			turn := password.Turn{Name: name, Rank: rank, Still: func() password.Rank { return later }}
			go func() {
				_, err := h.Verify(t.Context(), turn, func() (string, error) {
					mu.Lock()
					defer mu.Unlock()
					turns = append(turns, name)
					return "", nil
				}, right)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}()
			synctest.Wait() // it is hashed, or waits
		}
		for range password.Workers() {
			ask("first", password.Known, password.Known)
		}
		ask("flood", password.Clean, password.Failed)
		ask("honest", password.Clean, password.Clean)
		for range password.Workers() + 2 {
			d.let <- struct{}{}
			synctest.Wait()
		}
		if got := turns[password.Workers():]; !slices.Equal(got, []string{"honest", "flood"}) {
			t.Errorf("the turns were %q", got)
		}
	})
}
