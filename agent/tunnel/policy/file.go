package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxFile is the largest policy that is read.
const maxFile = 256 << 10

// Read reads the policy of a device. It is the word of the device's owner, so that what others could have written is
// nobody's word: the file and its folder belong to root or to the agent's own user, and nobody else can write them.
func Read(path string) (Policy, error) {
	p, err := read(path)
	if err != nil {
		return Policy{}, fmt.Errorf("policy file %s: %w", path, err)
	}
	return p, nil
}

func read(path string) (Policy, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator names it
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Policy{}, errors.New("there is none, so that nothing is allowed")
	case errors.Is(err, syscall.ELOOP):
		return Policy{}, errors.New("is a link: it must be the file itself")
	case err != nil:
		return Policy{}, errors.New("cannot be opened")
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return Policy{}, err
	}
	if !info.Mode().IsRegular() {
		return Policy{}, errors.New("is no file")
	}
	if err := trusted(info); err != nil {
		return Policy{}, err
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err == nil {
		err = trusted(folder)
	}
	if err != nil {
		return Policy{}, fmt.Errorf("its folder: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Policy{}, err
	}
	if len(text) > maxFile {
		return Policy{}, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return Parse(text)
}

// trusted refuses what somebody else could have written.
func trusted(info fs.FileInfo) error {
	of, ok := info.Sys().(*syscall.Stat_t)
	if !ok || of.Uid != 0 && int(of.Uid) != os.Geteuid() {
		return errors.New("belongs to another user: chown it to root")
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&(fs.ModeDir|fs.ModeSticky) != fs.ModeDir|fs.ModeSticky { // in /tmp nobody replaces another's file
		return errors.New("others can write it: chmod go-w it")
	}
	return nil
}
