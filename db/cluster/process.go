package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// The server's user may be unable to walk to the data: the directories above it belong to root and are closed. So the
// server gets its directories as open files and names them by the file's number: the kernel then walks no path. This
// needs no privilege, no mount and no wider mode on any directory.
const (
	dataFD = "/proc/self/fd/3"
	runFD  = "/proc/self/fd/4"
)

// immediateTimeout is how long a server may take to die after it was told to do so at once.
const immediateTimeout = 5 * time.Second

// server is one process of PostgreSQL. Its exit is awaited by the goroutine that started it.
type server struct {
	cmd   *exec.Cmd
	tail  *tail
	ended chan struct{} // closed when the process is gone and all its output is read
	err   error         // why it ended; readable once ended is closed
}

// command prepares one of PostgreSQL's programs to run as the server's user in the cluster's directories. The files
// are to be closed when it runs.
func (l layout) command(program, data string, args ...string) (*exec.Cmd, []*os.File, error) {
	var files []*os.File
	for _, dir := range []string{data, l.run()} {
		f, err := os.Open(dir)
		if err != nil {
			closeAll(files)
			return nil, nil, err
		}
		files = append(files, f)
	}
	cmd := exec.Command(program, args...)
	cmd.ExtraFiles = files
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"} // nothing of ours: no secret, no PG… variable
	cmd.WaitDelay = immediateTimeout
	cmd.SysProcAttr = l.user.attributes()
	return cmd, files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// launch starts the server and waits until it takes connections.
func (c *Cluster) launch(ctx context.Context) error {
	for {
		s, err := c.spawn()
		if err != nil {
			return errs.As(wire.Unavailable, err, "PostgreSQL cannot be started as %s", c.layout.user.name)
		}
		err = c.awaitReady(ctx, s)
		if err == nil {
			c.mu.Lock()
			c.server = s
			c.mu.Unlock()
			return nil
		}
		_ = s.stop(ctx)
		// After a crash, the sessions of the dead server may need a moment to notice that they are orphans.
		if !s.tail.contains("shared memory block") || !sleep(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// spawn starts the process in a session of its own, so that a terminal's Ctrl-C is ours to handle, and with a signal
// from the kernel when we die. That signal is bound to the thread that started the process, so the thread is kept.
func (c *Cluster) spawn() (*server, error) {
	args := []string{"-D", dataFD}
	for _, key := range sortedKeys(c.settings) {
		args = append(args, "-c", key+"="+c.settings[key])
	}
	cmd, files, err := c.layout.command(c.binaries.path("postgres"), c.layout.data(), args...)
	if err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, tail: &tail{}, ended: make(chan struct{})}
	cmd.Stderr = &logWriter{log: c.log, tail: s.tail}
	started := make(chan error, 1)
	go func() { // ends when the process does, which stop waits for
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(s.ended)
		err := cmd.Start()
		closeAll(files)
		started <- err
		if err == nil {
			s.err = cmd.Wait()
		}
	}()
	return s, <-started
}

// awaitReady follows the server's own status file.
func (c *Cluster) awaitReady(ctx context.Context, s *server) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if pid, ready := readPIDFile(c.layout.data()); pid == s.pid() && ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return errs.As(wire.Unavailable, s.err, "PostgreSQL does not start: %s", s.tail.last())
		case <-ctx.Done():
			return errs.As(wire.Unavailable, ctx.Err(), "PostgreSQL is not ready in time: %s", s.tail.last())
		}
	}
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stop asks for a fast shutdown, and for an immediate one when ctx ends first.
func (s *server) stop(ctx context.Context) error {
	for _, step := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		_ = s.cmd.Process.Signal(step) // fails only when the process is gone, and then ended closes
		select {
		case <-s.ended:
			return s.outcome(step)
		case <-ctx.Done():
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), immediateTimeout)
		defer cancel()
	}
	<-s.ended
	return s.outcome(syscall.SIGKILL)
}

func (s *server) outcome(by syscall.Signal) error {
	if by == syscall.SIGINT {
		return s.err
	}
	return fmt.Errorf("not stopped in time, ended by %s; it repairs itself at the next start", by)
}

// readPIDFile reads who runs in a data directory and whether it is ready. The pid is 0 where nobody does.
func readPIDFile(data string) (pid int, ready bool) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0, false
	}
	return parsePIDFile(string(text))
}

func parsePIDFile(text string) (pid int, ready bool) {
	lines := strings.Split(text, "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return 0, false
	}
	return pid, len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
