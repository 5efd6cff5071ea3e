package dev

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"bulkhead/db/cluster"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// folderVersion is the form of the state directory. It changes when an older program would misread a newer one's.
const folderVersion = 1

const versionFile = "version"

// folder is a state directory that this process alone uses.
type folder struct {
	path string
	lock *os.File
}

// openFolder makes or takes the state directory.
func openFolder(path string) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, errs.As(wire.Invalid, err, "state directory %s cannot be made: give another with --dir", path)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, errs.As(wire.Invalid, err, "state directory %s is not ours: give another with --dir", path)
	}
	lock, err := lockFile(filepath.Join(path, "lock"))
	if err != nil {
		return nil, err
	}
	if err := secret.WriteFile(filepath.Join(path, versionFile), []byte(strconv.Itoa(folderVersion)+"\n")); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &folder{path, lock}, nil
}

// checkVersion refuses a directory of another version, and one that holds something else.
func checkVersion(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return errs.As(wire.Invalid, err, "state directory %s cannot be read", path)
	}
	text, err := os.ReadFile(filepath.Join(path, versionFile))
	if errors.Is(err, fs.ErrNotExist) {
		if onlyLock(entries) {
			return nil // a start that was killed before it wrote the version
		}
		return errs.E(wire.Invalid, "%s holds something else than the state of bulkhead dev: give another directory with --dir", path)
	}
	if err != nil {
		return errs.As(wire.Invalid, err, "state directory %s cannot be read", path)
	}
	if version := strings.TrimSpace(string(text)); version != strconv.Itoa(folderVersion) {
		return errs.E(wire.Invalid, "%s was written by another version of bulkhead (form %q, this one reads %d): use that version, or forget it with: bulkhead dev reset --dir %s",
			path, version, folderVersion, path)
	}
	return nil
}

func onlyLock(entries []os.DirEntry) bool {
	for _, e := range entries {
		if e.Name() != "lock" && !strings.HasPrefix(e.Name(), "."+versionFile) {
			return false
		}
	}
	return true
}

func lockFile(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errs.As(wire.Invalid, err, "%s cannot be written", path)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, errs.As(wire.Unavailable, err, "another bulkhead dev uses %s: stop it, or give another directory with --dir", filepath.Dir(path))
	}
	return lock, nil
}

func (f *folder) file(names ...string) string {
	return filepath.Join(append([]string{f.path}, names...)...)
}

// dir makes a directory in the folder.
func (f *folder) dir(name string) (string, error) {
	path := f.file(name)
	return path, os.MkdirAll(path, 0o700)
}

func (f *folder) close() { _ = f.lock.Close() }

// Reset forgets everything in the state directory of a dev server that does not run.
func Reset(ctx context.Context, path string, log *slog.Logger) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errs.As(wire.Invalid, err, "state directory %s cannot be read", path)
	}
	if _, err := os.Stat(filepath.Join(path, versionFile)); err != nil && !onlyLock(entries) {
		return errs.E(wire.Invalid, "%s is no state directory of bulkhead dev: nothing was removed", path)
	}
	lock, err := lockFile(filepath.Join(path, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := cluster.Destroy(ctx, filepath.Join(path, "postgres"), log); err != nil {
		return err
	}
	return os.RemoveAll(path)
}
