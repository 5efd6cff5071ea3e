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

// clockTick is the unit of the times in /proc/PID/stat; Linux has fixed it for user space.
const clockTick = 10 * time.Millisecond

// CPU is the processor time that the process has used.
func (p *Process) CPU() (time.Duration, error) { return cpuOf(p.cmd.Process.Pid) }

// OwnCPU is the processor time that this process has used.
func OwnCPU() (time.Duration, error) { return cpuOf(os.Getpid()) }

func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	return parseStat(b)
}

// parseStat adds utime and stime, the 14th and 15th field. The second, the name, may hold anything but ends at the last
// closing bracket.
func parseStat(b []byte) (time.Duration, error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, errors.New("processor time: /proc/PID/stat is short")
	}
	user, errUser := strconv.ParseInt(string(fields[utime]), 10, 64)
	system, errSystem := strconv.ParseInt(string(fields[stime]), 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(errUser, errSystem)
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
