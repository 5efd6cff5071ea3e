// Package e2e runs the programs as their users do: real processes, a real database, the commands of the README.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bulkhead/internal/dev"
)

// programs is the folder with both programs, built once.
var programs string

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4") // more than there are processors: most of the time is waited for others
	flag.Parse()
	dir, err := os.MkdirTemp("", "bulkhead-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", dir+string(os.PathSeparator), "../../cmd/...")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// TestCommandLines runs testdata/script: what users type, and what they are told.
func TestCommandLines(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("BULKHEAD_CONTEXT_DIR", filepath.Join(e.WorkDir, "contexts"))
			e.Setenv("CONFIGS", absolute(filepath.Join("..", "..", "configs")))
			return nil
		},
		RequireExplicitExec: true,
	})
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return abs
}

// startWithin is what the first start may take on a loaded machine; the promise of 60 s is checked by hand.
const startWithin = 3 * time.Minute

// site is one state directory of `bulkhead dev`, and the contexts that it leaves.
type site struct {
	dir, contexts, readyFile string
}

func newSite(t *testing.T) *site {
	t.Helper()
	root := t.TempDir()
	s := &site{dir: filepath.Join(root, "state"), contexts: filepath.Join(root, "contexts"), readyFile: filepath.Join(root, "ready.json")}
	t.Cleanup(func() { s.run(t, "bulkhead", "dev", "reset", "--dir", s.dir) })
	return s
}

func (s *site) environ() []string {
	return append(os.Environ(), "BULKHEAD_CONTEXT_DIR="+s.contexts, "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func (s *site) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(programs, name), args...)
	c.Env = s.environ()
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 20 * time.Second
	return c
}

// run runs a program to its end and gives its output; a failure fails the test.
func (s *site) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	stdout, stderr, err := s.try(name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

func (s *site) try(name string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	var out, errOut bytes.Buffer
	c := s.command(ctx, name, args...)
	c.Stdout, c.Stderr = &out, &errOut
	err = c.Run()
	return out.String(), errOut.String(), err
}

// runningDev is a `bulkhead dev` process that said that it is ready.
type runningDev struct {
	site    *site
	ready   dev.Ready
	process *exec.Cmd
	output  *transcript
	ended   chan error
}

// transcript keeps what a process says while a test may read it.
type transcript struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *site) start(t *testing.T, flags ...string) *runningDev {
	t.Helper()
	if err := os.Remove(s.readyFile); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	d := &runningDev{site: s, output: &transcript{}, ended: make(chan error, 1)}
	args := append([]string{"dev", "--dir", s.dir, "--listen", "127.0.0.1:0", "--ready-file", s.readyFile}, flags...)
	d.process = s.command(context.Background(), "bulkhead", args...)
	d.process.Stdout, d.process.Stderr = d.output, d.output
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- d.process.Wait() }()
	t.Cleanup(func() { d.stop(t) })
	d.awaitReady(t)
	return d
}

func (d *runningDev) awaitReady(t *testing.T) {
	t.Helper()
	until(t, startWithin, "the ready file", func() bool {
		select {
		case err := <-d.ended:
			d.ended <- err
			t.Fatalf("dev ended: %v\n%s", err, d.output)
		default:
		}
		text, err := os.ReadFile(d.site.readyFile)
		return err == nil && json.Unmarshal(text, &d.ready) == nil
	})
}

// stop ends the process as Ctrl-C does.
func (d *runningDev) stop(t *testing.T) {
	t.Helper()
	_ = d.process.Process.Signal(syscall.SIGINT) // it may have ended
	d.awaitEnd(t)
}

func (d *runningDev) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case err := <-d.ended:
		d.ended <- err
	case <-time.After(time.Minute):
		_ = d.process.Process.Kill()
		t.Errorf("dev did not end\n%s", d.output)
	}
}

// until asks again until the answer is yes. Other processes give no signal that a test could wait for.
func until(t *testing.T, within time.Duration, what string, yes func() bool) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s did not come within %s", what, within)
		}
	}
}

// cli runs a command against the running server and decodes its JSON output.
func cli[T any](t *testing.T, d *runningDev, args ...string) T {
	t.Helper()
	out := d.site.run(t, "bulkhead", append(args, "-o", "json")...)
	var v T
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return v
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
