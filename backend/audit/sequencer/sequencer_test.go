package sequencer_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bulkhead/backend/audit/ledger"
	"bulkhead/backend/audit/sequencer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// idle is a store in which nothing stands; it counts rounds.
type idle struct {
	rounds, waiting atomic.Int64
}

func (s *idle) Take(context.Context, string, time.Duration) (int64, error) {
	s.rounds.Add(1)
	return 1, nil
}
func (s *idle) Backlog(_ context.Context, most int) (int, error) {
	return min(int(s.waiting.Load()), most), nil
}
func (*idle) Leave(context.Context, string) error { return nil }
func (*idle) Waiting(context.Context, int, []ledger.Log) ([]sequencer.Waiting, error) {
	return nil, nil
}
func (*idle) Heads(context.Context) ([]sequencer.Head, error) { return nil, nil }
func (*idle) Leaves(context.Context, ledger.Log, int64, int) ([][]byte, error) {
	return nil, nil
}
func (*idle) Hashes(context.Context, ledger.Log, int, int64) ([]byte, error) { return nil, nil }
func (*idle) Place(context.Context, int64, []sequencer.Placement) error      { return nil }
func (*idle) Publish(context.Context, int64, map[ledger.Log]ledger.Checkpoint) error {
	return nil
}

func TestLogsAreSignedEachSecondAndSoonerWhereManyEntriesWait(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := sequencer.EnsureKey(filepath.Join(dir, "audit.key"))
	if err != nil {
		t.Fatal(err)
	}
	journal, err := sequencer.OpenJournal(filepath.Join(dir, "audit.journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = journal.Close() }()
	synctest.Test(t, func(t *testing.T) {
		store := &idle{}
		s := sequencer.New(sequencer.Config{Store: store, Key: key, Journal: journal, Holder: "test", Log: slog.New(slog.DiscardHandler), Now: time.Now})
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() { defer close(stopped); s.Run(ctx) }()
		rounds := func(of time.Duration) int64 {
			before := store.rounds.Load()
			time.Sleep(of)
			synctest.Wait()
			return store.rounds.Load() - before
		}
		rounds(100 * time.Millisecond) // the first is at once
		store.waiting.Store(255)
		if n := rounds(10 * time.Second); n != 10 {
			t.Errorf("%d rounds in ten seconds, want one a second", n)
		}
		store.waiting.Store(256)
		if n := rounds(10 * time.Second); n < 40 {
			t.Errorf("%d rounds in ten seconds while 256 entries wait", n)
		}
		cancel()
		<-stopped
	})
}
