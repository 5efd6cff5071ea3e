package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// leftoverTimeout is how long the server of a process that died may take to finish what it does.
const leftoverTimeout = 10 * time.Second

// stopLeftover ends the server that a process which died left running in the directory, and makes sure that the pid file
// of one that died itself is recognized as stale. The number in that file may belong to any process by now, so it is
// believed only of a process that runs PostgreSQL in this very directory. Where we may not look, PostgreSQL decides.
func stopLeftover(ctx context.Context, l layout, log *slog.Logger) error {
	pid, _ := readPIDFile(l.data())
	if pid == 0 {
		return nil
	}
	state := look(pid, l.data())
	if state == unknown {
		return nil
	}
	if state == serving {
		log.InfoContext(ctx, "stopping the PostgreSQL that an earlier process left", logkey.PID, pid)
		if err := end(ctx, pid, l.data()); err != nil {
			return err
		}
	}
	return errors.Join(disown(filepath.Join(l.data(), "postmaster.pid")), disown(filepath.Join(l.run(), socketLock)))
}

func end(ctx context.Context, pid int, data string) error {
	for _, step := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		if err := syscall.Kill(pid, step); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
		if awaitGone(ctx, pid, data) {
			return nil
		}
	}
	return errs.E(wire.Unavailable, "the PostgreSQL with process id %d does not stop: end it by hand", pid)
}

// disown writes our own process id in the place of one that is dead, perhaps not waited for, or a stranger's by now. PostgreSQL takes its parent's id for
// stale, and goes on to check the rest of the file, which tells it whether sessions of the dead server still live. To
// remove the file would lose that check.
func disown(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it stopped in good order
	}
	if err != nil {
		return err
	}
	_, rest, _ := bytes.Cut(text, []byte{'\n'})
	return os.WriteFile(path, append(fmt.Appendf(nil, "%d\n", os.Getpid()), rest...), 0o600)
}

// occupant is who has a process id.
type occupant int

const (
	unknown  occupant = iota // we may not look
	gone                     // nobody, or a dead process that nobody has waited for
	stranger                 // a process that is not the server of the directory
	serving                  // the server of the directory
)

// look finds out who has a process id: a server works in its data directory.
func look(pid int, data string) occupant {
	process := filepath.Join("/proc", strconv.Itoa(pid))
	cwd, errDir := os.Stat(filepath.Join(process, "cwd"))
	program, errProgram := os.Readlink(filepath.Join(process, "exe"))
	dir, errData := os.Stat(data)
	err := errors.Join(errDir, errProgram) // a process that is ending loses one before the other
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return gone
	case err != nil, errData != nil:
		return unknown
	}
	if os.SameFile(cwd, dir) && strings.TrimSuffix(filepath.Base(program), " (deleted)") == "postgres" {
		return serving
	}
	return stranger
}

func awaitGone(ctx context.Context, pid int, data string) bool {
	ctx, cancel := context.WithTimeout(ctx, leftoverTimeout)
	defer cancel()
	for look(pid, data) == serving {
		if !sleep(ctx, 5*time.Millisecond) {
			return false
		}
	}
	return true
}
