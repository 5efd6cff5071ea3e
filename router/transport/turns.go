package transport

import (
	"os"
	"runtime"
	"sync"
	"syscall"
)

// turns is for sessions that have much to write: as many have their turn at a time as there are processors, the others wait in a
// line, and each turn begins with giving way. So a session that has little never stands behind more than that.
type turns struct{ free chan *turn }

// turn is one that a session can have.
type turn struct {
	bell struct {
		listen syscall.RawConn // nil where there is none
		button *os.File
	}
	rung bool
	ring func(fd uintptr) bool
}

// ofProcess are the turns of this process, whose processors they stand for. They are never closed.
var ofProcess = sync.OnceValue(func() *turns { return newTurns(runtime.GOMAXPROCS(0)) })

func newTurns(n int) *turns {
	t := &turns{free: make(chan *turn, n)}
	for range n {
		t.free <- newTurn()
	}
	return t
}

// newTurn makes a turn with a pipe for a bell, without one where the system has none left.
func newTurn() *turn {
	t := &turn{}
	r, w, err := os.Pipe()
	if err != nil {
		return t
	}
	if t.bell.listen, err = r.SyscallConn(); err != nil {
		return t
	}
	t.bell.button, t.ring = w, t.press
	return t
}

// have runs f when it is the caller's turn.
func (ts *turns) have(f func()) {
	t := <-ts.free
	defer func() { ts.free <- t }()
	t.giveWay()
	f()
}

// giveWay lets all others run first who can, and those whose data has come meanwhile. runtime.Gosched alone does not do that: a
// processor looks for what has come only when nobody is left to run, or after 10 ms, and another thread that waits for it may
// have to wait for a processor. So the caller waits for data, too, which is there.
func (t *turn) giveWay() {
	if t.bell.listen != nil {
		t.rung = false
		if t.bell.listen.Read(t.ring) != nil {
			t.bell.listen = nil // a system on which nobody can wait for a pipe
		}
	}
	runtime.Gosched() // who was found with the caller goes first
}

// press rings the bell the first time, and hears it the second.
func (t *turn) press(fd uintptr) (done bool) {
	var b [1]byte
	if !t.rung {
		t.rung = true
		_, err := t.bell.button.Write(b[:])
		return err != nil
	}
	_, err := syscall.Read(int(fd), b[:])
	for err == syscall.EINTR {
		_, err = syscall.Read(int(fd), b[:])
	}
	return err != syscall.EAGAIN
}
