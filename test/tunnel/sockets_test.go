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

// What a kernel is asked to keep little of, and to gather, is asked of the sockets that the server has accepted too, below TLS
// and all that stands between them and a session.
func TestTheSocketsOfATunnelAreSetAtAllItsEnds(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "sockets")
	d.idle()
	p := open(t, nil, d.name, serve(t, func(c net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
		pour(c)
	}))
	c := p.dial()
	go pour(c)
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // then each session is there
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, c) }()
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
		corked := false
		for deadline := time.Now().Add(30 * time.Second); !corked && time.Now().Before(deadline); {
			corked = optionOf(t, server, fd, unix.TCP_CORK) == 1
		}
		if !corked {
			t.Errorf("while there is more to send to %s, the kernel is not told to wait for it", name)
		}
	}
}
