// Package quota bounds what each project stores.
//
// It promises that rows beyond a project's quota are refused before they are written, however fast they come, and that
// nothing which was answered for is lost to it; that a project over its quota is nothing to the others, and can still read;
// that what was set and measured outlives a restart; that all projects together leave the server what it needs of its disk,
// and each of them leaves the others their shares of it; and that where it cannot measure it goes on from what it knows.
package quota

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/wire"
)

// Most is the largest quota in bytes: what JSON numbers hold exactly.
const Most = 1<<53 - 1

// Record is what is kept of a project.
type Record struct {
	Project  wire.Key
	Name     string
	Quota    *int64 // bytes; 0: none; nil: the server's default
	Level    Level
	Recorded int64 // bytes of recordings
	Measured
}

// Measured is what a project stored at a time. The zero Measured was never taken.
type Measured struct {
	Tables   int64 // bytes of its tables, with indexes and all else that belongs to them
	Disk     int64 // bytes of rows that wait on disk, and of exports
	Database int64 // bytes of the whole database in which the tables are
	At       time.Time
}

// Store keeps quotas and measurements. Errors have kind NotFound where the project does not exist.
type Store interface {
	// Records lists all projects.
	Records(ctx context.Context) ([]Record, error)
	// SetQuota keeps a quota with the entry that is made of the project and its quota before, which nobody changes meanwhile.
	SetQuota(ctx context.Context, project wire.Key, quota *int64, entry func(name string, before *int64) audit.Entry) error
	// KeepMeasured keeps measurements; those of projects that are gone are forgotten.
	KeepMeasured(ctx context.Context, measured map[wire.Key]Measured) error
	KeepLevel(ctx context.Context, project wire.Key, level Level, e audit.Entry) error
}

// Place is where the tables of a project are.
type Place struct {
	Project  wire.Key
	Database string
	Size     int64 // bytes of the whole database
	ReadOnly bool  // its logins add no rows
	Mixed    bool  // those of some of its installations do
}

// Tables measures tables, and closes them to those who write by logins of their own.
type Tables interface {
	// Places lists the projects that have tables, without connecting to their databases.
	Places(ctx context.Context) ([]Place, error)
	// Sizes gives the bytes of the tables of each project in a database.
	Sizes(ctx context.Context, database string) (map[wire.Key]int64, error)
	SetReadOnly(ctx context.Context, project wire.Key, on bool) error
}

// Disk tells what projects have on the server's disk.
type Disk interface {
	Waiting(project wire.Key) int64 // bytes of rows that the database does not have yet
	Exported() (map[wire.Key]int64, error)
}

// Config is what Quotas needs. All of it is required but Default, Free, MinFree and Elsewhere.
type Config struct {
	Store   Store
	Tables  Tables
	Disk    Disk
	Default int64 // quota of projects that have none of their own; 0: none
	Log     *slog.Logger
	Now     func() time.Time
	// Free tells how many bytes are left on the fullest of the disks where the server keeps what projects store; no project
	// adds any where that is less than MinFree. Nil or 0: nobody looks.
	Free      func() (int64, error)
	MinFree   int64
	Elsewhere bool // the tables are on none of those disks
}

// Quotas knows what each project stores. Make one with New, then Load what is kept, then Run.
type Quotas struct {
	Config
	wake chan struct{} // has a token when a round should come at once
	// turn is held while quotas are read or changed together with what is known of them here, so that both agree. It is a
	// channel, because a caller that gives up must not wait for it.
	turn chan struct{}

	mu       sync.RWMutex // guards accounts
	accounts map[wire.Key]*account

	failures counter // measurements that failed
	room     room
}

// New makes Quotas that know nothing yet.
func New(c Config) (*Quotas, error) {
	if c.Store == nil || c.Tables == nil || c.Disk == nil || c.Log == nil || c.Now == nil || c.Default < 0 || c.Default > Most {
		return nil, errors.New("quota: New: something required is missing in Config")
	}
	return &Quotas{Config: c, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), accounts: map[wire.Key]*account{}}, nil
}

func (q *Quotas) take(ctx context.Context) error {
	select {
	case q.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *Quotas) give() { <-q.turn }

// account finds what is known of a project. Of one that nobody has told of yet nothing is known: it has the default quota,
// and room for all of it.
func (q *Quotas) account(project wire.Key) *account {
	q.mu.RLock()
	a := q.accounts[project]
	q.mu.RUnlock()
	if a != nil {
		return a
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if a = q.accounts[project]; a == nil {
		a = &account{limit: q.Default, level: Room}
		q.accounts[project] = a
	}
	return a
}

// Load reads the quotas and the last measurements of all projects.
func (q *Quotas) Load(ctx context.Context) error {
	if err := q.take(ctx); err != nil {
		return err
	}
	defer q.give()
	records, err := q.Store.Records(ctx)
	if err != nil {
		return err
	}
	known := make(map[wire.Key]bool, len(records))
	for _, r := range records {
		known[r.Project] = true
		q.account(r.Project).read(r, q.Default)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for project, a := range q.accounts {
		if !known[project] && a.idle() {
			delete(q.accounts, project)
		}
	}
	return nil
}
