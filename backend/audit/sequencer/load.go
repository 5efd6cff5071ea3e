package sequencer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"bulkhead/backend/audit/ledger"
)

// tampered is what is wrong with a log as the database has it.
type tampered struct{ why string }

func (t *tampered) Error() string { return t.why }

// load takes each log where it was signed last and goes on with what the database has beyond that: entries that were
// placed and not signed before a crash, or that another sequencer placed.
func (s *Sequencer) load(ctx context.Context) error {
	found, err := s.Store.Heads(ctx)
	if err != nil {
		return err
	}
	stored := map[ledger.Log]Head{}
	for _, h := range found {
		stored[h.Log] = h
	}
	for log := range s.Journal.States() {
		if _, there := stored[log]; !there {
			stored[log] = Head{Log: log} // it had entries, and has none
		}
	}
	heads := map[ledger.Log]*head{}
	for _, log := range slices.Sorted(maps.Keys(stored)) {
		var wrong *tampered
		h, err := s.loadHead(ctx, stored[log])
		switch {
		case errors.As(err, &wrong):
			s.fault(log, wrong.why)
		case err != nil:
			return err
		default:
			heads[log] = h
		}
	}
	s.heads = heads
	return nil
}

// loadHead believes the journal, and what the key has signed. Where there is neither, the key is new or the log is.
func (s *Sequencer) loadHead(ctx context.Context, stored Head) (*head, error) {
	base := s.Journal.States()[stored.Log]
	signed, err := s.signedState(stored)
	if err != nil {
		return nil, err
	}
	if stored.Placed < max(base.Size, signed.Size) {
		return nil, &tampered{fmt.Sprintf("the database has %d entries, and %d were signed: the end of the log was cut off, or an older backup was restored", stored.Placed, max(base.Size, signed.Size))}
	}
	if base.Size == 0 {
		base.Size, base.Root = signed.Size, signed.Root
	}
	h := &head{size: signed.Size}
	h.edges, err = ledger.LoadEdges(base.Size, func(level int, place int64) ([]byte, error) {
		return s.Store.Hashes(ctx, stored.Log, level, place)
	})
	if err != nil {
		return nil, err
	}
	if base.Size > 0 && h.edges.Root() != base.Root {
		return nil, &tampered{"the stored hashes are not those that were signed"}
	}
	return h, s.catchUp(ctx, stored, signed, h)
}

// signedState is the checkpoint in the database. With a key that was just made, one of an older key is no fault: the log
// is signed anew from its beginning, and readers who knew the older key are not fooled.
func (s *Sequencer) signedState(stored Head) (ledger.Checkpoint, error) {
	if stored.Note == "" {
		return ledger.Checkpoint{}, nil
	}
	c, err := ledger.Open([]byte(stored.Note), ledger.Origin(s.Key.Signer.Name(), stored.Log), s.Key.Verifier)
	if err == nil {
		return c, nil
	}
	if s.Key.Made {
		return ledger.Checkpoint{}, nil
	}
	return c, &tampered{fmt.Sprintf("the stored checkpoint was replaced: %v", err)}
}

// catchUp adds the leaves that the database has beyond the head's.
func (s *Sequencer) catchUp(ctx context.Context, stored Head, signed ledger.Checkpoint, h *head) error {
	if err := s.lastTime(ctx, stored.Log, h); err != nil {
		return err
	}
	for h.edges.Size() < stored.Placed {
		leaves, err := s.Store.Leaves(ctx, stored.Log, h.edges.Size(), batch)
		if err != nil {
			return err
		}
		if len(leaves) == 0 {
			return &tampered{fmt.Sprintf("the entry at place %d is missing", h.edges.Size())}
		}
		for _, leaf := range leaves {
			if h.newest, err = ledger.Follows(stored.Log, h.newest, leaf); err != nil {
				return &tampered{fmt.Sprintf("the entry at place %d: %v", h.edges.Size(), err)}
			}
			h.edges.Append(ledger.HashOf(leaf), nil)
			if h.edges.Size() == signed.Size && h.edges.Root() != signed.Root {
				return &tampered{"the entries are not those that were signed"}
			}
		}
	}
	if h.edges.Size() == signed.Size {
		s.show(stored.Log, s.state(stored.Log, h))
	}
	return nil
}

// lastTime reads the time of the newest entry that was signed.
func (s *Sequencer) lastTime(ctx context.Context, log ledger.Log, h *head) error {
	if h.edges.Size() == 0 || log == ledger.Logs {
		return nil
	}
	leaves, err := s.Store.Leaves(ctx, log, h.edges.Size()-1, 1)
	if err != nil {
		return err
	}
	if len(leaves) == 0 {
		return &tampered{fmt.Sprintf("the entry at place %d is missing", h.edges.Size()-1)}
	}
	var last tlog.Hash
	if last, err = h.edges.Last(); err == nil && last != ledger.HashOf(leaves[0]) {
		return &tampered{fmt.Sprintf("the entry at place %d was edited", h.edges.Size()-1)}
	}
	h.newest, err = ledger.Follows(log, h.newest, leaves[0])
	if err != nil {
		return &tampered{err.Error()}
	}
	return nil
}
