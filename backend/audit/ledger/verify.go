package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"bulkhead/backend/audit"
)

// Source has a log's checkpoint, tiles and bundles of entries, from wherever. Nothing that it gives is trusted.
type Source interface {
	Checkpoint(ctx context.Context, l Log) ([]byte, error)
	// Tile gives a tile, or with the level Entries a bundle.
	Tile(ctx context.Context, l Log, level int, place int64, width int) ([]byte, error)
}

// Fault says what is wrong with a log. Other errors say that it could not be read.
type Fault struct {
	Log   Log
	Place int64 // of the entry; negative where the fault is of none
	Why   string
}

func (f *Fault) Error() string {
	if f.Place < 0 {
		return fmt.Sprintf("log %s: %s", f.Log, f.Why)
	}
	return fmt.Sprintf("log %s: entry at place %d: %s", f.Log, f.Place, f.Why)
}

// maxBackdate is how much earlier an entry's time may be than that of one before it: entries get their places when their
// transactions are over, and no transaction of ours lasts so long.
const maxBackdate = 5 * time.Minute

// Verification is what to check of a log.
type Verification struct {
	Key    note.Verifier
	Log    Log
	Before []State              // states that the log was in at some time: it must have grown from each
	Leaf   func(l []byte) error // is given each leaf in its order; may be nil
	Done   func(done, of int64) // tells how far it is; may be nil
}

// Verify reads a whole log and recomputes it from the leaves up. It gives the checkpoint that the log proved to be.
func (v Verification) Verify(ctx context.Context, from Source) (Checkpoint, error) {
	text, err := from.Checkpoint(ctx, v.Log)
	if err != nil {
		return Checkpoint{}, err
	}
	checkpoint, err := Open(text, Origin(v.Key.Name(), v.Log), v.Key)
	if err != nil {
		return Checkpoint{}, v.fault(-1, "%v", err)
	}
	for _, b := range v.Before {
		if b.Size > checkpoint.Size {
			return checkpoint, v.fault(-1, "it has %d entries and had %d on %s: its end was cut off or an older backup was restored",
				checkpoint.Size, b.Size, b.Time.UTC().Format(time.RFC3339))
		}
	}
	return checkpoint, v.walk(ctx, from, checkpoint)
}

func (v Verification) fault(place int64, format string, args ...any) error {
	return &Fault{v.Log, place, fmt.Sprintf(format, args...)}
}

// bundle is what one step of the walk is about.
type bundle struct {
	place  int64
	leaves [][]byte
	hashes []tlog.Hash
	parsed []audit.Leaf
	err    error
	ready  chan struct{}
}

// walk reads ahead on all processors, and puts together what they have read in the order of the log.
func (v Verification) walk(ctx context.Context, from Source, c Checkpoint) error {
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	workers := runtime.GOMAXPROCS(0) + 2
	wanted, ordered := make(chan *bundle), make(chan *bundle, 2*workers)
	readers.Go(func() {
		defer close(ordered)
		defer close(wanted)
		for place := int64(0); place<<Height < c.Size; place++ {
			b := &bundle{place: place, ready: make(chan struct{})}
			select {
			case ordered <- b:
			case <-ctx.Done():
				return
			}
			select {
			case wanted <- b:
			case <-ctx.Done():
				return
			}
		}
	})
	for range workers {
		readers.Go(func() {
			for b := range wanted {
				v.read(ctx, from, c, b)
				close(b.ready)
			}
		})
	}
	return v.assemble(ctx, from, c, ordered)
}

// read gets a bundle and its hashes.
func (v Verification) read(ctx context.Context, from Source, c Checkpoint, b *bundle) {
	width := WidthOf(c.Size, Entries, b.place)
	text, err := from.Tile(ctx, v.Log, Entries, b.place, width)
	if err != nil {
		b.err = err
		return
	}
	if b.leaves, err = ParseBundle(text, width); err != nil {
		b.err = v.fault(b.place<<Height, "%v", err)
		return
	}
	for i, leaf := range b.leaves {
		b.hashes = append(b.hashes, HashOf(leaf))
		if v.Log == Logs {
			continue
		}
		parsed, err := audit.ParseLeaf(leaf)
		if err != nil && b.err == nil {
			b.err = v.fault(b.place<<Height+int64(i), "%v", err)
		}
		b.parsed = append(b.parsed, parsed)
	}
}

// assembly is how far a walk is.
type assembly struct {
	edges  Edges
	tiles  []Tile // that the walk made and has not compared
	states map[int64]tlog.Hash
	newest time.Time
}

func (v Verification) assemble(ctx context.Context, from Source, c Checkpoint, ordered <-chan *bundle) error {
	a := &assembly{states: map[int64]tlog.Hash{}}
	for _, b := range v.Before {
		if known, twice := a.states[b.Size]; twice && known != b.Root {
			return v.fault(-1, "two states with %d entries were signed: the log was forked", b.Size)
		}
		a.states[b.Size] = b.Root
	}
	for b := range ordered {
		select {
		case <-b.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := v.add(a, b); err != nil {
			return err
		}
		if err := v.compare(ctx, from, c, a); err != nil {
			return err
		}
		if v.Done != nil {
			v.Done(a.edges.Size(), c.Size)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.edges.Root() != c.Root {
		return v.fault(-1, "its %d entries are not those of the signed checkpoint: one or more were edited, deleted, inserted or moved", c.Size)
	}
	a.tiles = append(a.tiles, a.edges.Partial()...)
	return v.compare(ctx, from, c, a)
}

// add puts a bundle's leaves at the end of the tree.
func (v Verification) add(a *assembly, b *bundle) error {
	for i, h := range b.hashes {
		a.edges.Append(h, func(t Tile) { a.tiles = append(a.tiles, t) })
		if root, known := a.states[a.edges.Size()]; known && a.edges.Root() != root {
			return v.fault(-1, "its first %d entries are not those that it had before: its past was changed", a.edges.Size())
		}
		if i < len(b.parsed) && b.err == nil {
			if err := v.follow(a, a.edges.Size()-1, b.parsed[i]); err != nil {
				return err
			}
		}
		if v.Leaf != nil {
			if err := v.Leaf(b.leaves[i]); err != nil {
				return err
			}
		}
	}
	return b.err
}

// follow checks that an entry may come after those before it.
func (v Verification) follow(a *assembly, place int64, leaf audit.Leaf) (err error) {
	if a.newest, err = follows(v.Log, a.newest, leaf); err != nil {
		return v.fault(place, "%v", err)
	}
	return nil
}

// Follows decides whether a leaf may come next in a log whose newest entry is of a time; it gives the new time.
func Follows(l Log, newest time.Time, text []byte) (time.Time, error) {
	if l == Logs {
		return newest, nil
	}
	leaf, err := audit.ParseLeaf(text)
	if err != nil {
		return newest, err
	}
	return follows(l, newest, leaf)
}

func follows(l Log, newest time.Time, leaf audit.Leaf) (time.Time, error) {
	switch {
	case LogOf(leaf.Project) != l:
		return newest, errors.New("it belongs to another log")
	case leaf.Time.Before(newest.Add(-maxBackdate)):
		return newest, fmt.Errorf("it says that it is of %s and comes after one of %s: it was dated back",
			leaf.Time.UTC().Format(time.RFC3339), newest.UTC().Format(time.RFC3339))
	case leaf.Time.After(newest):
		return leaf.Time, nil
	default:
		return newest, nil
	}
}

// compare looks whether the source has the tiles that the leaves make: proofs of others are made from them.
func (v Verification) compare(ctx context.Context, from Source, c Checkpoint, a *assembly) error {
	for _, t := range a.tiles {
		got, err := from.Tile(ctx, v.Log, t.Level, t.Place, WidthOf(c.Size, t.Level, t.Place))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, t.Hashes) {
			return v.fault(t.Place<<(Height*(t.Level+1)), "from here on the entries and their stored hashes (level %d) differ: one or more entries were edited, deleted, inserted or moved, or the hashes were", t.Level)
		}
	}
	a.tiles = a.tiles[:0]
	return nil
}
