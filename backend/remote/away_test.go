package remote_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/backend/remote"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// away is a database that is not there for a while.
type away struct {
	remote.Store
	gone  atomic.Bool
	tried chan struct{} // gets a token for each attempt, if there is room
}

func (a *away) UpdateTunnel(ctx context.Context, t remote.Tunnel, from []remote.State, e audit.Entry) error {
	if a.gone.Load() {
		select {
		case a.tried <- struct{}{}:
		default:
		}
		return errs.As(wire.Unavailable, errors.New("connection refused"), "the database is away")
	}
	return a.Store.UpdateTunnel(ctx, t, from, e)
}

// An end that comes while the database is away is put on record as it was, however long that takes: with its own reason and
// bytes, and not as what a later start makes of it.
func TestAnEndThatComesWhileTheDatabaseIsAwayIsPutOnRecordLater(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	store := &away{Store: s.store, tried: make(chan struct{}, 1)}
	s.Store = store
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); s.Run(ctx) }()
	defer func() { cancel(); <-ran }()
	tunnel := s.open(person("7"))
	store.gone.Store(true)
	over, end := context.WithCancel(t.Context())
	end() // the gateway does not wait any longer
	s.Closed(over, tunnel.ID, remote.Closing{Reason: "idle", Usage: remote.Usage{Sent: 5, Received: 6, Streams: 1}})
	<-store.tried
	<-store.tried // again, by itself
	if _, err := s.Extend(t.Context(), person("7"), tunnel.ID, time.Hour); err == nil {
		t.Error("what has ended is extended")
	}
	store.gone.Store(false)
	for s.state(tunnel.ID).State != remote.Closed {
		if t.Context().Err() != nil {
			t.Fatal("the end is not put on record")
		}
	}
	if got := s.state(tunnel.ID); got.Ended != "idle" || got.Sent != 5 || got.Received != 6 {
		t.Errorf("on record: %+v", got)
	}
}
