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
// nobody's word: the file and its folder belong to root or to the agent's own user, and nobody else can write them; nor is
// there a folder or a link on the way to it that others could exchange.
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
	if err := trustedWay(path); err != nil {
		return Policy{}, err
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

// trustedWay refuses a file to which somebody else could have laid the way.
func trustedWay(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err == nil {
		err = trusted(folder)
	}
	if err != nil {
		return fmt.Errorf("its folder: %w", err)
	}
	real, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, end := range []string{filepath.Dir(path), real} { // the one has the links, the other what they lead to
		for at := end; at != filepath.Dir(at); at = filepath.Dir(at) {
			info, err := os.Lstat(at)
			if err == nil {
				err = fixed(info)
			}
			if err != nil {
				return fmt.Errorf("%s on the way to it: %w", at, err)
			}
		}
	}
	return nil
}

// fixed refuses a folder or link that somebody else could exchange for another. That a group may write a folder above the
// policy's is left to its owner: on many systems each user has a group of their own.
func fixed(info fs.FileInfo) error {
	if !ours(info) {
		return errors.New("belongs to another user: chown it to root")
	}
	if info.IsDir() && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return errors.New("everybody can write it: chmod o-w it")
	}
	return nil
}

func ours(info fs.FileInfo) bool {
	of, ok := info.Sys().(*syscall.Stat_t)
	return ok && (of.Uid == 0 || int(of.Uid) == os.Geteuid())
}

// trusted refuses what somebody else could have written.
func trusted(info fs.FileInfo) error {
	if !ours(info) {
		return errors.New("belongs to another user: chown it to root")
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&(fs.ModeDir|fs.ModeSticky) != fs.ModeDir|fs.ModeSticky { // in /tmp nobody replaces another's file
		return errors.New("others can write it: chmod go-w it")
	}
	return nil
}
