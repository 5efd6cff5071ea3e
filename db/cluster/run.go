package cluster

import (
	"os"
	"path/filepath"
	"strings"
)

// maxSocketDir is how long the path of a socket's directory may be: sockaddr_un has 107 bytes and a zero, and
// the socket is called .s.PGSQL.5432 in it.
const maxSocketDir = 107 - len("/.s.PGSQL."+port)

// socketLock is the file with which a server keeps the socket to itself.
const socketLock = ".s.PGSQL." + port + ".lock"

// runPrefix begins the names of socket directories outside the cluster's own.
const runPrefix = "bulkhead-run-"

func (l layout) runEntry() string { return filepath.Join(l.dir, "run") }

// run is the directory of the socket as clients name it.
func (l layout) run() string {
	if target, err := os.Readlink(l.runEntry()); err == nil {
		return target
	}
	return l.runEntry()
}

// makeRun makes the socket's directory: in the cluster's own directory, or where that path is too long for a
// socket, in the system's directory for temporary files, with a link to it, so that the next start finds it again.
func (l layout) makeRun() error {
	if len(l.runEntry()) <= maxSocketDir {
		return l.user.makeDir(l.runEntry())
	}
	if l.ours(l.run()) {
		return nil
	}
	l.removeRun()
	target, err := os.MkdirTemp(shortTempDir(), runPrefix)
	if err != nil {
		return err
	}
	if err := l.user.own(target); err != nil {
		return err
	}
	return os.Symlink(target, l.runEntry())
}

func shortTempDir() string {
	if dir := os.TempDir(); len(dir)+len(runPrefix)+12 <= maxSocketDir {
		return dir
	}
	return "/tmp"
}

// ours reports whether dir is a socket directory outside the cluster's own that belongs to the server's user alone. Others may write
// to the directory that it is in, so a directory that is not exactly so is not used.
func (l layout) ours(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && dir != l.runEntry() && strings.HasPrefix(filepath.Base(dir), runPrefix) &&
		info.IsDir() && info.Mode().Perm() == 0o700 && ownerOf(info) == l.user.uid
}

// removeRun removes the socket's directory.
func (l layout) removeRun() {
	if target := l.run(); l.ours(target) {
		_ = os.RemoveAll(target)
	}
	_ = os.RemoveAll(l.runEntry())
}
