package apart

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"bulkhead/backend/account/password"
	"bulkhead/internal/secret"
)

// process is one that derives keys. One goroutine uses it at a time.
type process struct {
	cmd *exec.Cmd
	in  *os.File // what we write
	out *os.File // what we read
}

// limits keep the process small: it does one thing at a time, and leaves nothing behind of the 19 MiB of a hash.
var limits = []string{"GOMAXPROCS=1", "GOMEMLIMIT=64MiB"}

func startProcess(program string, args []string) (*process, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("apart: pipe: %w", err)
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		_ = in.Close()
		return nil, fmt.Errorf("apart: pipe: %w", err)
	}
	defer theirOut.Close()
	p := &process{cmd: &exec.Cmd{Path: program, Args: args, Env: limits, Stdin: theirIn, Stdout: theirOut, SysProcAttr: attributes()}, in: in, out: out}
	if err := p.cmd.Start(); err != nil {
		_, _ = in.Close(), out.Close()
		return nil, fmt.Errorf("apart: start %s: %w", program, err)
	}
	return p, nil
}

// derive has the process derive a key, within a time.
func (p *process) derive(v secret.Value, bits []byte, within time.Duration) ([]byte, error) {
	until := time.Now().Add(within)
	if err := errors.Join(p.in.SetWriteDeadline(until), p.out.SetReadDeadline(until)); err != nil {
		return nil, err
	}
	text := v.Reveal()
	frame := append(append(make([]byte, 0, password.SaltSize+password.MaxLength), bits...), text[:min(len(text), password.MaxLength)]...)
	defer clear(frame)
	if err := writeFrame(p.in, frame); err != nil {
		return nil, fmt.Errorf("apart: ask: %w", err)
	}
	var key [password.KeySize]byte
	n, err := readFrame(p.out, key[:])
	if err == nil && n != len(key) {
		err = errors.New("not a key")
	}
	if err != nil {
		return nil, fmt.Errorf("apart: answer: %w", err)
	}
	return key[:], nil
}

// end ends the process and tells how it ended. What does not end by itself, as its input has, is killed: it keeps nothing.
func (p *process) end() error {
	_, _ = p.in.Close(), p.out.Close()
	killing := time.AfterFunc(time.Second, func() { _ = p.cmd.Process.Kill() })
	defer killing.Stop()
	return p.cmd.Wait()
}
