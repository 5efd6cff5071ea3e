package agentcli_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bulkhead/internal/cli/agentcli"
	"bulkhead/internal/secret"
	"bulkhead/internal/wampx"
	"bulkhead/realms"
	"bulkhead/router"
	"bulkhead/wire"
)

// This test's own program is the agent too: what runs is a real process with the real command line.
func TestMain(m *testing.M) {
	if os.Getenv("AGENTCLI_TEST_RUN") != "" {
		os.Exit(agentcli.Main(os.Args[1:], os.Getenv, agentcli.Streams{Out: os.Stdout, Err: os.Stderr}))
	}
	os.Exit(m.Run())
}

const (
	project = wire.Key(11)
	app     = wire.Key(22)
	device  = wire.Key(33)
)

// site is a router with one device's realms; rows arrive in rows.
type site struct {
	flash    string
	rows     chan wire.Submission
	presence chan bool
}

func (s site) Accept(sub wire.Submission, done func(error)) {
	select {
	case s.rows <- sub:
	default:
	}
	done(nil)
}

func newSite(t *testing.T) site {
	t.Helper()
	s := site{flash: filepath.Join(t.TempDir(), "press-1.flash"), rows: make(chan wire.Submission, 100), presence: make(chan bool, 100)}
	r, err := router.New(router.Config{Logger: slog.New(slog.DiscardHandler), Sink: s})
	if err != nil {
		t.Fatal(err)
	}
	key, serial := secret.Random(), wire.NewSerial()
	management, data := realms.OfProject(project), realms.OfInstallation(project, app, wire.Prod)
	r.Apply((&realms.Directory{}).Edit(func(e *realms.Editor) {
		e.PutRealm(realms.Entry{Realm: management})
		e.PutRealm(realms.Entry{Realm: data})
		e.PutDevice(realms.Device{Serial: serial, Key: device, Project: project, Name: "press-1", Secrets: []secret.Value{key}})
	}))
	srv := httptest.NewUnstartedServer(r.Handler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	backend := assign(t, r, management, data)
	s.watch(t, backend)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = r.Close(ctx)
		srv.Close()
		_ = backend.Close(ctx)
	})
	text, err := json.Marshal(wire.Flash{
		Version: wire.Version, Router: "wss" + strings.TrimPrefix(srv.URL, "https") + "/ws-agent",
		CA:      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})),
		Project: project, Device: device, Name: "press-1", Serial: serial, DeviceRealm: management.Name(),
		Secret: string(key.Reveal()), GrantKey: base64.StdEncoding.EncodeToString(make([]byte, 32)),
	})
	if err == nil {
		err = os.WriteFile(s.flash, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// assign answers the device's question for its assignments.
func assign(t *testing.T, r *router.Router, management, data realms.Realm) *wampx.Session {
	t.Helper()
	peer, err := r.Join(t.Context(), management.Name(), realms.Principal{Role: realms.RoleBackend, AuthID: "backend", Project: project})
	if err != nil {
		t.Fatal(err)
	}
	s, err := wampx.FromPeer(t.Context(), peer, management.Name(), wampx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = wampx.Register(t.Context(), s, wire.Assignments, wampx.RegisterOptions{},
		func(context.Context, *wampx.Invocation, wire.AssignmentsRequest) (wire.AssignmentsReply, error) {
			return wire.AssignmentsReply{Assignments: []wire.Assignment{{
				Realm: data.Name(), Project: project, App: app, Stage: wire.Prod,
				Publish: []wire.AgentPublication{{Source: wire.SourceHost, Table: "metrics", IntervalMs: 200}},
			}}}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// watch has the device's presence arrive in presence.
func (s site) watch(t *testing.T, backend *wampx.Session) {
	t.Helper()
	_, err := wampx.Subscribe(t.Context(), backend, wire.Presence(project, device), func(_ context.Context, e wire.PresenceEvent, _ wampx.Event) {
		s.presence <- e.Online
	})
	if err != nil {
		t.Fatal(err)
	}
}

// process is a running agent.
type process struct {
	*exec.Cmd
	out *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func start(t *testing.T, s site, dir string) process {
	t.Helper()
	p := process{exec.Command(os.Args[0], "run", "--flash-file", s.flash, "--state-dir", dir), &syncBuffer{}} //nolint:gosec // this test's own program
	p.Env = append(os.Environ(), "AGENTCLI_TEST_RUN=1")
	p.Stdout, p.Stderr = p.out, p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		if t.Failed() {
			t.Logf("the agent said:\n%s", p.out)
		}
	})
	return p
}

func (s site) await(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-s.rows:
		case <-t.Context().Done():
			t.Fatal("no rows")
		}
	}
}

func (s site) drain() {
	for {
		select {
		case <-s.rows:
		default:
			return
		}
	}
}

func TestAnAgentStopsInOrderWhenToldTo(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			p := start(t, s, t.TempDir())
			s.await(t, 2)
			began := time.Now()
			if err := p.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			err := p.Wait()
			if took := time.Since(began); err != nil || took > 30*time.Second {
				t.Errorf("ended with %v after %v", err, took)
			}
			if said := p.out.String(); !strings.Contains(said, "agent stopped") || !strings.HasPrefix(said, "{") {
				t.Errorf("said %s", said)
			}
		})
	}
}

func TestAnAgentThatWasKilledStartsAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := t.TempDir()
	for range 3 {
		p := start(t, s, dir)
		s.await(t, 2)
		_ = p.Process.Kill()
		_ = p.Wait()
		if came, went := <-s.presence, <-s.presence; !came || went {
			t.Errorf("presence: %v, then %v", came, went)
		}
		s.drain()
	}
	code, out, _ := run(t, nil, "status", "--state-dir", dir, "-o", "json")
	var status struct {
		Boot    int
		Running bool
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil || code != 6 || status.Running || status.Boot < 1 {
		t.Errorf("exit %d, %s", code, out)
	}
	start(t, s, dir)
	s.await(t, 2)
}

func TestASecondAgentWithTheSameStateIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	dir := t.TempDir()
	start(t, s, dir)
	s.await(t, 1)
	second := start(t, s, dir)
	_ = second.Wait()
	if code := second.ProcessState.ExitCode(); code != 5 || !strings.Contains(second.out.String(), dir+" is in use by another agent") {
		t.Errorf("exit %d, said %s", code, second.out)
	}
}

func TestAnAgentOpensNoListeningSocket(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := start(t, s, t.TempDir())
	s.await(t, 2)
	own := socketsOf(t, p.Process.Pid)
	if len(own) < 2 {
		t.Errorf("only %d sockets, want one for each realm: the test sees nothing", len(own))
	}
	for _, socket := range kernelSockets(t, p.Process.Pid) {
		if !own[socket.inode] {
			continue
		}
		delete(own, socket.inode)
		if socket.table != "tcp" && socket.table != "tcp6" || socket.state != established {
			t.Errorf("a socket of table %s in state %s: %s", socket.table, socket.state, socket.line)
		}
	}
	if len(own) > 0 {
		t.Errorf("sockets of no known kind: %v", own)
	}
}

// established is TCP_ESTABLISHED in /proc/net/tcp; a listener is 0A, a UDP or unix socket is in another table.
const established = "01"

// socketsOf gives the inodes of a process's sockets.
func socketsOf(t *testing.T, pid int) map[string]bool {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) == 0 {
		t.Fatalf("no descriptors: %v", err)
	}
	inodes := map[string]bool{}
	for _, link := range links {
		target, _ := os.Readlink(link)
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes
}

type kernelSocket struct{ table, state, inode, line string }

// kernelSockets reads the kernel's tables of sockets as the process sees them.
func kernelSockets(t *testing.T, pid int) []kernelSocket {
	t.Helper()
	columns := map[string][2]int{"tcp": {3, 9}, "tcp6": {3, 9}, "udp": {3, 9}, "udp6": {3, 9}, "raw": {3, 9}, "raw6": {3, 9}, "unix": {5, 6}, "packet": {0, 8}, "netlink": {1, 9}}
	var all []kernelSocket
	for table, column := range columns {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // a kernel without that kind
		}
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			if f := strings.Fields(lines.Text()); len(f) > column[1] {
				all = append(all, kernelSocket{table, f[column[0]], f[column[1]], lines.Text()})
			}
		}
	}
	return all
}

func TestAnAgentAtRestIsSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("measures a process")
	}
	t.Parallel()
	s := newSite(t)
	p := process{exec.Command(buildAgent(t), "run", "--flash-file", s.flash, "--state-dir", t.TempDir()), &syncBuffer{}} //nolint:gosec // the agent
	p.Stdout, p.Stderr = p.out, p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = p.Process.Signal(syscall.SIGTERM)
		_ = p.Wait()
	}()
	const most = 12 << 10
	rss := 0
	s.await(t, 25) // five rows a second: it has begun all that it does, and given back what its start needed
	for range 15 {
		s.await(t, 5)
		if rss = residentKiB(t, p.Process.Pid); rss <= most {
			return
		}
	}
	t.Errorf("resident: %d KiB, at most %d", rss, most)
}

func buildAgent(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bulkhead-agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "bulkhead/cmd/bulkhead-agent") //nolint:gosec // the agent
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
