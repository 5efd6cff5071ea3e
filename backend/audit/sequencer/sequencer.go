// Package sequencer gives committed audit entries their places in the logs and signs the logs' states.
//
// It promises that a state is signed only if it goes on from the state that was signed before, which it remembers outside
// the database; that two sequencers of one database do not fork its logs; that an entry is part of a signed state about a
// second after its transaction, or an alarm says why not; and that a log that somebody has tampered with stops alone, and
// the others go on.
package sequencer

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"bulkhead/backend/audit/ledger"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// Waiting is an entry that has no place yet.
type Waiting struct {
	Sequence int64
	Log      ledger.Log
	Leaf     []byte
}

// Head is what the database has of a log.
type Head struct {
	Log    ledger.Log
	Placed int64  // number of leaves
	Note   string // the newest checkpoint; empty where there is none
}

// Placement adds leaves to a log: entries by their sequences, or for the log of the logs the leaves themselves.
type Placement struct {
	Log       ledger.Log
	First     int64
	Sequences []int64
	Leaves    [][]byte
	Tiles     []ledger.Tile
}

// Store is where entries, places and hashes are. None of what it gives is trusted. Writes of an epoch that is not the
// newest have kind Conflict and leave nothing.
type Store interface {
	// Take takes or renews the lease; kind Conflict where another holds it.
	Take(ctx context.Context, holder string, life time.Duration) (epoch int64, err error)
	// Leave gives the lease back, where holder has it.
	Leave(ctx context.Context, holder string) error
	// Backlog tells how many entries wait, up to most.
	Backlog(ctx context.Context, most int) (int, error)
	Waiting(ctx context.Context, limit int, except []ledger.Log) ([]Waiting, error)
	Heads(ctx context.Context) ([]Head, error)
	Leaves(ctx context.Context, l ledger.Log, from int64, limit int) ([][]byte, error)
	Hashes(ctx context.Context, l ledger.Log, level int, place int64) ([]byte, error)
	Place(ctx context.Context, epoch int64, placements []Placement) error
	// Publish shows checkpoints, all at once.
	Publish(ctx context.Context, epoch int64, signed map[ledger.Log]ledger.Checkpoint) error
}

// Config is what a sequencer needs.
type Config struct {
	Store   Store
	Key     Key
	Journal *Journal
	Holder  string // names this process in the lease
	Log     *slog.Logger
	Now     func() time.Time
}

const (
	every     = time.Second
	leaseLife = 10 * time.Second
	batch     = 1024
	// early is how many waiting entries make a round begin before its second is over; look is how often that is asked.
	early = 256
	look  = every / 5
	// roundWithin bounds one round.
	roundWithin = 30 * time.Second
)

// Sequencer runs rounds. Make one with New.
type Sequencer struct {
	Config

	// Of the goroutine that runs rounds.
	epoch  int64
	heads  map[ledger.Log]*head
	single bool // the next round places one log at a time, to find the one at fault

	mu       sync.Mutex // guards what follows
	faults   map[ledger.Log]string
	shown    map[ledger.Log]ledger.State
	last     time.Time // of a round that succeeded
	failed   error     // why the last round did not
	backward string    // what the clock did
	wall     time.Time // the newest time that was seen, without its monotonic part
}

// head is a log as this sequencer signed it last.
type head struct {
	edges  *ledger.Edges
	newest time.Time // of its entries
	size   int64     // of the newest checkpoint that readers are shown
}

// New makes a sequencer; Run runs it.
func New(c Config) *Sequencer {
	s := &Sequencer{
		Config: c, faults: map[ledger.Log]string{}, shown: map[ledger.Log]ledger.State{}, last: c.Now(),
	}
	for _, state := range c.Journal.States() {
		if state.Time.After(s.wall) {
			s.wall = state.Time
		}
	}
	return s
}

// Run runs a round each second, or when 256 entries wait, until ctx ends.
func (s *Sequencer) Run(ctx context.Context) {
	ticks := time.NewTicker(look)
	defer ticks.Stop()
	for {
		if err := s.Round(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "a round of the audit log's sequencer failed", logkey.Error, err)
		}
		if !s.rest(ctx, ticks.C) {
			return
		}
	}
}

// Leave gives the lease back after the last round, so that the next process need not wait until it is over.
func (s *Sequencer) Leave(ctx context.Context) error { return s.Store.Leave(ctx, s.Holder) }

// rest waits until the next round; false where there is none.
func (s *Sequencer) rest(ctx context.Context, ticks <-chan time.Time) bool {
	for range every / look {
		select {
		case <-ticks:
		case <-ctx.Done():
			return false
		}
		if n, err := s.Store.Backlog(ctx, early); err == nil && n == early {
			return true
		}
	}
	return true
}

// Round places all that waits and signs the logs that changed.
func (s *Sequencer) Round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundWithin)
	defer cancel()
	s.watchClock()
	err := s.round(ctx)
	if err == nil && len(s.faulty()) == 0 {
		err = s.Key.Settle()
	}
	if err != nil {
		s.epoch = 0 // what the database has may be more than we know
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
	if err == nil {
		s.last = s.Now()
	}
	return err
}

func (s *Sequencer) round(ctx context.Context) error {
	epoch, err := s.Store.Take(ctx, s.Holder, leaseLife)
	if err != nil {
		return err
	}
	if epoch != s.epoch {
		if err := s.load(ctx); err != nil {
			return err
		}
		s.epoch = epoch
	}
	if slices.Contains(s.faulty(), ledger.Logs) {
		return errs.E(wire.Internal, "the log of the logs was tampered with, so no log is signed")
	}
	for {
		waiting, err := s.Store.Waiting(ctx, batch, s.faulty())
		if err != nil {
			return err
		}
		if err := s.place(ctx, waiting); err != nil {
			return err
		}
		if err := s.publish(ctx); err != nil || len(waiting) < batch {
			return err
		}
	}
}

// place gives entries their places, all at once, or log by log after a failure.
func (s *Sequencer) place(ctx context.Context, waiting []Waiting) error {
	groups := map[ledger.Log][]Waiting{}
	for _, w := range waiting {
		groups[w.Log] = append(groups[w.Log], w)
	}
	if !s.single {
		err := s.step(ctx, groups)
		s.single = err != nil && !passing(err)
		return err
	}
	for _, log := range slices.Sorted(maps.Keys(groups)) {
		err := s.step(ctx, map[ledger.Log][]Waiting{log: groups[log]})
		if err != nil && !passing(err) {
			s.fault(log, fmt.Sprintf("its entries cannot be placed: %v", err))
		}
		if err != nil {
			return err // and go on with the next in a round of its own
		}
	}
	s.single = false
	return nil
}

// passing reports whether an error says nothing about the log.
func passing(err error) bool {
	switch errs.KindOf(err) {
	case wire.Unavailable, wire.Canceled, wire.Conflict:
		return true
	default:
		return false
	}
}

// step places groups in one transaction, with a state of each changed log in the log of the logs.
func (s *Sequencer) step(ctx context.Context, groups map[ledger.Log][]Waiting) error {
	next := map[ledger.Log]*head{}
	var placements []Placement
	var states [][]byte
	for _, log := range slices.Sorted(maps.Keys(groups)) {
		grown, p := s.grow(log, groups[log])
		if len(p.Sequences) == 0 {
			continue
		}
		next[log] = grown
		placements = append(placements, p)
		states = append(states, s.state(log, grown).Leaf())
	}
	if len(placements) == 0 {
		return nil
	}
	above := s.head(ledger.Logs).clone()
	p := Placement{Log: ledger.Logs, First: above.edges.Size(), Leaves: states}
	p.Tiles = extend(above.edges, states)
	next[ledger.Logs] = above
	if err := s.Store.Place(ctx, s.epoch, append(placements, p)); err != nil {
		return err
	}
	maps.Copy(s.heads, next)
	return nil
}

func (s *Sequencer) state(l ledger.Log, h *head) ledger.State {
	return ledger.State{Version: ledger.StateVersion, Log: l.String(), Size: h.edges.Size(), Root: h.edges.Root(), Time: s.Now().UTC()}
}

// grow adds entries to a copy of a log's head. One that claims to be older than it can be is left where it is.
func (s *Sequencer) grow(log ledger.Log, waiting []Waiting) (*head, Placement) {
	grown := s.head(log).clone()
	p := Placement{Log: log, First: grown.edges.Size()}
	var leaves [][]byte
	for _, w := range waiting {
		newest, err := ledger.Follows(log, grown.newest, w.Leaf)
		if err != nil {
			s.fault(log, fmt.Sprintf("entry %d was not written by this server: %v", w.Sequence, err))
			break
		}
		grown.newest = newest
		p.Sequences, leaves = append(p.Sequences, w.Sequence), append(leaves, w.Leaf)
	}
	p.Tiles = extend(grown.edges, leaves)
	return grown, p
}

func (s *Sequencer) head(l ledger.Log) *head {
	if s.heads[l] == nil {
		s.heads[l] = &head{edges: &ledger.Edges{}}
	}
	return s.heads[l]
}

func (h *head) clone() *head { return &head{h.edges.Clone(), h.newest, h.size} }

// extend adds leaves and gives the tiles that changed.
func extend(e *ledger.Edges, leaves [][]byte) []ledger.Tile {
	changed := map[int]bool{0: true}
	var tiles []ledger.Tile
	for _, leaf := range leaves {
		e.Append(ledger.HashOf(leaf), func(t ledger.Tile) {
			tiles = append(tiles, t)
			changed[t.Level+1] = true
		})
	}
	for _, t := range e.Partial() {
		if changed[t.Level] {
			tiles = append(tiles, t)
		}
	}
	return tiles
}

// publish signs what has grown, remembers it, and only then shows it.
func (s *Sequencer) publish(ctx context.Context) error {
	var states []ledger.State
	signed := map[ledger.Log]ledger.Checkpoint{}
	for _, log := range slices.Sorted(maps.Keys(s.heads)) {
		h := s.heads[log]
		if h.size == h.edges.Size() {
			continue
		}
		state := s.state(log, h)
		c, err := ledger.Sign(ledger.Origin(s.Key.Signer.Name(), log), state.Size, state.Root, s.Key.Signer)
		if err != nil {
			return err
		}
		states, signed[log] = append(states, state), c
	}
	if len(states) == 0 {
		return nil
	}
	if err := s.Journal.Append(states); err != nil {
		return errs.As(wire.Unavailable, err, "the journal of the audit log cannot be written")
	}
	if err := s.Store.Publish(ctx, s.epoch, signed); err != nil {
		return err
	}
	for _, state := range states {
		log, err := ledger.ParseLog(state.Log)
		if err != nil {
			return err
		}
		s.heads[log].size = state.Size
		s.show(log, state)
	}
	return nil
}

func (s *Sequencer) show(l ledger.Log, state ledger.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown[l] = state
}

func (s *Sequencer) fault(l ledger.Log, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults[l] != why {
		s.Log.Error("the audit log was tampered with", logkey.Project, l.String(), logkey.Reason, why)
	}
	s.faults[l] = why
}

func (s *Sequencer) faulty() []ledger.Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.faults))
}
