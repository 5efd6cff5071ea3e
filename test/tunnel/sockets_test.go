package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// connection is one of a process, by its ends as the kernel writes them.
type connection struct{ own, other string }

func (c connection) seenFromThere() connection { return connection{c.other, c.own} }

// connections finds the descriptors of the connections of a process.
func connections(t *testing.T, pid int) map[connection]int {
	t.Helper()
	descriptors := map[string]int{}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)) // the pattern is right
	for _, fd := range fds {
		var number int
		link, _ := os.Readlink(fd) // one that is closed meanwhile is none
		if inode, ok := strings.CutPrefix(link, "socket:["); ok {
			_, _ = fmt.Sscan(filepath.Base(fd), &number)
			descriptors[strings.TrimSuffix(inode, "]")] = number
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := map[connection]int{}
	for line := range strings.Lines(string(text)) {
		const established = "01"
		if f := strings.Fields(line); len(f) > 9 && f[3] == established {
			if fd, ok := descriptors[f[9]]; ok {
				found[connection{f[1], f[2]}] = fd
			}
		}
	}
	return found
}

// optionOf is what the kernel has for an option of TCP at a connection of a process, which is asked by a copy of its descriptor.
func optionOf(t *testing.T, pid, descriptor, option int) int {
	t.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(process)
	socket, err := unix.PidfdGetfd(process, descriptor, 0)
	if errors.Is(err, unix.EPERM) {
		t.Skip("this machine lets no process look at the sockets of another")
	}
	if err != nil {
		return 0 // it is closed meanwhile
	}
	defer unix.Close(socket)
	value, _ := unix.GetsockoptInt(socket, unix.IPPROTO_TCP, option) // what is no connection any more has none
	return value
}

const (
	unsent         = 64 << 10
	unacknowledged = 30_000 // milliseconds
)

// ofTunnel finds the one connection of a process that is a tunnel's.
func ofTunnel(t *testing.T, pid int) connection {
	t.Helper()
	var found []connection
	for c, fd := range connections(t, pid) {
		if optionOf(t, pid, fd, unix.TCP_NOTSENT_LOWAT) == unsent && optionOf(t, pid, fd, unix.TCP_USER_TIMEOUT) == unacknowledged {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("process %d has %d connections that are set for a tunnel, want 1", pid, len(found))
	}
	return found[0]
}

// What a kernel is asked to keep little of is asked of the sockets that the server has accepted too, below TLS and all that
// stands between them and a session.
func TestTheSocketsOfATunnelAreSetAtAllItsEnds(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "sockets")
	d.idle()
	p := open(t, nil, d.name, serve(t, pour))
	c := p.dial()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // then each session is there
		t.Fatal(err)
	}
	server := shared.ready.PIDs.Server
	for name, pid := range map[string]int{"the device": d.agent.Process.Pid, "the user": p.pid} {
		there := ofTunnel(t, pid)
		fd, ok := connections(t, server)[there.seenFromThere()]
		if !ok {
			t.Fatalf("the server does not have the connection of %s", name)
		}
		if got := optionOf(t, server, fd, unix.TCP_NOTSENT_LOWAT); got != unsent {
			t.Errorf("to %s the kernel keeps %d bytes unsent, want %d", name, got, unsent)
		}
		if got := optionOf(t, server, fd, unix.TCP_USER_TIMEOUT); got != unacknowledged {
			t.Errorf("to %s bytes may be without an answer for %d ms, want %d", name, got, unacknowledged)
		}
	}
}

// TLS writes no more than a record of 16 KiB at a time, whoever has more to send.
func TestWhatATunnelHasToSendIsGatheredIntoFewerSystemCalls(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "gathering")
	d.idle()
	server := shared.ready.PIDs.Server
	t.Run("up", func(t *testing.T) {
		p := open(t, nil, d.name, serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
		go pour(p.dial()) // ends with the connection
		gathers(t, "the user's end", p.pid)
		gathers(t, "the server", server)
	})
	t.Run("down", func(t *testing.T) {
		p := open(t, nil, d.name, serve(t, pour))
		c := p.dial()
		go func() { _, _ = io.Copy(io.Discard, c) }()
		gathers(t, "the device", d.agent.Process.Pid)
		gathers(t, "the server", server)
	})
}

// gathers waits until a process writes more at a time than records.
func gathers(t *testing.T, name string, pid int) {
	t.Helper()
	const calls, record = 50, 16<<10 + 256
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	fromBytes, fromCalls := writes(t, pid)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		bytes, n := writes(t, pid)
		if n-fromCalls < calls {
			continue
		}
		if (bytes-fromBytes)/(n-fromCalls) > record {
			return
		}
		fromBytes, fromCalls = bytes, n
	}
	t.Errorf("%s writes each record by itself", name)
}

// writes is how much a process has written, and in how many calls.
func writes(t *testing.T, pid int) (bytes, calls int) {
	t.Helper()
	if _, err := os.Stat("/proc/self/io"); err != nil {
		t.Skip("this kernel does not count what processes write")
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if errors.Is(err, os.ErrPermission) {
		t.Skip("this machine lets no process look at another")
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "wchar: %d", &bytes) // the other lines are about something else
		_, _ = fmt.Sscanf(line, "syscw: %d", &calls)
	}
	return bytes, calls
}
