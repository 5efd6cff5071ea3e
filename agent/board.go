package agent

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"bulkhead/agent/state"
	"bulkhead/internal/logkey"
)

const (
	statusPause    = time.Second     // changes that come together are written together
	statusInterval = 5 * time.Minute // between writes without a change, for the counters
)

// board is how the agent stands in its realms, for the people at the device.
type board struct {
	changed chan struct{} // has a token when there is something to write

	mu     sync.Mutex // guards realms
	realms []state.Realm
}

func newBoard() *board { return &board{changed: make(chan struct{}, 1)} }

// enter adds a realm in which the agent should be.
func (b *board) enter(realm, app string) {
	b.change(func() {
		b.realms = append(b.realms, state.Realm{Realm: realm, App: app, Since: time.Now().UnixMilli(), Reason: "not tried yet"})
	})
}

// remove takes a realm out.
func (b *board) remove(realm string) {
	b.change(func() {
		b.realms = slices.DeleteFunc(b.realms, func(r state.Realm) bool { return r.Realm == realm })
	})
}

func (b *board) joined(realm string)       { b.set(realm, true, "") }
func (b *board) left(realm, reason string) { b.set(realm, false, reason) }

func (b *board) set(realm string, joined bool, reason string) {
	b.mu.Lock()
	i := slices.IndexFunc(b.realms, func(r state.Realm) bool { return r.Realm == realm })
	same := i < 0 || b.realms[i].Joined == joined && b.realms[i].Reason == reason
	b.mu.Unlock()
	if same { // an attempt that fails as the one before is no news, and no wear of the disk
		return
	}
	b.change(func() {
		for i := range b.realms {
			if r := &b.realms[i]; r.Realm == realm {
				r.Joined, r.Reason, r.Since = joined, reason, time.Now().UnixMilli()
			}
		}
	})
}

func (b *board) change(edit func()) {
	b.mu.Lock()
	edit()
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

func (b *board) snapshot() []state.Realm {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.realms)
}

func (b *board) isJoined(realm string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.realms, func(r state.Realm) bool { return r.Realm == realm && r.Joined })
}

// writeStatus keeps the status file true until ctx ends.
func (a *Agent) writeStatus(ctx context.Context) {
	for {
		a.writeStatusOnce()
		if !pause(ctx, statusPause) {
			return
		}
		select {
		case <-a.board.changed:
		case <-time.After(statusInterval):
		case <-ctx.Done():
			return
		}
	}
}

func (a *Agent) writeStatusOnce() {
	s := state.Status{
		PID: os.Getpid(), Agent: a.config.Version, Name: a.config.Flash.Name, Serial: a.config.Flash.Serial, Router: a.config.Flash.Router,
		Started: a.started.UnixMilli(), Written: time.Now().UnixMilli(), Boot: a.boot, Realms: a.board.snapshot(),
	}
	for _, t := range a.tallies() {
		s.Buffered += t.buffered
		s.Dropped += t.dropped
		s.Refused += t.refused
	}
	if err := a.config.State.WriteStatus(s); err != nil {
		a.log.Warn("status not written", logkey.Error, err)
	}
}
