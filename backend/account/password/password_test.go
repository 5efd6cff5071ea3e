package password_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/backend/account/password"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

var right = secret.FromString("correct horse battery staple")

func kept(hash string) func() (string, error) {
	return func() (string, error) { return hash, nil }
}

func TestAHashFitsItsPasswordAlone(t *testing.T) {
	t.Parallel()
	h := password.New(password.Here{})
	hash, err := h.Hash(t.Context(), password.Turn{}, right)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(hash, "horse") {
		t.Fatal(hash, err)
	}
	again, err := h.Hash(t.Context(), password.Turn{}, right)
	if err != nil || again == hash {
		t.Errorf("two hashes are the same: %v", err)
	}
	for text, want := range map[string]bool{"correct horse battery staple": true, "correct horse battery stapl": false, "": false, "Correct horse battery staple": false} {
		if ok, err := h.Verify(t.Context(), password.Turn{}, kept(hash), secret.FromString(text)); err != nil || ok != want {
			t.Errorf("%q: %t, %v", text, ok, err)
		}
	}
	if ok, err := h.Verify(t.Context(), password.Turn{}, kept(""), right); ok || err != nil {
		t.Errorf("nobody's: %t, %v", ok, err)
	}
	for _, bad := range []string{"x", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA", strings.Replace(hash, "argon2id", "argon2i", 1), hash[:len(hash)-4]} {
		if ok, err := h.Verify(t.Context(), password.Turn{}, kept(bad), right); ok || errs.KindOf(err) != wire.Internal {
			t.Errorf("%q: %t, %v", bad, ok, err)
		}
	}
}

func TestAPasswordLongerThanAnyIsWrong(t *testing.T) {
	t.Parallel()
	h := password.New(password.Here{})
	long := strings.Repeat("correct horse ", 100)
	hash, err := h.Hash(t.Context(), password.Turn{}, secret.FromString(long[:password.MaxLength]))
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := h.Verify(t.Context(), password.Turn{}, kept(hash), secret.FromString(long)); ok || err != nil {
		t.Errorf("what is beyond is not looked at: %t, %v", ok, err)
	}
}

func TestAFloodAtOneNameDoesNotKeepOthersWaiting(t *testing.T) {
	t.Parallel()
	h := password.New(password.Here{})
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var refused atomic.Int32
	for range 100 {
		flood.Go(func() {
			for ctx.Err() == nil {
				if _, err := h.Verify(ctx, password.Turn{Name: "victim", Rank: password.Failed}, kept(""), right); errs.KindOf(err) == wire.Exhausted {
					refused.Add(1)
					<-time.After(10 * time.Millisecond) // a guesser sends again; nothing signals when
				}
			}
		})
	}
	for i := range 5 {
		begun := time.Now()
		if _, err := h.Verify(t.Context(), password.Turn{Name: fmt.Sprintf("honest-%d", i), Rank: password.Clean}, kept(""), right); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("%d waited %v", i, took)
		}
	}
	stop()
	flood.Wait()
	if refused.Load() == 0 {
		t.Error("nobody was refused: there was no flood")
	}
}

func TestAFloodOfOneRankIsServedInTurnsByName(t *testing.T) {
	t.Parallel()
	h := password.New(password.Here{})
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	for range 20 {
		flood.Go(func() {
			for ctx.Err() == nil {
				_, _ = h.Verify(ctx, password.Turn{Name: "victim", Rank: password.Clean}, kept(""), right)
			}
		})
	}
	for i := range 3 {
		if _, err := h.Verify(t.Context(), password.Turn{Name: fmt.Sprintf("honest-%d", i), Rank: password.Clean}, kept(""), right); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	stop()
	flood.Wait()
}

func TestWhoGivesUpLeavesTheLine(t *testing.T) {
	t.Parallel()
	h := password.New(password.Here{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _, _ = h.Verify(ctx, password.Turn{Name: "gone"}, kept(""), right) })
	}
	all.Wait()
	for range 3 {
		if _, err := h.Verify(t.Context(), password.Turn{Name: "here"}, kept(""), right); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	h := password.New(password.Here{})
	for b.Loop() {
		if _, err := h.Verify(b.Context(), password.Turn{}, kept(""), right); err != nil {
			b.Fatal(err)
		}
	}
}
