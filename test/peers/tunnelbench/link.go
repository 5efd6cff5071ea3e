package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// link is a slow line between this network namespace and one of its own. A nil link is none: both ends are here.
type link struct {
	name      string // of the namespace
	near, far string // addresses
	files     []*os.File
	wg        sync.WaitGroup
}

// line is what a link does to packets.
type line struct {
	bits  float64       // per second
	trip  time.Duration // there and back
	queue time.Duration // the most that a packet waits for its turn; more is dropped
}

var errNoLink = errors.New("slow links want root, /dev/net/tun and iproute2")

// newLink joins two namespaces by a line.
func newLink(number int, l line) (*link, error) {
	if os.Geteuid() != 0 {
		return nil, errNoLink
	}
	k := &link{name: fmt.Sprintf("bulkhead-bench-%d-%d", os.Getpid(), number), near: fmt.Sprintf("10.213.%d.1", number), far: fmt.Sprintf("10.213.%d.2", number)}
	if err := ip("netns add " + k.name); err != nil {
		return nil, errors.Join(errNoLink, err)
	}
	here, there := fmt.Sprintf("bhn%d", number), fmt.Sprintf("bhf%d", number)
	for _, device := range []string{here, there} {
		f, err := openTUN(device)
		if err != nil {
			k.close()
			return nil, errors.Join(errNoLink, err)
		}
		k.files = append(k.files, f)
	}
	for _, command := range []string{
		"link set " + there + " netns " + k.name,
		"addr add " + k.near + "/30 dev " + here, "link set " + here + " up txqueuelen 10000",
		"-n " + k.name + " addr add " + k.far + "/30 dev " + there, "-n " + k.name + " link set " + there + " up txqueuelen 10000",
		"-n " + k.name + " link set lo up",
	} {
		if err := ip(command); err != nil {
			k.close()
			return nil, err
		}
	}
	k.wg.Go(func() { carry(k.files[0], k.files[1], l) })
	k.wg.Go(func() { carry(k.files[1], k.files[0], l) })
	return k, nil
}

func ip(command string) error {
	out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput() //nolint:gosec // made above
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, out)
	}
	return nil
}

func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

type packet struct {
	bytes []byte
	due   time.Time
}

// carry takes packets through one direction of a line until its files are closed.
func carry(from, to *os.File, l line) {
	under := make(chan packet, 1<<16)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(under)
	wg.Go(func() {
		for p := range under {
			time.Sleep(time.Until(p.due))
			_, _ = to.Write(p.bytes) // what a device does not take is lost, as on a line
		}
	})
	var free time.Time // when the last packet will have left
	buffer := make([]byte, 2048)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		if free.Sub(now) > l.queue {
			continue
		}
		free = free.Add(time.Duration(float64(n*8) / l.bits * float64(time.Second)))
		under <- packet{append([]byte(nil), buffer[:n]...), free.Add(l.trip / 2)}
	}
}

// within runs f at the far end of the link: what it starts or listens on is there.
func (k *link) within(f func() error) error {
	if k == nil {
		return f()
	}
	// This is the main thread, or one that a measure has locked to itself.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer own.Close()
	far, err := os.Open("/var/run/netns/" + k.name)
	if err != nil {
		return err
	}
	defer far.Close()
	if err := unix.Setns(int(far.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	return errors.Join(err, unix.Setns(int(own.Fd()), unix.CLONE_NEWNET))
}

// listen listens on the loopback of the far end.
func (k *link) listen() (l net.Listener, err error) {
	err = k.within(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	return l, err
}

// server is the address of the near end as the far end sees it.
func (k *link) server() string {
	if k == nil {
		return "127.0.0.1"
	}
	return k.near
}

func (k *link) close() {
	if k == nil {
		return
	}
	for _, f := range k.files {
		_ = f.Close()
	}
	k.wg.Wait()
	_ = ip("netns del " + k.name)
}
