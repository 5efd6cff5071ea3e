package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

// look finds out who has a process id: a server has the cluster's name among its arguments, which everybody may read,
// also where a container keeps root from looking at more.
func look(pid int, data string) occupant {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return gone
		}
		return unknown // there, and hidden from us
	case err != nil:
		return unknown
	case len(text) == 0:
		return gone // dead, or a thread of the kernel
	}
	arguments := strings.Split(string(text), "\x00")
	if filepath.Base(arguments[0]) == "postgres" && slices.Contains(arguments, "cluster_name="+clusterName(data)) {
		return serving
	}
	return stranger
}

// clusterName tells the server of one directory from those of others.
func clusterName(data string) string {
	sum := sha256.Sum256([]byte(data))
	return "bulkhead-" + hex.EncodeToString(sum[:8])
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
