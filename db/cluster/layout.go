package cluster

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// layout is the directory of a cluster, locked for this process:
//
//	lock       held while a process uses the directory
//	superuser  the superuser's password
//	data       PostgreSQL's data directory, of the server's user
//	run        the socket's directory, or a link to one elsewhere where the path is too long for a socket
type layout struct {
	dir  string
	lock *os.File
	user account
}

func (l layout) data() string    { return filepath.Join(l.dir, "data") }
func (l layout) newData() string { return filepath.Join(l.dir, "data.new") }

// openLayout makes the directory where it is missing, locks it and finds out whom the server runs as.
func openLayout(dir string) (layout, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return layout{}, errs.As(wire.Unavailable, err, "the database's directory %s cannot be made", dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return layout{}, errs.As(wire.Unavailable, err, "the database's directory %s is not ours", dir)
	}
	return lockLayout(dir)
}

// openExisting locks the directory, and gives the zero layout where there is none.
func openExisting(dir string) (layout, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return layout{}, nil
	}
	return lockLayout(dir)
}

func lockLayout(dir string) (layout, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return layout{}, errs.As(wire.Unavailable, err, "the database's directory %s is not ours", dir)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return layout{}, errs.As(wire.Unavailable, err, "another process uses the database in %s: stop it first, or choose another directory", dir)
	}
	l := layout{dir: dir, lock: lock}
	if l.user, err = serverAccount(l.data()); err != nil {
		lock.Close()
		return layout{}, err
	}
	return l, nil
}

// close gives the lock back.
func (l layout) close() { l.lock.Close() }

// removeAll empties the directory, the lock last, so that nobody takes it before all else is gone.
func (l layout) removeAll() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "lock" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(l.dir, e.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(l.dir)
}

// password reads the superuser's password, or draws one where there is none yet.
func (l layout) password() (secret.Value, error) {
	path := filepath.Join(l.dir, "superuser")
	text, err := os.ReadFile(path)
	if err == nil && len(text) > 0 {
		return secret.FromString(strings.TrimSpace(string(text))), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return secret.Value{}, err
	}
	if _, err := os.Stat(l.data()); err == nil {
		return secret.Value{}, errs.E(wire.Unavailable, "the file %s with the database's password is gone: restore it", path)
	}
	password := secret.Random()
	return password, writeFile(path, password.Reveal())
}

// writeFile writes so that a crash leaves all of it or nothing.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, errWrite := f.Write(content)
	if err := errors.Join(errWrite, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
