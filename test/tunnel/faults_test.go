package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ends waits until the end of a tunnel is on record.
func ends(t *testing.T, id string) (e entry) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		list := entries(t, "plant-a", "tunnel.close")
		if i := slices.IndexFunc(list, func(e entry) bool { return e.After.Tunnel == id }); i >= 0 {
			return list[i]
		}
	}
	t.Fatal("the end of the tunnel is not on record")
	return e
}

// unavailable wants a command to have ended by itself, with the reason.
func (p *passage) unavailable(says string) {
	p.t.Helper()
	var exit *exec.ExitError
	if err := p.wait(); !errors.As(err, &exit) || exit.ExitCode() != 6 || !strings.Contains(p.told.String(), says) {
		p.t.Errorf("%v: %s; want %q", err, p.told, says)
	}
}

// This test runs alone, before the others, because it kills what they share.
func TestTheTunnelsOfAKilledServerEndAreOnRecordAndLeaveNothing(t *testing.T) { //nolint:paralleltest // see above
	d := newDevice(t, "saw-1")
	before := d.idle()
	p := open(t, nil, d.name, source(t))
	started, broke := transfer(p.dial())
	awaitSignal(t, "the transfer", started)
	at, err := url.Parse(shared.ready.API)
	if err != nil {
		t.Fatal(err)
	}
	_ = shared.server.Process.Kill()
	_ = shared.server.Wait()
	wantBroken(t, broke)
	p.unavailable("the tunnel has ended: the connection to the gateway is lost")
	settle(t, "the agent's sockets", before, func() int { return sockets(d.agent.Process.Pid) })
	if err := shared.launch(at.Host); err != nil {
		t.Fatal(err)
	}
	if e := ends(t, p.ID); e.After.Ended != "server_restarted" {
		t.Errorf("on record: %+v", e)
	}
	d.await()
	if answer, err := open(t, nil, d.name, echo(t)).ask("again"); answer != "again" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
}

// This test runs alone, too, because it takes away what they share. While the database does not answer, what is open goes on
// until its next stream, nothing opens, and no end is lost.
func TestTunnelsGoOnWithoutTheDatabaseUntilTheirNextStreamAndNoEndIsLost(t *testing.T) { //nolint:paralleltest // see above
	d := newDevice(t, "saw-2")
	target := echo(t)
	p, q := open(t, nil, d.name, target), open(t, nil, d.name, target)
	c := p.dial()
	answers := func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); string(got) != text || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	answers("before")
	begun(t, p.ID) // its stream is on record
	goOn := halt(t, shared.ready.PIDs.Postgres)
	answers("meanwhile")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, told, code := shared.run(t, nil, "", "tunnel", "open", d.name, "--to", target); code != 6 {
			t.Errorf("without the database: exit code %d, %s", code, told)
		}
	})
	if err := q.refusal(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stream opens without the database: %v", err)
	}
	answers("and still")
	p.stop()
	if err := p.wait(); err != nil {
		t.Errorf("%v: %s", err, p.told)
	}
	q.unavailable("the tunnel has ended")
	wg.Wait()
	goOn()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if _, _, code := shared.run(t, nil, "", "tunnel", "list", "--project", "plant-a"); code == 0 {
			break
		}
	}
	if e := ends(t, p.ID); e.After.Ended != "user_left" && e.After.Ended != "closed" || e.After.Sent == 0 || e.After.Received == 0 {
		t.Errorf("on record: %+v", e)
	}
	if e := ends(t, q.ID); e.After.Ended != "not_recorded" {
		t.Errorf("on record: %+v", e)
	}
	d.await()
}

// begun waits until a stream of a tunnel is on record.
func begun(t *testing.T, id string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if slices.ContainsFunc(entries(t, "plant-a", "tunnel.stream"), func(e entry) bool { return e.After.Tunnel == id }) {
			return
		}
	}
	t.Fatal("the stream is not on record")
}

// halt has a database answer nobody any more: its connections break, and new ones get no answer until it goes on.
func halt(t *testing.T, pid int) (goOn func()) {
	t.Helper()
	goOn = sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	t.Cleanup(goOn)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil || len(children) == 0 {
		t.Fatal("the database has no processes", err)
	}
	for _, child := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	return goOn
}

func TestAnAgentThatEndsInMidTransferComesBackAndIsKnown(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "press-9")
	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		target := source(t)
		p := open(t, nil, d.name, target)
		started, broke := transfer(p.dial())
		awaitSignal(t, "the transfer", started)
		d.end(how)
		wantBroken(t, broke)
		p.unavailable("the device has gone")
		if e := ends(t, p.ID); e.After.Ended != "device_left" || e.After.Received < 4<<20 {
			t.Errorf("%s: on record: %+v", how, e)
		}
		if _, told, code := shared.run(t, nil, "", "tunnel", "open", d.name, "--to", target); code != 6 {
			t.Errorf("%s: a device that is away: exit code %d, %s", how, code, told)
		}
		d.start()
		d.await() // with the key by which it is known
	}
}

// Of a target that goes away, the one connection breaks and the tunnel goes on.
func TestATargetThatGoesAwayBreaksItsConnectionAlone(t *testing.T) {
	t.Parallel()
	target := exec.Command("/proc/self/exe")
	target.Env = append(target.Environ(), roleVariable+"=source")
	out, err := target.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Start(); err != nil {
		t.Fatal(err)
	}
	address := line(t, out)
	p := open(t, nil, press, address)
	started, broke := transfer(p.dial())
	awaitSignal(t, "the transfer", started)
	_ = target.Process.Kill()
	_ = target.Wait()
	<-broke // as the kernel ends it for the target
	if err := p.refusal(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a target that is not there: %v", err)
	}
	select {
	case err := <-p.done:
		t.Errorf("the tunnel ended: %v: %s", err, p.told)
	default:
	}
}
