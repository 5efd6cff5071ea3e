package tunnel

import (
	"bytes"
	"crypto/rand"
	"flag"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

var cutFor = flag.Duration("cut", 0, "also cut the network of a device for so long; at least until all sides have noticed")

func TestServerDeviceAndUserAreThreeHostsWithBadLinesBetweenThem(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("another server is started")
	}
	h := newHosts(t)
	server := &world{programs: shared.programs, root: t.TempDir(), host: h.name(serverHost)}
	defer server.stop()
	if err := server.launch(h.address(serverHost) + ":8443"); err != nil {
		t.Fatal(err)
	}
	user := &world{programs: shared.programs, root: server.root, ready: server.ready, host: h.name(userHost)}
	d := &device{t: t, world: user, host: h.name(deviceHost), name: "plant-a/far-1", dir: t.TempDir()}
	d.flash = filepath.Join(d.dir, "flash")
	if _, told, code := user.run(t, nil, "", "device", "create", "far-1", "--project", "plant-a", "--flash-file", d.flash); code != 0 {
		t.Fatalf("exit code %d: %s", code, told)
	}
	d.start()
	d.await()
	before := d.idle()

	target := h.role(deviceHost, "echo")
	out, err := target.StdoutPipe()
	if err == nil {
		err = target.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	address := line(t, out)
	p := user.open(t, nil, d.name, address)
	c := h.dial(userHost, p.Listen)
	wantEcho(t, c, 512<<10)
	if told, _, code := user.run(t, nil, "typed", "ssh", d.name, "--", "cat; exit 3"); told != "typed" || code != 3 {
		t.Errorf("%q, exit code %d", told, code)
	}
	if found := listens(t, d.agent.Process.Pid); len(found) > 0 {
		t.Errorf("the agent listens on %v", found)
	}

	h.ip("-n " + h.name(deviceHost) + " link set " + h.tun(deviceHost) + " down")
	_, _ = io.WriteString(c, "while it is cut")
	<-time.After(time.Second)
	h.ip("-n " + h.name(deviceHost) + " link set " + h.tun(deviceHost) + " up")
	got := make([]byte, 15)
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(c, got); string(got) != "while it is cut" || err != nil {
		t.Errorf("after a second: %q, %v", got, err)
	}
	if *cutFor > 0 {
		cutOff(t, h, d, p, before)
	}
}

// cutOff has all packets of a device be lost, without a word to anybody, for a long time.
func cutOff(t *testing.T, h *hosts, d *device, p *passage, before int) {
	t.Helper()
	began := time.Now()
	h.away[deviceHost].Store(true)
	p.unavailable("the device has gone")
	t.Logf("the user's end is told after %s", time.Since(began).Round(time.Second))
	d.idle()
	t.Logf("the device's end has noticed after %s", time.Since(began).Round(time.Second))
	if list, _, _ := d.world.run(t, nil, "", "tunnel", "list", "--project", "plant-a", "-o", "json"); bytes.Contains([]byte(list), []byte(p.ID)) {
		t.Errorf("the tunnel is listed as live: %s", list)
	}
	<-time.After(*cutFor - time.Since(began))
	h.away[deviceHost].Store(false)
	healed := time.Now()
	d.await()
	t.Logf("a new tunnel works %s after the network does", time.Since(healed).Round(time.Second))
	d.idle()
	settle(t, "the agent's sockets", before, func() int { return sockets(d.agent.Process.Pid) })
}

// wantEcho sends many bytes and wants them back.
func wantEcho(t *testing.T, c net.Conn, size int) {
	t.Helper()
	question, answer := make([]byte, size), make([]byte, size)
	_, _ = rand.Read(question)
	sent := make(chan error, 1)
	go func() { // waited for below
		_, err := c.Write(question)
		sent <- err
	}()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	_, err := io.ReadFull(c, answer)
	if errSend := <-sent; err != nil || errSend != nil || !bytes.Equal(question, answer) {
		t.Errorf("%v, %v", err, errSend)
	}
}
