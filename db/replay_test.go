package db_test

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/db"
	"bulkhead/db/dbtest"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// replays begins requests at times of its own.
type replays struct {
	*db.Replays
	t *testing.T
}

func (r replays) begin(key string, print byte, at time.Time) ([]byte, error) {
	return r.Begin(r.t.Context(), "p", key, bytes.Repeat([]byte{print}, 32), at, at.Add(-24*time.Hour), at.Add(-time.Minute))
}

func TestARequestIsBegunOnce(t *testing.T) {
	t.Parallel()
	r := replays{db.NewReplays(dbtest.New(t).DB), t}
	now := time.Now()
	var begun, waiting atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			switch _, err := r.begin("k", 1, now); errs.KindOf(err) {
			case "":
				begun.Add(1)
			case wire.Conflict:
				waiting.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if begun.Load() != 1 || waiting.Load() != 15 {
		t.Errorf("%d began, %d wait", begun.Load(), waiting.Load())
	}
}

func TestAnAnswerIsRepeatedForADay(t *testing.T) {
	t.Parallel()
	r := replays{db.NewReplays(dbtest.New(t).DB), t}
	now := time.Now()
	if _, err := r.begin("k", 1, now); err != nil {
		t.Fatal(err)
	}
	if err := r.Finish(t.Context(), "p", "k", []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	if again, err := r.begin("k", 1, now.Add(23*time.Hour)); err != nil || string(again) != "sealed" {
		t.Errorf("%q, %v", again, err)
	}
	if _, err := r.begin("k", 2, now); errs.KindOf(err) != wire.Invalid {
		t.Errorf("another request with the key: %v", err)
	}
	if again, err := r.begin("k", 1, now.Add(25*time.Hour)); err != nil || again != nil {
		t.Errorf("after a day: %q, %v", again, err)
	}
}

func TestARequestWhoseProcessDiedIsBegunAgain(t *testing.T) {
	t.Parallel()
	r := replays{db.NewReplays(dbtest.New(t).DB), t}
	now := time.Now()
	for _, at := range []time.Time{now, now.Add(2 * time.Minute)} {
		if again, err := r.begin("k", 1, at); err != nil || again != nil {
			t.Errorf("%q, %v", again, err)
		}
	}
	if _, err := r.begin("k", 1, now.Add(2*time.Minute+time.Second)); errs.KindOf(err) != wire.Conflict {
		t.Errorf("while the second is being done: %v", err)
	}
	if err := r.Abandon(t.Context(), "p", "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.begin("k", 2, now.Add(3*time.Minute)); err != nil {
		t.Errorf("after it was given up: %v", err)
	}
}
