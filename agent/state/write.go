package state

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// temporaries are files that were not finished when a process died.
const temporaries = ".new-*"

// write replaces a file: the new text is on the disk before it has the name, and the name before write returns.
func (d *Dir) write(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return errs.Wrap("write "+name, err)
	}
	if err := d.replace(name, append(data, '\n')); err != nil {
		return errs.As(wire.Unavailable, err, "the state folder %s cannot be written", d.path)
	}
	return nil
}

func (d *Dir) replace(name string, data []byte) error {
	f, err := os.CreateTemp(d.path, temporaries) // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.path, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return d.sync()
}

// sync makes a rename last.
func (d *Dir) sync() error {
	dir, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// sweep removes what an earlier process did not finish.
func (d *Dir) sweep() {
	left, _ := filepath.Glob(filepath.Join(d.path, temporaries)) // the pattern is right
	for _, path := range left {
		_ = os.Remove(path) // it harms nobody
	}
}
