package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// holder starts a cluster in another process and gives that process and the server's pid.
func holder(t *testing.T, dir string) (*exec.Cmd, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CLUSTER_TEST_HOLD="+dir)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var pid int
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "pid %d", &pid); n == 1 {
			return cmd, pid
		}
	}
	t.Fatalf("the other process did not start a cluster: %v", lines.Err())
	return nil, 0
}

func awaitExit(t *testing.T, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && !zombie(pid) {
		if !sleep(ctx, 5*time.Millisecond) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// zombie reports whether a process has ended and waits for a parent that does not ask; init may be such a parent.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestNoServerIsLeftWhenItsOwnerIsKilled(t *testing.T) {
	t.Parallel()
	owner, pid := holder(t, t.TempDir())
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitExit(t, pid)
}

func TestTheNextStartRepairsWhatAKillOfBothLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, pid := holder(t, dir)
	_ = syscall.Kill(owner.Process.Pid, syscall.SIGSTOP) // so that it does not start the server again
	_ = syscall.Kill(pid, syscall.SIGKILL)
	_ = owner.Process.Kill()
	_ = owner.Wait()
	var one int
	exec1(t, start(t, dir), "SELECT 1", &one)
}

func TestAServerThatWasLeftRunningIsStoppedFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, dir)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// An orphan: a server in the directory whose owner neither holds the lock nor gets a signal to it.
	if err := c.layout.makeRun(); err != nil {
		t.Fatal(err)
	}
	orphan, err := c.spawn()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.awaitReady(t.Context(), orphan); err != nil {
		t.Fatal(err)
	}
	next := start(t, dir)
	<-orphan.ended
	if next.PID() == orphan.pid() {
		t.Error("the orphan was adopted")
	}
}

func TestDestroyLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/db"
	owner, pid := holder(t, dir)
	_ = owner.Process.Kill()
	_ = owner.Wait()
	if err := Destroy(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	awaitExit(t, pid)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
	if err := Destroy(t.Context(), dir, nil); err != nil {
		t.Errorf("destroying nothing: %v", err)
	}
}
