// Package flood floods a realm from a process of its own, which gets the processors only while nobody else wants them.
//
// It promises that nobody but the flooded router has to wait because of it, as far as the kernel can see to that; that what it
// delivered is counted, so that a flood which had too little time does not pass for one; and that its process ends with the
// one that started it.
package flood

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"bulkhead/test/peers/internal/load"
)

// Plan is what is flooded.
type Plan struct {
	Addr string
	CA   string // the file with the authority of the router's certificate; empty without TLS
	Load load.PubSubPlan
}

// Order asks for one flood.
type Order struct {
	PerSecond int // publications of one publisher; 0: as many as it gets acknowledged
	For       time.Duration
}

// Outcome is what came of an order.
type Outcome struct {
	Published  int64 // times the subscribers: the events that there should be
	Delivered  int64
	Lost       int64
	Refused    int64
	Disordered int64
	Elapsed    time.Duration
	Generator  time.Duration // processor time of the flood's process
	Failed     string
}

// Flood is a process that floods when it is told to.
type Flood struct {
	cmd *exec.Cmd
	in  io.Closer
	ask *json.Encoder
	out *json.Decoder
}

// Start starts the process, which is program with the given first argument and calls Main, and waits until it has joined. It
// must be called on the main thread: the kernel ends the process when the thread that started it ends. The process ends with
// ctx, too.
func Start(ctx context.Context, program, word string, p Plan) (*Flood, error) {
	cmd := exec.CommandContext(ctx, program, word) //nolint:gosec // the caller's own program
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Stderr = os.Stderr
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return nil, fmt.Errorf("flood: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("flood: %w", err)
	}
	f := &Flood{cmd: cmd, in: in, ask: json.NewEncoder(in), out: json.NewDecoder(out)}
	if _, err := f.exchange(p); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Run floods for the time d, then waits for what is under way.
func (f *Flood) Run(perSecond int, d time.Duration) (Outcome, error) {
	return f.exchange(Order{PerSecond: perSecond, For: d})
}

func (f *Flood) exchange(v any) (o Outcome, err error) {
	if err = f.ask.Encode(v); err == nil {
		err = f.out.Decode(&o)
	}
	if err == nil && o.Failed != "" {
		err = errors.New(o.Failed)
	}
	if err != nil {
		return o, fmt.Errorf("flood: %w", err)
	}
	return o, nil
}

// Close ends the process.
func (f *Flood) Close() {
	_ = f.in.Close()         // tells it to end
	_ = f.cmd.Process.Kill() // it has nothing to tidy up
	_ = f.cmd.Wait()         // the exit status says only that
}
