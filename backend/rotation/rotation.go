// Package rotation gives what is stored sealed the newest key-encryption key, while the server works.
//
// It promises that a new key is kept safely before it seals anything; that every sealed value can be opened at every moment,
// also after a crash, after which the rest is done by itself; that no value is decrypted whose envelope alone changes; and that a key is
// dropped only when nothing stored needs it.
package rotation

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Limits of the work.
const (
	batchSize = 100
	// maxPasses bounds how often the tables are gone over at a time: rows that others hold are left for the next pass.
	maxPasses = 5
	// upkeepEvery is how often values are looked for that a request sealed with the old key while the new one came.
	upkeepEvery = time.Minute
	// settle is how long the key before must be out of use before it may be dropped: longer than any request takes.
	settle = 3 * time.Minute
)

// Use counts the values of a table that begin alike.
type Use struct {
	Table  string
	Head   []byte // the format and the key's id
	Values int
}

// Rewrapper gives a sealed value the primary key.
type Rewrapper func(sealed []byte, context string) ([]byte, error)

// Batch is a part of the work that is done for good.
type Batch struct {
	Table        string
	Done, Failed int
}

// Store finds the sealed values.
type Store interface {
	Uses(ctx context.Context) ([]Use, error)
	Rewrap(ctx context.Context, primary secret.KeyID, limit int, rewrap Rewrapper, step func(Batch)) error
}

// Source is where the keys are kept.
type Source interface {
	Add(key secret.Value) (*secret.Keyring, error)
	Drop(id secret.KeyID) (*secret.Keyring, error)
}

// Recorder keeps an entry of the audit log.
type Recorder interface {
	Record(ctx context.Context, e audit.Entry) error
}

// Config is what a rotation needs; Source is nil where the keys are changed by somebody else, such as systemd's credentials.
type Config struct {
	Store  Store
	Keys   *secret.Keyring
	Source Source
	Audit  Recorder
	Log    *slog.Logger
	Now    func() time.Time
}

// Rotation changes the keys of what is stored. Make one with New and Serve it.
type Rotation struct {
	Config
	wanted chan audit.Actor

	mu      sync.Mutex // guards all below, and the source
	state   State
	changed time.Time // when the newest key came; zero where it was there when the process began
}

// State is how far the work is.
type State struct {
	Running bool `json:"running"`
	Total   int  `json:"total" doc:"Values that had another key when the work began"`
	Done    int  `json:"done"`
	Failed  int  `json:"failed" doc:"Values that cannot be opened: their key is missing, or they were altered"`
}

// New makes a rotation.
func New(c Config) *Rotation {
	return &Rotation{Config: c, wanted: make(chan audit.Actor, 1)}
}

// Serve does the work whenever it is asked for, or is found undone, until ctx ends.
func (r *Rotation) Serve(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	by := audit.Server
	for {
		if err := r.work(ctx, by); err != nil && ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "stored secrets could not all be given the newest key", logkey.Error, err)
		}
		select {
		case <-ctx.Done():
			return
		case by = <-r.wanted:
		case <-tick.C:
			by = audit.Server
		}
	}
}

// Rotate makes a new key where add is set and has the work begin. It returns before that is done; see List.
func (r *Rotation) Rotate(ctx context.Context, by audit.Actor, add bool) error {
	if add {
		if err := r.add(ctx, by); err != nil {
			return errs.Wrap("rotation: add key", err)
		}
	}
	r.begin(ctx)
	select {
	case r.wanted <- by:
	default: // it is asked for already
	}
	return nil
}

// begin shows the work as running before the answer is given, so that who asks next does not take it for done.
func (r *Rotation) begin(ctx context.Context) {
	total, err := r.left(ctx)
	if err != nil || total == 0 {
		return // the work will say why
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.state.Running {
		r.state = State{Running: true, Total: total}
	}
}

func (r *Rotation) add(ctx context.Context, by audit.Actor) error {
	if r.Source == nil {
		return errs.E(wire.Conflict, "the keys come from a credential of the system: put a new one before the others there, and start the server again")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.Keys.Keys()) >= maxKeys {
		return errs.E(wire.Exhausted, "there are %d keys already: drop those that nothing needs", maxKeys)
	}
	key, id := secret.NewKey()
	if err := r.Audit.Record(ctx, audit.New(by, audit.SecretsAddKey, 0, asset(id))); err != nil {
		return err
	}
	added, err := r.Source.Add(key)
	if err != nil {
		return errs.As(wire.Unavailable, err, "the key file cannot be written")
	}
	r.Keys.Become(added)
	r.changed = r.Now()
	return nil
}

// maxKeys bounds what a caller who repeats itself fills the file with.
const maxKeys = 16

func asset(id secret.KeyID) audit.Asset { return audit.Asset{Kind: "secrets_key", Name: id.String()} }
