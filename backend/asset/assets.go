package asset

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/realms"
	"bulkhead/wire"
)

// DataBackends makes and removes what keeps the data of an installation. Deprovision may be called for what was
// provisioned partly or not at all, and again after it failed.
type DataBackends interface {
	Check(template []byte) error
	Provision(ctx context.Context, r realms.Realm, template []byte) error
	Deprovision(ctx context.Context, r realms.Realm) error
}

// Sources tells from a template what agents publish into the installation themselves.
type Sources interface {
	AgentPublications(template []byte) ([]wire.AgentPublication, error)
}

// Exporter keeps all rows of an installation outside its data backend and says where.
type Exporter interface {
	Export(ctx context.Context, r realms.Realm, template []byte) (where string, err error)
}

// Publisher is given each new directory, in order. It must not block for long.
type Publisher interface{ Apply(*realms.Directory) }

// Watcher is told that all devices of a project have new assignments. It must not block.
type Watcher interface{ AssignmentsChanged(project wire.Key) }

// Sealer encrypts secrets for storage; see internal/secret.Keyring.
type Sealer interface {
	Seal(v secret.Value, context string) ([]byte, error)
	Open(sealed []byte, context string) (secret.Value, error)
}

var _ Sealer = (*secret.Keyring)(nil)

// Config is what Assets needs. All of it is required but Exporter: without one, an export is refused.
type Config struct {
	Store     Store
	Sealer    Sealer
	Backends  DataBackends
	Sources   Sources
	Exporter  Exporter
	Publisher Publisher
	Watcher   Watcher
	Enrolment Enrolment
	Log       *slog.Logger
	Now       func() time.Time
}

// Assets has the use cases of projects, apps, installations, devices and services. Make one with New, then call Start.
//
// One process at a time may change assets: two would each repair what the other is at.
type Assets struct {
	Config
	// turn is held while a change is committed and shown to the router, so that the router sees changes in the order of
	// their commits. It is a channel, because a caller that gives up must not wait for it.
	turn  chan struct{}
	known atomic.Pointer[view] // replaced by whoever holds turn

	// stale is set when it is not known whether a change was committed; damaged, when one was left half done.
	stale, damaged atomic.Bool

	mu   sync.Mutex // guards busy
	busy map[realms.Realm]bool
}

// New makes Assets that knows nothing until Start.
func New(c Config) (*Assets, error) {
	if c.Store == nil || c.Sealer == nil || c.Backends == nil || c.Sources == nil || c.Publisher == nil || c.Watcher == nil || c.Log == nil || c.Now == nil {
		return nil, errors.New("asset: New: something required is missing in Config")
	}
	a := &Assets{Config: c, turn: make(chan struct{}, 1), busy: map[realms.Realm]bool{}}
	a.known.Store(emptyView())
	return a, nil
}

// Start repairs what a crash left half done, then reads all assets and publishes the directory. Repairs that fail are
// logged and tried again by Run, so that one broken installation does not keep the others from serving.
func (a *Assets) Start(ctx context.Context) error {
	if err := a.Repair(ctx); err != nil {
		a.damaged.Store(true)
		a.Log.WarnContext(ctx, "some installations could not be repaired yet", logkey.Error, err)
	}
	return a.Load(ctx)
}

// Load reads all assets and publishes the directory that they make.
func (a *Assets) Load(ctx context.Context) error {
	if err := a.take(ctx); err != nil {
		return err
	}
	defer a.give()
	return a.load(ctx)
}

// Directory gives the newest directory.
func (a *Assets) Directory() *realms.Directory { return a.known.Load().directory }

// doubtful reports whether a change that failed with err may have been made all the same.
func doubtful(err error) bool {
	switch errs.KindOf(err) {
	case wire.Unavailable, wire.Canceled, wire.Internal:
		return true
	default:
		return false
	}
}

// change commits and, when that has succeeded, lets edit show the change to the router.
func (a *Assets) change(ctx context.Context, commit func(context.Context) error, edit func(*draft)) error {
	if err := a.take(ctx); err != nil {
		return err
	}
	defer a.give()
	if err := commit(ctx); err != nil {
		if doubtful(err) {
			a.stale.Store(true)
		}
		return err
	}
	a.publish(a.known.Load().edit(edit))
	return nil
}

// publish is called by who holds turn.
func (a *Assets) publish(next *view) {
	a.known.Store(next)
	a.Publisher.Apply(next.directory)
}

func (a *Assets) take(ctx context.Context) error {
	select {
	case a.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errs.Wrap("asset: wait for other changes", ctx.Err())
	}
}

func (a *Assets) give() { <-a.turn }

// claim makes the caller the only one to provision or remove r, until release is called.
func (a *Assets) claim(r realms.Realm) (release func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy[r] {
		return nil, errs.E(wire.Conflict, "the installation is being made or removed: wait until that is done")
	}
	a.busy[r] = true
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.busy, r)
	}, nil
}
