package sequencer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"bulkhead/backend/audit/ledger"
	"bulkhead/internal/secret"
)

// Restore is an operator's word that the database was set back to an older backup, and why. What the old key signed beyond
// the backup stays true for those who saw it, so the logs go on with another key: nobody is shown two pasts under one.
type Restore struct {
	Reason string                  `json:"reason"`
	Time   time.Time               `json:"time"`
	Key    string                  `json:"key,omitempty"`    // that signed until then
	States map[string]ledger.State `json:"states,omitempty"` // that it signed last

	path string
}

const (
	keyFile     = "audit.key"
	journalFile = "audit.journal"
	restoreFile = "audit.restore"
)

// RequestRestore keeps an operator's word in a state directory for the next start of its server.
func RequestRestore(dir, reason string) error {
	if _, err := os.Stat(filepath.Join(dir, keyFile)); err != nil {
		return err
	}
	return Restore{Reason: reason, Time: time.Now().UTC().Truncate(time.Second), path: filepath.Join(dir, restoreFile)}.write()
}

func (r Restore) write() error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return secret.WriteFile(r.path, append(text, '\n'))
}

// AcceptRestore does what RequestRestore asked for: it puts the key and the journal aside. It gives nil where nothing was
// asked. After a crash it may be called again, until Done.
func AcceptRestore(dir string) (*Restore, error) {
	r := &Restore{path: filepath.Join(dir, restoreFile)}
	text, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.path, err)
	}
	if r.Key == "" {
		if err := r.remember(dir); err != nil {
			return nil, err
		}
	}
	aside := ".until-" + r.Time.Format("20060102T150405Z")
	for _, name := range []string{journalFile, keyFile} {
		if _, err := os.Stat(filepath.Join(dir, name+aside)); err == nil {
			continue // before a crash
		}
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+aside)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return r, nil
}

// remember writes down what was signed before the files that tell of it are put aside.
func (r *Restore) remember(dir string) error {
	key, err := EnsureKey(filepath.Join(dir, keyFile))
	if err != nil {
		return err
	}
	journal, err := OpenJournal(filepath.Join(dir, journalFile))
	if err != nil {
		return err
	}
	r.Key, r.States = key.Public, map[string]ledger.State{}
	for l, state := range journal.States() {
		r.States[l.String()] = state
	}
	return errors.Join(journal.Close(), r.write())
}

// Before is what the entry tells of the logs as they were signed last. Their states are told whole where they are few.
func (r *Restore) Before() any {
	const few = 100
	before := map[string]any{"key": r.Key, "logs": len(r.States)}
	if len(r.States) <= few {
		before["states"] = r.States
	} else {
		before["states"] = map[string]ledger.State{ledger.Logs.String(): r.States[ledger.Logs.String()]}
	}
	return before
}

// Done forgets the request, once there is an entry of it.
func (r *Restore) Done() error { return os.Remove(r.path) }
