// Package apart derives the keys of passwords in processes of their own, which yield to all else.
//
// A hash is 40 ms of a processor and 19 MiB of memory. In the server's process the messages of its router would wait behind
// it. The process is the server's own program, started again with Command, when the first password is to be hashed.
//
// It promises that a password goes through a pipe alone, never through arguments or the environment; that the process ends
// with the server, however that ends, because its input does; that one which dies costs whoever asked it an "unavailable"
// and is replaced for the next; and that where none can be started, or one does not answer in time because nothing is left
// for it to run on, the work is done in the server's process, which the log says.
package apart

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"bulkhead/backend/account/password"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Command is the argument by which a program is asked to Serve.
const Command = "hash-passwords"

// answerWithin bounds one hash. Where all processors are busy a process that yields may get no turn for long; who logs in
// then shall not wait for that, and the server spends at most 40 ms in this time.
const answerWithin = time.Second

// Pool derives keys in at most as many processes as may derive at once. Make one with New and Close it.
type Pool struct {
	program string
	args    []string
	log     *slog.Logger
	within  time.Duration
	slots   chan *process // one for each that may run; nil where none runs
	closed  atomic.Bool
}

var _ password.Deriver = (*Pool)(nil)

// New makes a Pool of a program with its arguments, the first one of which is its name.
func New(program string, args []string, size int, log *slog.Logger) *Pool {
	p := &Pool{program: program, args: args, log: log, within: answerWithin, slots: make(chan *process, size)}
	for range size {
		p.slots <- nil
	}
	return p
}

var errUnavailable = errs.E(wire.Unavailable, "passwords cannot be checked now: try again in a few seconds")

// Derive derives a key.
func (p *Pool) Derive(ctx context.Context, v secret.Value, bits []byte) ([]byte, error) {
	var worker *process
	select {
	case worker = <-p.slots:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if p.closed.Load() {
		p.slots <- worker
		return nil, errUnavailable
	}
	key, worker, err := p.ask(ctx, worker, v, bits)
	p.slots <- worker
	return key, err
}

// What the log says where this process does the work.
const (
	noProcess = "no process can be started that hashes passwords: this one does it, and messages wait for it"
	noTurn    = "the process that hashes passwords does not get to run: this one does it, and messages wait for it"
)

// ask gives the key, and the process for the next one.
func (p *Pool) ask(ctx context.Context, worker *process, v secret.Value, bits []byte) ([]byte, *process, error) {
	fresh := worker == nil
	if fresh {
		var err error
		if worker, err = startProcess(p.program, p.args); err != nil {
			return p.derive(ctx, noProcess, err, v, bits)
		}
	}
	key, err := worker.derive(v, bits, p.within)
	if err == nil {
		return key, worker, nil
	}
	late := errors.Is(err, os.ErrDeadlineExceeded)
	if late {
		_ = worker.cmd.Process.Kill() // it may get no turn to read the end of its input either
	}
	err = errors.Join(err, worker.end())
	switch {
	case late:
		return p.derive(ctx, noTurn, err, v, bits)
	case fresh: // it was no such process
		return p.derive(ctx, noProcess, err, v, bits)
	}
	p.log.WarnContext(ctx, "the process that hashes passwords failed; another takes its place", logkey.Error, err)
	return nil, nil, errUnavailable
}

// derive is for where no process does it.
func (p *Pool) derive(ctx context.Context, what string, why error, v secret.Value, bits []byte) ([]byte, *process, error) {
	p.log.WarnContext(ctx, what, logkey.Error, why)
	key, err := password.Here{}.Derive(ctx, v, bits)
	return key, nil, err
}

// Close ends the processes, each after the hash that it is at. Closing twice is fine.
func (p *Pool) Close() {
	if p.closed.Swap(true) {
		return
	}
	for range cap(p.slots) {
		if worker := <-p.slots; worker != nil {
			_ = worker.end() // it has nothing to tell
		}
	}
	for range cap(p.slots) {
		p.slots <- nil // who comes now is told that there is none
	}
}
