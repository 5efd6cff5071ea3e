// Package subject builds and runs the servers that are measured, each as a process of its own, and reads from the kernel
// what they cost.
//
// It promises that no process outlives the one that started it, that a server which does not come up is an error with the
// last lines that it wrote, and that what is measured is the process's own time: user and system, all threads.
package subject

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 2 * time.Second
	pollEvery    = 5 * time.Millisecond
)

// Process is a running server.
type Process struct {
	Name     string
	Addr     string // where it listens
	Profiler string // where its profiler listens, if it has one

	logFile string
	cmd     *exec.Cmd
	ended   chan struct{}
}

// start runs the program and waits until it listens. The process ends with ctx, too.
func (p *Process) start(ctx context.Context, program string, args ...string) error {
	out, err := os.Create(p.logFile)
	if err != nil {
		return fmt.Errorf("log of %s: %w", p.Name, err)
	}
	defer out.Close()
	p.cmd = exec.CommandContext(ctx, program, args...) //nolint:gosec // a program that this package built
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // an interrupt is for us to pass on
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.ended = make(chan struct{})
	go p.reap()
	if err := p.waitListening(ctx); err != nil {
		p.Stop()
		return fmt.Errorf("%w\n%s", err, p.lastWords())
	}
	return nil
}

// reap ends when the process has.
func (p *Process) reap() {
	_ = p.cmd.Wait() // the exit status says only that we stopped it
	close(p.ended)
}

func (p *Process) waitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.Addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w", p.Name, p.Addr, context.Cause(ctx))
		case <-p.ended:
			return fmt.Errorf("%s ended before it listened", p.Name)
		case <-time.After(pollEvery):
		}
	}
}

// Stop ends the process and waits for it. Stopping twice is fine.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// Alive gives an error with the process's last words if it has ended: a server that died is no result.
func (p *Process) Alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s died:\n%s", p.Name, p.lastWords())
	default:
		return nil
	}
}

func (p *Process) lastWords() []byte {
	const enough = 2000
	b, err := os.ReadFile(p.logFile)
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-enough):]
}

// CPU is the processor time that the process has used.
func (p *Process) CPU() (time.Duration, error) { return cpuOf(p.cmd.Process.Pid) }

// OwnCPU is the processor time that this process has used.
func OwnCPU() (time.Duration, error) { return cpuOf(os.Getpid()) }

// cpuOf reads the clock that the kernel has for each process, in nanoseconds: the times in /proc/PID/stat are in hundredths of
// a second, which is much of a short round. It counts threads that have ended as well.
func cpuOf(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(clockOf(pid), &t); err != nil {
		return 0, fmt.Errorf("processor time of %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// clockOf is the clock of a process's user and system time, as clock_getcpuclockid(3) makes it.
func clockOf(pid int) int32 {
	const scheduled = 2
	return ^int32(pid)<<3 | scheduled //nolint:gosec // a process's number has 22 bits
}

// Memory is the process's resident memory in bytes.
func (p *Process) Memory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	return parseStatm(b)
}

func parseStatm(b []byte) (int64, error) {
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, errors.New("resident memory: /proc/PID/statm is short")
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}
