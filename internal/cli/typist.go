package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// typist asks the person at the terminal, or reads lines of the standard input where there is no terminal.
type typist struct {
	inv      *invocation
	lines    *bufio.Reader
	terminal bool
}

func (inv *invocation) typist() *typist {
	return &typist{inv: inv, lines: bufio.NewReader(io.LimitReader(inv.In, 64<<10)), terminal: isTerminal(inv.In)}
}

// say talks to the person; it is not data.
func (t *typist) say(format string, args ...any) {
	fmt.Fprintln(t.inv.Err, tame(fmt.Sprintf(format, args...)))
}

// ask reads a line that may be seen.
func (t *typist) ask(ctx context.Context, what string) (string, error) {
	line, err := t.read(ctx, what, func() ([]byte, error) { return t.line() })
	return string(line), err
}

// secret reads a line that is not shown at a terminal.
func (t *typist) secret(ctx context.Context, what string) (secret.Value, error) {
	f, ok := t.inv.In.(*os.File)
	if !t.terminal || !ok {
		line, err := t.read(ctx, what, func() ([]byte, error) { return t.line() })
		return secret.New(line), err
	}
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return secret.Value{}, err
	}
	line, err := t.read(ctx, what, func() ([]byte, error) { return term.ReadPassword(fd) })
	fmt.Fprintln(t.inv.Err)
	if ctx.Err() != nil {
		_ = term.Restore(fd, before) // the reader still waits, with the echo off
	}
	return secret.New(line), err
}

// read reads once, and gives up when ctx ends: the reader then waits until the process ends, which is at once.
func (t *typist) read(ctx context.Context, what string, from func() ([]byte, error)) ([]byte, error) {
	if t.terminal {
		fmt.Fprintf(t.inv.Err, "%s: ", what)
	}
	type result struct {
		line []byte
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := from()
		got <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-got:
		switch {
		case errors.Is(r.err, io.EOF):
			return nil, errs.E(wire.Invalid, "%s: nothing was typed", what)
		case r.err != nil:
			return nil, r.err
		case len(r.line) == 0:
			return nil, errs.E(wire.Invalid, "%s: nothing was typed", what)
		default:
			return r.line, nil
		}
	}
}

// line reads a line without its end; the last one needs none.
func (t *typist) line() ([]byte, error) {
	line, err := t.lines.ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		err = nil
	}
	return []byte(strings.TrimRight(line, "\r\n")), err
}

// secretFile reads a file of one secret, as the ready file of dev names them.
func secretFile(file string) (secret.Value, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return secret.Value{}, errs.As(wire.Invalid, err, "%s cannot be read", file)
	}
	line := strings.TrimRight(string(text), "\r\n")
	if line == "" || strings.ContainsAny(line, "\r\n") {
		return secret.Value{}, errs.E(wire.Invalid, "%s: want one line", file)
	}
	return secret.FromString(line), nil
}
