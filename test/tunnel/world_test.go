// Package tunnel reaches devices as people do: with the programs themselves, a real database, real agents as processes, a
// real sshd and a real web application.
package tunnel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bulkhead/internal/dev"
)

// world is one `bulkhead dev` that all tests share; each has objects of its own in it.
type world struct {
	programs, root string
	host           string // network namespace of the server and of commands; "" is this one
	ready          dev.Ready
	server         *exec.Cmd
}

var shared *world

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(playRole(role))
	}
	_ = flag.Set("test.parallel", "6") // more than there are processors: the longest ones wait for limits of seconds
	flag.Parse()
	root, err := os.MkdirTemp("", "bulkhead-tunnel-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 1
	if shared, err = start(root); err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	shared.stop()
	_ = os.RemoveAll(root)
	os.Exit(code)
}

func start(root string) (*world, error) {
	w := &world{programs: filepath.Join(root, "bin"), root: root}
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", w.programs+"/", "../../cmd/...")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return w, err
	}
	return w, w.launch("127.0.0.1:0")
}

// launch starts `bulkhead dev`, or starts it again, and waits until all of it is there.
func (w *world) launch(listen string) error {
	file := filepath.Join(w.root, "ready.json")
	_ = os.Remove(file)
	w.server = w.command(context.Background(), nil, "dev", "--dir", filepath.Join(w.root, "state"), "--listen", listen, "--ops-listen", "127.0.0.1:0", "--ready-file", file)
	log, err := os.OpenFile(filepath.Join(w.root, "dev.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	w.server.Stdout, w.server.Stderr = log, log
	if err := w.server.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); {
		text, err := os.ReadFile(file)
		if err == nil {
			return json.Unmarshal(text, &w.ready)
		}
		tick := time.NewTimer(100 * time.Millisecond)
		<-tick.C
	}
	text, _ := os.ReadFile(log.Name())
	return fmt.Errorf("dev did not start:\n%s", text)
}

func (w *world) stop() {
	if w.server != nil && w.server.Process != nil {
		_ = w.server.Process.Signal(syscall.SIGTERM)
		_ = w.server.Wait()
	}
}

// command is a command line of `bulkhead` with the context that dev wrote, or with another API key.
func (w *world) command(ctx context.Context, key *string, args ...string) *exec.Cmd {
	if key != nil {
		args = append(args, "--server", w.ready.API, "--ca-file", w.ready.CAFile, "--api-key-file", *key)
	}
	c := exec.CommandContext(ctx, filepath.Join(w.programs, "bulkhead"), args...)
	within(c, w.host)
	c.Env = append(os.Environ(), "BULKHEAD_CONTEXT_DIR="+filepath.Join(w.root, "contexts"), "PATH="+w.programs+":"+os.Getenv("PATH"))
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGINT) }
	c.WaitDelay = 10 * time.Second
	return c
}

// run runs a command to its end and gives what it said and its exit code.
func (w *world) run(t *testing.T, key *string, in string, args ...string) (out, told string, code int) {
	t.Helper()
	c := w.command(t.Context(), key, args...)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(in), &stdout, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}

// must runs a command that succeeds and decodes what it says.
func must[T any](t *testing.T, key *string, args ...string) T {
	t.Helper()
	out, told, code := shared.run(t, key, "", append(args, "-o", "json")...)
	var v T
	if code != 0 {
		t.Fatalf("bulkhead %s: exit code %d\n%s", strings.Join(args, " "), code, told)
	}
	if out != "" {
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("bulkhead %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return v
}

// passage is a `bulkhead tunnel open` that runs.
type passage struct {
	ID     string `json:"id"`
	Listen string `json:"listen"`

	t    *testing.T
	pid  int
	told *lines
	stop func()
	done chan error
}

// lines are what a program says, as it says it.
type lines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// open opens a tunnel and waits for its port.
func open(t *testing.T, key *string, device, to string, more ...string) *passage {
	t.Helper()
	return shared.open(t, key, device, to, more...)
}

func (w *world) open(t *testing.T, key *string, device, to string, more ...string) *passage {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := w.command(ctx, key, append([]string{"tunnel", "open", device, "--to", to, "-o", "json"}, more...)...)
	p := &passage{t: t, told: &lines{}, stop: cancel, done: make(chan error, 1)}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = p.told
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = c.Process.Pid
	errOut := json.NewDecoder(out).Decode(p)
	go func() {
		err := c.Wait()
		if c.ProcessState.Success() {
			err = nil // also where it was told to end
		}
		p.done <- err
	}()
	t.Cleanup(func() { cancel(); p.wait() })
	if errOut != nil {
		cancel()
		t.Fatalf("the tunnel is not open: %v\n%s", <-p.done, p.told)
	}
	return p
}

// wait waits for the command's end.
func (p *passage) wait() error {
	err := <-p.done
	p.done <- err // for who asks again
	return err
}

func (p *passage) dial() *net.TCPConn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.Listen)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// refusal connects and gives what becomes of a connection that is not to be. The entrance may reset it before this side has
// seen that it is connected.
func (p *passage) refusal() error {
	c, err := net.Dial("tcp", p.Listen)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(soon))
	_, err = c.Read(make([]byte, 1))
	return err
}

// ask sends a question, ends its side, and gives the answer.
func (p *passage) ask(question string) (string, error) {
	p.t.Helper()
	c := p.dial()
	_, errWrite := io.WriteString(c, question)
	errEnd := c.CloseWrite()
	answer, err := io.ReadAll(c)
	return string(answer), errors.Join(errWrite, errEnd, err)
}

// echo answers what it is sent once its asker has ended.
func echo(t *testing.T) string {
	t.Helper()
	return serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
}

// source sends without end.
func source(t *testing.T) string {
	t.Helper()
	return serve(t, pour)
}

func serve(t *testing.T, to func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				to(c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// soon is less than what ends a tunnel by itself, which is 20 s of silence, and more than a loaded machine holds up what was
// told. How soon it is on a machine of its own is what `just bench-tunnel` measures.
const soon = 15 * time.Second

// broken waits until a connection is broken, as soon as its ends are told.
func broken(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(soon))
	_, err := c.Read(make([]byte, 1))
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is not broken: %v", err)
	}
}
