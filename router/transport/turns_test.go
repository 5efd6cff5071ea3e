package transport

import (
	"io"
	"runtime"
	"testing"
	"time"
)

// A test that is not parallel has the processors, and the turns, for itself.

//nolint:paralleltest // it needs to be the only one with one processor
func TestWhoGivesWayLetsThoseRunWhoseDataHasCome(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	here, there := wired(t)
	mine := newTurn()
	const times = 50
	first := 0
	for range times {
		heard := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(there, make([]byte, 1))
			heard <- err
		}()
		runtime.Gosched() // it waits for data now
		if _, err := here.conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		mine.giveWay()
		select {
		case err := <-heard:
			first++
			if err != nil {
				t.Fatal(err)
			}
		default: // the kernel may have taken the processor from it in between
			if err := <-heard; err != nil {
				t.Fatal(err)
			}
		}
	}
	if first < times/2 {
		t.Errorf("it was first %d times of %d", first, times)
	}
}

//nolint:paralleltest // it takes all turns of the process
func TestWhoHasLittleDoesNotStandInLineBehindWhoHasMuch(t *testing.T) {
	all := ofProcess()
	var taken []*turn
	for range cap(all.free) {
		taken = append(taken, <-all.free)
	}
	much, muchThere := wired(t)
	flushed := make(chan error, 1)
	go func() {
		var o Outbox
		err := much.SendIn(&o, numbered(1, 0))
		o.Handled(true)
		o.Handled(false)
		flushed <- err
	}()
	little, littleThere := wired(t)
	var o Outbox
	if err := little.SendIn(&o, numbered(2, 0)); err != nil {
		t.Fatal(err)
	}
	o.Handled(false)
	if _, err := io.ReadFull(littleThere, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	select {
	case <-flushed:
		t.Error("it did not wait for its turn")
	default:
	}
	for _, one := range taken {
		all.free <- one
	}
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(muchThere, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestATurnIsGivenBackWhateverBecomesOfIt(t *testing.T) {
	t.Parallel()
	ts := newTurns(1)
	func() {
		defer func() { _ = recover() }()
		ts.have(ts.next(), func() bool { panic("in a turn") })
	}()
	had := false
	ts.have(ts.next(), func() bool { had = true; return false })
	if !had {
		t.Error("no turn is left")
	}
}

// aSlice is a step that takes as long as a turn lasts.
func aSlice() {
	for begun := time.Now(); time.Since(begun) < slice; {
		runtime.Gosched()
	}
}

func TestWhoHasMuchGoesToTheEndOfTheLineAfterASlice(t *testing.T) {
	t.Parallel()
	ts := newTurns(1)
	mine, other := ts.next(), make(chan struct{})
	go func() { ts.have(ts.next(), func() bool { close(other); return false }) }()
	ts.have(mine, func() bool { // it ends only if the other has its turn in between
		aSlice()
		select {
		case <-other:
			return false
		default:
			return true
		}
	})
	if ts.spare() == nil {
		t.Error("the turn was not given back")
	}
}

func TestWhoHelpsLeavesTheTurnToThoseWhoWaitForOne(t *testing.T) {
	t.Parallel()
	ts := newTurns(1)
	spare, other := ts.spare(), make(chan struct{})
	go func() { ts.have(ts.next(), func() bool { close(other); return false }) }()
	ts.help(spare, func() bool { aSlice(); return true }) // it returns only if somebody else has the turn
	<-other
}

func TestATurnWithoutABellGivesWayToo(t *testing.T) {
	t.Parallel()
	ran := make(chan struct{})
	go close(ran)
	new(turn).giveWay()
	<-ran
}
