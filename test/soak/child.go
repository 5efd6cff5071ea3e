package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/localca"
)

// child is the router's process as the driver sees it.
type child struct {
	cmd    *exec.Cmd
	folder string
	addr   string
	roots  *x509.CertPool

	mu      sync.Mutex // one command at a time
	in      io.WriteCloser
	answers *json.Decoder
}

// startChild starts this program again as the router. stop ends it.
func startChild() (*child, error) {
	folder, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return nil, err
	}
	c := &child{folder: folder}
	if err := c.start(); err != nil {
		_ = os.RemoveAll(folder)
		return nil, errs.Wrap("start the router", err)
	}
	return c, nil
}

func (c *child) start() error {
	files, err := localca.Ensure(c.folder, []string{"localhost", "127.0.0.1"}, time.Now())
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(files.CA)
	if err != nil {
		return err
	}
	c.roots = x509.NewCertPool()
	c.roots.AppendCertsFromPEM(ca)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.cmd = exec.Command(self)
	c.cmd.Env = append(os.Environ(), asRouter+"="+c.folder)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	c.answers = json.NewDecoder(out)
	if err := c.cmd.Start(); err != nil {
		return err
	}
	var hello greeting
	if err := c.answers.Decode(&hello); err != nil {
		return errors.Join(err, c.cmd.Wait())
	}
	c.addr = hello.Addr
	return nil
}

// stop ends the process in order and reports how it ended.
func (c *child) stop() error {
	_ = c.in.Close()
	ended := make(chan error, 1)
	go func() { ended <- c.cmd.Wait() }()
	defer os.RemoveAll(c.folder)
	select {
	case err := <-ended:
		return err
	case <-time.After(30 * time.Second):
		_ = c.cmd.Process.Kill()
		return fmt.Errorf("the router did not stop: %w", <-ended)
	}
}

func (c *child) tell(command string, answer any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return errs.Wrap("tell the router "+command, err)
	}
	return errs.Wrap("the router's answer to "+command, c.answers.Decode(answer))
}

// sample is the router's process at one moment.
type sample struct {
	state
	Descriptors int
	Resident    uint64
}

// look measures the process; at rest after a collection of garbage.
func (c *child) look(rest bool) (sample, error) {
	var s sample
	command := commandState
	if rest {
		command = commandRest
	}
	err := c.tell(command, &s.state)
	if err == nil {
		s.Descriptors, err = descriptors(c.cmd.Process.Pid)
	}
	if err == nil {
		s.Resident, err = resident(c.cmd.Process.Pid)
	}
	return s, err
}

// settle looks until nothing changes for a while and no sessions but the given number are open. It gives up, with what it saw
// last, when dead peers must have been noticed long ago.
func (c *child) settle(ctx context.Context, sessions int) (sample, error) {
	const steady = 12 // looks
	ticker := time.NewTicker(250 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(6*pingEvery + 20*time.Second)
	last, err := c.look(false)
	for same := 0; err == nil && same < steady && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-ticker.C:
		}
		var now sample
		now, err = c.look(false)
		same++
		if now.Goroutines != last.Goroutines || now.Descriptors != last.Descriptors || int(now.Metrics["sessions"]) != sessions {
			same = 0
		}
		last = now
	}
	if err != nil {
		return last, err
	}
	return c.look(true)
}
