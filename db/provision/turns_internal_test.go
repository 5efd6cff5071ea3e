package provision

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestAProjectWithManyOperationsLeavesTurnsToTheOthers(t *testing.T) {
	t.Parallel()
	turns := newTurns(2)
	first, err := turns.take(t.Context(), "project a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range 5 {
		waiting.Go(func() {
			if leave, err := turns.take(ctx, "project a"); err == nil {
				leave()
			}
		})
	}
	for others := 0; others < 6; { // the one that runs, and those that have come
		turns.mu.Lock()
		others = turns.locks["project a"].users
		turns.mu.Unlock()
	}
	other, err := turns.take(t.Context(), "project b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := turns.take(canceled(), "project c"); !errors.Is(err, context.Canceled) {
		t.Errorf("a third runs at once: %v", err)
	}
	cancel()
	waiting.Wait()
	other()
	first()
	if len(turns.locks) > 0 || len(turns.free) > 0 {
		t.Errorf("left: %v, %d turns", turns.locks, len(turns.free))
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// What upkeep waits for, it is for Reap to end.
func TestAJobThatTakesLongHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	reaped := make(chan struct{})
	p := &Provisioner{}
	p.serve(ctx,
		job{"maintain", time.Millisecond, func(context.Context) error {
			<-reaped
			cancel()
			return nil
		}},
		job{"reap", time.Millisecond, func(ctx context.Context) error {
			select {
			case reaped <- struct{}{}:
			case <-ctx.Done():
			}
			return nil
		}},
	)
}
