// Package state keeps what an agent must remember between two starts, in one folder that one process uses at a time.
//
// It promises that a file is the old one or the new one whenever the process or the machine dies; that nobody but the owner
// can read or replace them; that a folder in use is refused; and that a broken file costs what it remembered, never the start.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// version is the form of the files. A folder of another version is refused, not guessed at.
const version = 1

// Dir is a state folder that this process uses. Close gives it back.
type Dir struct {
	path string
	lock *os.File

	tunnels sync.Mutex // guards the files of tunnels
}

// Open takes the folder for this process and makes it where it is missing.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, errs.As(wire.Unavailable, err, "the state folder %s cannot be made", path)
	}
	if err := private(path); err != nil {
		return nil, err
	}
	lock, err := takeLock(filepath.Join(path, lockFile))
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, lock: lock}
	if err := d.checkVersion(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.sweep()
	if err := d.beginGrants(time.Now()); err != nil {
		return nil, errors.Join(errs.As(wire.Unavailable, err, "the state folder %s cannot be written", path), d.Close())
	}
	return d, nil
}

// private refuses a folder in which others could replace the files. Who only looks sees names: the files are 0600.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return errs.As(wire.Unavailable, err, "the state folder %s cannot be used", path)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return errs.E(wire.Invalid, "the state folder %s can be written by others: chmod 700 it", path)
	}
	return nil
}

// Close lets another process use the folder. Closing alone would not: a program that is being started has a copy of what is
// open here, until it runs.
func (d *Dir) Close() error { return errors.Join(flock(d.lock, syscall.LOCK_UN), d.lock.Close()) }

// Memory is what an agent knows from its earlier life.
type Memory struct {
	Version     int               `json:"version"`
	Serial      wire.Serial       `json:"serial"`
	Boot        uint64            `json:"boot"` // starts, this one included
	Assignments []wire.Assignment `json:"assignments"`
}

const memoryFile = "memory.json"

// Recall gives what the device of the serial remembers, and whether a file was there that could not be used. Another
// device's memory is nobody's.
func (d *Dir) Recall(serial wire.Serial) (m Memory, broken bool) {
	fresh := Memory{Version: version, Serial: serial}
	err := readJSON(filepath.Join(d.path, memoryFile), &m)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fresh, false
	case err != nil:
		return fresh, true
	case m.Serial != serial:
		return fresh, false
	default:
		return m, false
	}
}

// Remember replaces the memory.
func (d *Dir) Remember(m Memory) error {
	m.Version = version
	return d.write(memoryFile, m)
}

// checkVersion refuses a folder of another version; it looks at the version alone, because the rest may differ.
func (d *Dir) checkVersion() error {
	var v struct{ Version int }
	err := readJSON(filepath.Join(d.path, memoryFile), &v)
	if err == nil && v.Version != version {
		return errs.E(wire.Conflict, "the state folder %s is of version %d, this agent reads %d: use another folder or another agent",
			d.path, v.Version, version)
	}
	return nil // what cannot be read is the business of Recall
}

// maxFile is the largest state file that is read.
const maxFile = 4 << 20

func readJSON(path string, into any) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxFile {
		return fmt.Errorf("%s: larger than %d bytes", path, maxFile)
	}
	data, err := os.ReadFile(path) //nolint:gosec // our own file
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
