package dev

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/internal/lifecycle"
	"bulkhead/internal/logkey"
	"bulkhead/wire"
)

// stopTimeout is how long an agent may take to say goodbye before it is killed.
const stopTimeout = 5 * time.Second

// restartDelay keeps an agent that cannot start from being started in a tight loop.
const restartDelay = time.Second

// agentProcess is one bulkhead-agent that is started again whenever it ends.
type agentProcess struct {
	name   string
	binary string
	args   []string
	log    *slog.Logger
	output *os.File
	group  *lifecycle.Group
	alive  chan int // gets the process id of each start; holds the newest

	mu  sync.Mutex // guards pid
	pid int
}

// startAgent runs the agent of one flash file; its log goes to logFile.
func startAgent(ctx context.Context, binary, name, flashFile, stateDir, policyFile, logFile string, log *slog.Logger) (*agentProcess, error) {
	output, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errs.As(wire.Invalid, err, "the agent's log %s cannot be written", logFile)
	}
	a := &agentProcess{
		name: name, binary: binary, args: []string{"run", "--flash-file", flashFile, "--state-dir", stateDir, "--policy-file", policyFile},
		log: log, output: output, group: lifecycle.NewGroup(context.WithoutCancel(ctx)), alive: make(chan int, 1),
	}
	a.group.Go(a.supervise)
	select {
	case <-a.alive:
		return a, nil
	case <-ctx.Done():
		a.stop()
		return nil, ctx.Err()
	}
}

// PID is the process id of the newest start.
func (a *agentProcess) PID() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pid
}

// stop ends the agent and waits until it is gone.
func (a *agentProcess) stop() {
	a.group.Stop()
	_ = a.output.Close()
}

func (a *agentProcess) supervise(ctx context.Context) {
	// The kernel ends the child when the thread that started it ends, so that a killed server leaves no agents: this
	// thread must live as long as the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		err := a.runOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		a.log.Warn("agent ended; it is started again", logkey.Device, a.name, logkey.Error, err)
		select {
		case <-time.After(restartDelay):
		case <-ctx.Done():
		}
	}
}

func (a *agentProcess) runOnce(ctx context.Context) error {
	command := exec.CommandContext(ctx, a.binary, a.args...)
	command.Stdout, command.Stderr = a.output, a.output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopTimeout
	command.SysProcAttr = childAttributes()
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", a.binary, err)
	}
	a.started(command.Process.Pid)
	return command.Wait()
}

func (a *agentProcess) started(pid int) {
	a.mu.Lock()
	a.pid = pid
	a.mu.Unlock()
	select {
	case <-a.alive:
	default:
	}
	a.alive <- pid
}
