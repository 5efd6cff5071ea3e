package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// ProofFormat begins every proof.
const ProofFormat = "bulkhead audit proof 1"

// maxProof bounds what is read as a proof.
const maxProof = 1 << 20

// Proof shows that a log that somebody signed has an entry, to whoever has the key. It needs nothing else.
type Proof struct {
	Format     string          `json:"format"`
	Key        string          `json:"key"` // which key signed, in the form of golang.org/x/mod/sumdb/note; who checks has it from elsewhere
	Place      int64           `json:"place"`
	Leaf       string          `json:"leaf"`
	Personal   *audit.Personal `json:"personal,omitempty"` // what the leaf commits to, where it was not erased
	Hashes     []tlog.Hash     `json:"hashes"`
	Checkpoint string          `json:"checkpoint"`
}

// ParseProof reads a proof and believes nothing of it.
func ParseProof(text []byte) (Proof, error) {
	var p Proof
	if len(text) > maxProof {
		return p, errors.New("it is too large for a proof")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, fmt.Errorf("it is no proof: %w", err)
	}
	if p.Format != ProofFormat {
		return p, fmt.Errorf("it is no proof that this version can check: its format is %.40q", p.Format)
	}
	return p, nil
}

// Check gives the entry that the proof is of and the checkpoint that it stands in, where the key has signed that.
func (p Proof) Check(by note.Verifier) (audit.Entry, Checkpoint, error) {
	checkpoint, err := OpenAny([]byte(p.Checkpoint), by)
	if err != nil {
		return audit.Entry{}, checkpoint, err
	}
	if p.Place < 0 || p.Place >= checkpoint.Size {
		return audit.Entry{}, checkpoint, fmt.Errorf("the log has %d entries and none at place %d", checkpoint.Size, p.Place)
	}
	if err := tlog.CheckRecord(p.Hashes, checkpoint.Size, checkpoint.Root, p.Place, HashOf([]byte(p.Leaf))); err != nil {
		return audit.Entry{}, checkpoint, errors.New("the entry is not what the signed log has at its place")
	}
	leaf, err := audit.ParseLeaf([]byte(p.Leaf))
	if err != nil {
		return audit.Entry{}, checkpoint, err
	}
	if checkpoint.Origin != Origin(by.Name(), LogOf(leaf.Project)) {
		return audit.Entry{}, checkpoint, fmt.Errorf("the entry stands in a log that it does not belong to: %q", checkpoint.Origin)
	}
	if p.Personal == nil {
		return leaf.Entry, checkpoint, nil
	}
	entry, err := leaf.With(*p.Personal)
	return entry, checkpoint, err
}

// Placed is an entry with its place in its log.
type Placed struct {
	Log      Log
	Place    int64
	Leaf     []byte
	Personal *audit.Personal // nil where there is none, or it was erased
}

// Prove makes the proof of an entry from a source's newest checkpoint. It fails where the source's hashes do not lead
// from the entry to what was signed.
func Prove(ctx context.Context, p Placed, key string, by note.Verifier, from Source) (Proof, error) {
	text, err := from.Checkpoint(ctx, p.Log)
	if err != nil {
		return Proof{}, err
	}
	checkpoint, err := Open(text, Origin(by.Name(), p.Log), by)
	if err != nil {
		return Proof{}, err
	}
	if p.Place >= checkpoint.Size {
		return Proof{}, errs.E(wire.Unavailable, "the entry is not part of a signed log yet: ask again in a second")
	}
	hashes, err := tlog.ProveRecord(checkpoint.Size, p.Place, ReaderOf(ctx, checkpoint, p.Log, from))
	if err != nil {
		return Proof{}, err
	}
	proof := Proof{Format: ProofFormat, Key: key, Place: p.Place, Leaf: string(p.Leaf), Personal: p.Personal, Hashes: hashes, Checkpoint: checkpoint.Note}
	_, _, err = proof.Check(by)
	return proof, err
}

// ReaderOf reads hashes of a log as it was signed from a source, and trusts none.
func ReaderOf(ctx context.Context, c Checkpoint, l Log, from Source) tlog.HashReader {
	return Reader(tlog.Tree{N: c.Size, Hash: c.Root}, func(level int, place int64, width int) ([]byte, error) {
		return from.Tile(ctx, l, level, place, width)
	})
}
