package mux

import (
	"net"
	"sync"
	"time"
)

// letters is a connection below a handshake whose two ends do not meet: what one writes until it waits for an answer is a
// letter, which somebody else carries.
type letters struct {
	mu      sync.Mutex // guards what follows
	moved   *sync.Cond
	in, out []byte
	waits   bool // for a letter
	over    bool // nothing more is read or written
}

var _ net.Conn = (*letters)(nil)

func newLetters() *letters {
	l := &letters{}
	l.moved = sync.NewCond(&l.mu)
	return l
}

// take waits until a letter is whole, or there will be none after it, and gives it.
func (l *letters) take() (letter []byte, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.waits && !l.over {
		l.moved.Wait()
	}
	letter, l.out = l.out, nil
	return letter, l.over
}

// give hands a letter over.
func (l *letters) give(letter []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(letter) > 0 {
		l.in, l.waits = append(l.in, letter...), false
		l.moved.Broadcast()
	}
}

func (l *letters) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.in) == 0 {
		if l.over {
			return 0, net.ErrClosed
		}
		l.waits = true
		l.moved.Broadcast()
		l.moved.Wait()
	}
	n := copy(b, l.in)
	l.in = l.in[n:]
	return n, nil
}

func (l *letters) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0, net.ErrClosed
	}
	l.out = append(l.out, b...)
	return len(b), nil
}

// Close ends the waiting at both sides of it.
func (l *letters) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.moved.Broadcast()
	return nil
}

// nowhere is the address of what is carried by others.
type nowhere struct{}

func (nowhere) Network() string { return "letters" }
func (nowhere) String() string  { return "" }

func (l *letters) LocalAddr() net.Addr              { return nowhere{} }
func (l *letters) RemoteAddr() net.Addr             { return nowhere{} }
func (l *letters) SetDeadline(time.Time) error      { return nil } // it ends with Close
func (l *letters) SetReadDeadline(time.Time) error  { return nil }
func (l *letters) SetWriteDeadline(time.Time) error { return nil }
