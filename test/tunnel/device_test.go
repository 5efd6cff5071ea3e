package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// device is one whose agent is a process of the test's own.
type device struct {
	t     *testing.T
	world *world
	host  string // network namespace of the agent
	name  string // PROJECT/NAME
	flash string
	dir   string
	agent *exec.Cmd
}

// newDevice makes a device of plant-a, starts its agent and waits until it answers.
func newDevice(t *testing.T, name string) *device {
	t.Helper()
	d := &device{t: t, world: shared, name: "plant-a/" + name, dir: t.TempDir()}
	d.flash = filepath.Join(d.dir, "flash")
	must[any](t, nil, "device", "create", name, "--project", "plant-a", "--flash-file", d.flash)
	d.start()
	d.await()
	return d
}

func (d *device) start() {
	d.t.Helper()
	d.agent = exec.Command(filepath.Join(d.world.programs, "bulkhead-agent"), "run", "--flash-file", d.flash, "--state-dir", filepath.Join(d.dir, "state"),
		"--policy-file", filepath.Join(d.world.root, "state", "agent-policy.yaml"))
	within(d.agent, d.host)
	log, err := os.OpenFile(d.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.agent.Stderr = log
	if err := d.agent.Start(); err != nil {
		d.t.Fatal(err)
	}
	agent := d.agent
	d.t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
}

func (d *device) log() string { return filepath.Join(d.dir, "log") }

// end ends the agent and waits until it has ended.
func (d *device) end(how syscall.Signal) {
	_ = d.agent.Process.Signal(how)
	_ = d.agent.Wait()
}

// await waits until a shell on the device answers.
func (d *device) await() {
	d.t.Helper()
	var told []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
		c := d.world.command(ctx, nil, "ssh", d.name, "true")
		told, _ = c.CombinedOutput()
		cancel()
		if c.ProcessState.Success() {
			return
		}
	}
	d.t.Fatalf("%s does not come: %s", d.name, told)
}

// idle waits until the agent has no tunnel any more and gives how many sockets it then has.
func (d *device) idle() int {
	d.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		text, err := os.ReadFile(d.log())
		if err != nil {
			d.t.Fatal(err)
		}
		if bytes.Count(text, []byte("tunnel opened")) == bytes.Count(text, []byte("tunnel closed")) {
			return sockets(d.agent.Process.Pid)
		}
	}
	d.t.Fatal("the agent's tunnels do not end")
	return 0
}

// sockets counts what a process has open to others.
func sockets(pid int) (n int) {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is right
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:") {
			n++
		}
	}
	return n
}

// settle waits until a number has come down to what it was before.
func settle(t *testing.T, what string, before int, now func() int) {
	t.Helper()
	n := now()
	for deadline := time.Now().Add(30 * time.Second); n > before && time.Now().Before(deadline); n = now() {
		<-time.After(50 * time.Millisecond)
	}
	if n > before {
		t.Errorf("%s: %d, before %d", what, n, before)
	}
}

// transfer reads what comes without end until it is broken: started is closed when it runs, and broke gives how it ended.
// Nothing else uses the connection meanwhile, because the kernel tells of a reset once.
func transfer(c io.Reader) (started chan struct{}, broke chan error) {
	started, broke = make(chan struct{}), make(chan error, 1)
	go func() { // ends with the connection
		_, err := io.CopyN(io.Discard, c, 4<<20)
		if err == nil {
			close(started)
			_, err = io.Copy(io.Discard, c)
		}
		if err == nil {
			err = io.EOF
		}
		broke <- err
	}()
	return started, broke
}

// wantBroken waits until a transfer that runs is broken off, and not ended as if it were whole.
func wantBroken(t *testing.T, broke chan error) {
	t.Helper()
	select {
	case err := <-broke:
		if errors.Is(err, io.EOF) {
			t.Error("a transfer that was broken off looks whole")
		}
	case <-time.After(time.Minute):
		t.Error("the transfer goes on")
	}
}

func awaitSignal(t *testing.T, what string, c chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal(what + " does not come")
	}
}
