package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a process that we started.
type child struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	in    *json.Encoder // nil where the program is not ours
	out   *json.Decoder
}

// start starts a program, where asked at the far end of the link.
func (b *bench) start(far *link, name, program string, args ...string) (*child, error) {
	b.started++
	c := &child{cmd: exec.Command(program, args...), log: filepath.Join(b.dir, fmt.Sprintf("%03d-%s.log", b.started, name)), ended: make(chan struct{})} //nolint:gosec // programs that are measured
	file, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	c.cmd.Stdout, c.cmd.Stderr = file, file
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	var stdout io.ReadCloser
	if program == b.self {
		stdin, errIn := c.cmd.StdinPipe()
		c.cmd.Stdout = nil
		var errOut error
		if stdout, errOut = c.cmd.StdoutPipe(); errIn != nil || errOut != nil {
			return nil, errors.Join(errIn, errOut)
		}
		c.in, c.out = json.NewEncoder(stdin), json.NewDecoder(stdout)
	}
	if err := far.within(c.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	b.children = append(b.children, c)
	go func() { // ends with the process
		_ = c.cmd.Wait() // how it ended says only that we stopped it
		close(c.ended)
	}()
	return c, nil
}

// ask sends a part of ours a question and reads its answer.
func ask[T any](c *child, question any) (answer T, err error) {
	if question != nil {
		err = c.in.Encode(question)
	}
	if err == nil {
		err = c.out.Decode(&answer)
	}
	if err != nil {
		words, _ := os.ReadFile(c.log)
		err = fmt.Errorf("%s: %w\n%s", c.cmd.Args[1], err, words)
	}
	return answer, err
}

func (c *child) stop() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM) // with what it started itself
	select {
	case <-c.ended:
	case <-time.After(2 * time.Second):
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
		<-c.ended
	}
}

// await polls until the condition holds.
func await(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for !holds() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
	return nil
}

// family is the processes of a group: sshd, for one, serves each connection by children.
func (c *child) family() []int {
	own := c.cmd.Process.Pid
	all := []int{own}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	parents := map[int]int{}
	for _, file := range stats {
		pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
		if f := statOf(pid); len(f) > 1 {
			parents[pid], _ = strconv.Atoi(f[1])
		}
	}
	for pid := range parents {
		for up, seen := parents[pid], 0; up > 1 && seen < 32; up, seen = parents[up], seen+1 {
			if up == own {
				all = append(all, pid)
			}
		}
	}
	return all
}

// statOf are the fields of /proc/PID/stat from the third: the second may hold anything but ends at the last bracket.
func statOf(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

// clockTick is the unit of times in /proc/PID/stat; Linux has fixed it for user space.
const clockTick = 10 * time.Millisecond

// cpu is the processor time of a family.
func (c *child) cpu() (sum time.Duration) {
	for _, pid := range c.family() {
		if f := statOf(pid); len(f) > 12 {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			sum += time.Duration(user+system) * clockTick
		}
	}
	return sum
}

// memory is the resident memory of a family in MiB.
func (c *child) memory() (sum float64) {
	for _, pid := range c.family() {
		if f := statOf(pid); len(f) > 21 {
			pages, _ := strconv.Atoi(f[21])
			sum += float64(pages*os.Getpagesize()) / (1 << 20)
		}
	}
	return sum
}
