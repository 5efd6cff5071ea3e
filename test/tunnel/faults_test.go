package tunnel

import (
	"errors"
	"io"
	"net/url"
	"os/exec"
	"slices"
	"strings"
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
	c := p.dial()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a target that is not there: %v", err)
	}
	select {
	case err := <-p.done:
		t.Errorf("the tunnel ended: %v: %s", err, p.told)
	default:
	}
}
