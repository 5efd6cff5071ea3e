package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// lockFile is locked by the process that uses the folder. The kernel unlocks it however the process ends.
const lockFile = "lock"

func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // our own file
	if err != nil {
		return nil, errs.As(wire.Unavailable, err, "the state folder %s cannot be used", filepath.Dir(path))
	}
	if err := flock(f, syscall.LOCK_EX); err != nil {
		return nil, errors.Join(inUse(path, err), f.Close())
	}
	return f, nil
}

func inUse(path string, err error) error {
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errs.E(wire.Conflict, "the state folder %s is in use by another agent: stop it or give --state-dir", filepath.Dir(path))
	}
	return errs.As(wire.Unavailable, err, "the state folder %s cannot be locked", filepath.Dir(path))
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB) //nolint:gosec // descriptors are small
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// InUse reports whether an agent uses the folder now.
func InUse(path string) (bool, error) {
	f, err := os.Open(filepath.Join(path, lockFile)) //nolint:gosec // our own file
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, errs.As(wire.Denied, err, "the state folder %s cannot be read", path)
	}
	defer f.Close() //nolint:errcheck // closing unlocks
	return errors.Is(flock(f, syscall.LOCK_SH), syscall.EWOULDBLOCK), nil
}
