package terminal

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"bulkhead/wire"
)

// keys are what was typed and the size of the page, on their way to the shell.
type keys struct {
	mu     sync.Mutex // guards what follows
	some   *sync.Cond // of it
	typed  []byte
	size   wire.TerminalMessage // Type is "" where it has not changed
	closed bool
}

func newKeys() *keys {
	k := &keys{}
	k.some = sync.NewCond(&k.mu)
	return k
}

// put reports whether there is room: an honest page sends no more than it was told to.
func (k *keys) put(b []byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.typed)+len(b) > wire.TerminalAhead {
		return false
	}
	k.typed = append(k.typed, b...)
	k.some.Signal()
	return true
}

func (k *keys) resize(m wire.TerminalMessage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.size = m
	k.some.Signal()
}

func (k *keys) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	k.some.Signal()
}

// take waits for something.
func (k *keys) take() (typed []byte, size wire.TerminalMessage, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.typed) == 0 && k.size.Type == "" && !k.closed {
		k.some.Wait()
	}
	typed, size = k.typed, k.size
	k.typed, k.size = nil, wire.TerminalMessage{}
	return typed, size, !k.closed
}

// attendance is a page and a shell that have each other.
type attendance struct {
	page  *page
	shell *session
	keys  *keys
	over  chan ending   // how it ended; the first counts
	shown chan struct{} // closed when all that the shell said was sent
	gone  chan struct{} // closed when nothing more comes from the page
}

// flush is how long what the shell said last may take to be shown.
const flush = 5 * time.Second

// attend connects them until one of them has ended, tells the page how, and leaves nothing of it.
func attend(ctx context.Context, p *page, s *session, shell Shell) {
	a := &attendance{page: p, shell: s, keys: newKeys(), over: make(chan ending, 3), shown: make(chan struct{}), gone: make(chan struct{})}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer a.keys.close()
	defer s.close()
	defer shell.Close()
	defer p.cut()
	if p.tell(wire.TerminalMessage{Type: wire.TerminalOpen, User: shell.User, Left: int64(shell.Left / time.Second), Recorded: shell.Recorded}) != nil {
		return
	}
	wg.Go(a.hear)
	wg.Go(a.enter)
	wg.Go(a.show)
	wg.Go(func() { a.over <- a.wait(ctx, shell) })
	tick := time.NewTicker(p.ping)
	defer tick.Stop()
	for {
		select {
		case e := <-a.over:
			if e.Reason != "" {
				p.end(e, a.gone)
			}
			return
		case <-ctx.Done():
			p.end(ending{Reason: "shutdown", Text: "The server is stopping."}, a.gone)
			return
		case <-tick.C:
			p.ask()
		}
	}
}

// hear takes what the page sends, and never waits for the shell: what the page has shown must be heard meanwhile.
func (a *attendance) hear() {
	defer close(a.gone)
	for {
		m, typed, err := a.page.read()
		if err == nil {
			err = a.take(m, typed)
		}
		switch {
		case errors.Is(err, errProtocol):
			a.over <- notUnderstood
			a.page.drain()
			return
		case err != nil:
			a.over <- ending{} // nobody is there to be told
			return
		}
		a.page.alive()
	}
}

func (a *attendance) take(m wire.TerminalMessage, typed []byte) error {
	switch {
	case typed != nil:
		if !a.keys.put(typed) {
			return errProtocol
		}
	case m.Type == wire.TerminalTook:
		return a.page.took(m.Bytes)
	case m.Type == wire.TerminalSize && fits(m):
		a.keys.resize(m)
	default:
		return errProtocol
	}
	return nil
}

// enter types to the shell, at the pace at which that takes it.
func (a *attendance) enter() {
	for {
		typed, size, ok := a.keys.take()
		if !ok {
			return
		}
		if size.Type != "" {
			_ = a.shell.shell.WindowChange(size.Rows, size.Cols) // where it fails, so does the shell
		}
		if len(typed) == 0 {
			continue
		}
		if _, err := a.shell.in.Write(typed); err != nil {
			return // the shell has ended, or is about to
		}
		if a.page.tell(wire.TerminalMessage{Type: wire.TerminalTook, Bytes: len(typed)}) != nil {
			return
		}
	}
}

// show shows what the shell says, and what the agent says of it.
func (a *attendance) show() {
	defer close(a.shown)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { a.showAll(a.shell.aside) })
	a.showAll(a.shell.out)
}

// showAll shows what comes, at the pace at which the page takes it.
func (a *attendance) showAll(from io.Reader) {
	b := make([]byte, wire.TerminalLargest)
	for {
		n, err := from.Read(b)
		if n > 0 && !a.page.show(b[:n]) {
			return
		}
		if err != nil {
			return
		}
	}
}

// wait waits for the shell and, where it ended by itself, until what it said last is shown.
func (a *attendance) wait(ctx context.Context, shell Shell) ending {
	err := a.shell.shell.Wait()
	if exited(err) {
		patience := time.NewTimer(flush)
		defer patience.Stop()
		select {
		case <-a.shown:
		case <-patience.C:
		}
	}
	return endingOf(ctx, err, shell.Why)
}
