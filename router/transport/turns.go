package transport

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// turns is for sessions that have much to write: as many have their turn at a time as there are processors, the others wait in a
// line. A turn begins with giving way and is a slice of time. So a session that has little never stands behind more than that.
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

// slice is how long a turn lasts: as long as a dozen writes over loopback. To give way costs a twentieth of it.
const slice = 100 * time.Microsecond

// have takes steps with a turn, one after the other, until there are no more. After each slice of time the caller goes to the end
// of the line.
func (ts *turns) have(t *turn, step func() (more bool)) {
	defer func() { ts.free <- t }()
	for t.use(step) {
		ts.free <- t
		t = ts.next()
	}
}

// next gives the caller a turn when it is its own.
func (ts *turns) next() *turn { return <-ts.free }

// spare gives a turn that nobody wants now; nil where there is none.
func (ts *turns) spare() *turn {
	select {
	case t := <-ts.free:
		return t
	default:
		return nil
	}
}

// help takes steps with a turn that was to spare, for as long as one is. Who waits in the line gets it after a slice of time.
func (ts *turns) help(t *turn, step func() (more bool)) {
	for t != nil {
		more := t.use(step)
		if ts.free <- t; !more {
			return
		}
		t = ts.spare()
	}
}

// use gives way, then takes steps for a slice of time, or until there are no more.
func (t *turn) use(step func() (more bool)) (more bool) {
	t.giveWay()
	for begun := time.Now(); step(); {
		if time.Since(begun) >= slice {
			return true
		}
	}
	return false
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
