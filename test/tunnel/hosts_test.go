package tunnel

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// hosts are three machines: network namespaces, joined by lines that are slow and lose packets. The lines are TUN devices
// between which this program carries each packet, because not every kernel has netem.
type hosts struct {
	t     *testing.T
	lines [3]*os.File
	away  [3]atomic.Bool // nothing reaches the host and nothing leaves it
	wg    sync.WaitGroup
}

const (
	serverHost = iota
	deviceHost
	userHost
)

const (
	lineDelay = 50 * time.Millisecond // each way
	lineLoss  = 0.01
)

func newHosts(t *testing.T) *hosts {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("hosts of their own need root and iproute2")
	}
	h := &hosts{t: t}
	if out, err := exec.Command("ip", "netns", "add", h.name(0)).CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %v: %s", err, out)
	}
	t.Cleanup(h.remove)
	var lines [3]chan packet
	for i := range h.lines {
		if i > 0 {
			h.ip("netns add " + h.name(i))
		}
		h.lines[i] = openTUN(t, h.tun(i))
		for _, command := range []string{
			"link set " + h.tun(i) + " netns " + h.name(i), "-n " + h.name(i) + " link set lo up",
			"-n " + h.name(i) + " addr add " + h.address(i) + "/24 dev " + h.tun(i), "-n " + h.name(i) + " link set " + h.tun(i) + " up",
		} {
			h.ip(command)
		}
		lines[i] = make(chan packet, 1<<16)
		h.wg.Go(func() { h.deliver(i, lines[i]) })
	}
	var readers sync.WaitGroup
	for i := range h.lines {
		readers.Go(func() { h.carry(i, lines) })
	}
	h.wg.Go(func() {
		readers.Wait()
		for _, line := range lines {
			close(line)
		}
	})
	return h
}

func (h *hosts) name(i int) string {
	return fmt.Sprintf("bulkhead-%d-%s", os.Getpid(), [...]string{"server", "device", "user"}[i])
}
func (h *hosts) tun(i int) string     { return fmt.Sprintf("bh%d-%d", os.Getpid(), i) }
func (h *hosts) address(i int) string { return fmt.Sprintf("10.83.0.%d", i+1) }

func (h *hosts) ip(command string) {
	h.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		h.t.Fatalf("ip %s: %v: %s", command, err, out)
	}
}

func (h *hosts) remove() {
	for i, line := range h.lines {
		if line != nil {
			_ = line.Close()
		}
		_ = exec.Command("ip", "netns", "del", h.name(i)).Run()
	}
	h.wg.Wait()
}

func openTUN(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no /dev/net/tun here: %v", err)
	}
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = syscall.IFF_TUN | syscall.IFF_NO_PI
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request))); errno != 0 {
		_ = syscall.Close(fd)
		t.Fatal(errno)
	}
	return os.NewFile(uintptr(fd), name)
}

type packet struct {
	bytes []byte
	due   time.Time
}

// carry takes what a host sends to where it is to go, or loses it.
func (h *hosts) carry(from int, lines [3]chan packet) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := h.lines[from].Read(buffer)
		if err != nil {
			return
		}
		if n < 20 || buffer[0]>>4 != 4 {
			continue
		}
		to := int(buffer[19]) - 1
		if to < 0 || to >= len(lines) || h.away[from].Load() || h.away[to].Load() || rand.Float64() < lineLoss {
			continue
		}
		select {
		case lines[to] <- packet{append([]byte(nil), buffer[:n]...), time.Now().Add(lineDelay)}:
		default: // the line is full
		}
	}
}

func (h *hosts) deliver(to int, line chan packet) {
	for p := range line {
		<-time.After(time.Until(p.due))
		if !h.away[to].Load() {
			_, _ = h.lines[to].Write(p.bytes) // a host that is down takes none
		}
	}
}

// role starts this program as something else on a host.
func (h *hosts) role(host int, role string) *exec.Cmd {
	h.t.Helper()
	self, err := os.Executable() // a link of /proc would be another's by then
	if err != nil {
		h.t.Fatal(err)
	}
	c := exec.Command(self)
	within(c, h.name(host))
	c.Env = append(os.Environ(), roleVariable+"="+role)
	h.t.Cleanup(func() {
		if c.Process != nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	return c
}

// dial connects from a host.
func (h *hosts) dial(host int, address string) net.Conn {
	h.t.Helper()
	near, far := socketPair(h.t)
	c := h.role(host, "dial "+address)
	c.Stdin, c.Stdout = far, far
	if err := c.Start(); err != nil {
		h.t.Fatal(err)
	}
	_ = far.Close()
	return near
}

func socketPair(t *testing.T) (near net.Conn, far *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "near")
	defer file.Close()
	if near, err = net.FileConn(file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	return near, os.NewFile(uintptr(fds[1]), "far")
}
