package lifecycle_test

import (
	"context"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"bulkhead/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStopWaitsForAllThatWasStarted(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	var ended atomic.Int32
	for range 10 {
		g.Go(func(ctx context.Context) {
			<-ctx.Done()
			ended.Add(1)
		})
	}
	g.Stop()
	if ended.Load() != 10 {
		t.Errorf("%d of 10 had ended when Stop returned", ended.Load())
	}
	g.Stop() // twice is fine
}

func TestNothingStartsAfterStop(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	g.Stop()
	if g.Go(func(context.Context) { t.Error("ran") }) {
		t.Error("said that it started")
	}
}

func TestAGoroutineMayStartAnotherWhileStopping(t *testing.T) {
	t.Parallel()
	g := lifecycle.NewGroup(context.Background())
	g.Go(func(ctx context.Context) {
		<-ctx.Done()
		g.Go(func(context.Context) {}) // must neither deadlock nor panic
	})
	g.Stop()
}
