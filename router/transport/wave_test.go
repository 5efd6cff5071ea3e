package transport

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPublicationToManyIsWrittenToEachOnceAndInOrder(t *testing.T) {
	t.Parallel()
	overEach(t, writesToMany)
}

// writesToMany publishes twice to so many that others help.
func writesToMany(t *testing.T, wire func(*testing.T) (*Link, net.Conn)) {
	t.Helper()
	links, there := make([]*Link, 2*share), make([]net.Conn, 2*share)
	for i := range links {
		links[i], there[i] = wire(t)
	}
	var o Outbox
	for n := range 2 {
		p := Parcel{Message: numbered(n, 10)}
		for _, l := range links {
			if err := l.DeliverIn(&o, &p); err != nil {
				t.Fatal(err)
			}
		}
		o.Handled(false)
		if o.waits() {
			t.Error("something is left to be written")
		}
	}
	for i, l := range links {
		l.Finish(nil, time.Second)
		go l.end()
		all, err := io.ReadAll(there[i])
		first, second := bytes.Index(all, []byte(`"n":0`)), bytes.Index(all, []byte(`"n":1`))
		if err != nil || bytes.Count(all, []byte(`"test"`)) != 2 || first < 0 || second < first {
			t.Errorf("peer %d got %q (%v)", i, all, err)
		}
		_ = there[i].Close()
		<-l.Done()
	}
}

func TestWhoHasHandledMuchGivesWayEvenIfNothingFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ts := newTurns(1)
		taken, ended := ts.next(), false
		go func() {
			writeInTurns(ts, nil)
			ended = true
		}()
		synctest.Wait()
		if ended {
			t.Error("it did not wait for its turn")
		}
		ts.free <- taken
		synctest.Wait()
		if !ended {
			t.Error("it did not get its turn")
		}
	})
}

func TestAWaveKeepsNoLinks(t *testing.T) {
	t.Parallel()
	l, _ := wired(t)
	ts := newTurns(2)
	links := []*Link{l, l, l}
	_ = writeInTurns(ts, links)
	for _, kept := range links {
		if kept != nil {
			t.Error("it keeps a link in memory")
		}
	}
	l.kill()
	l.end()
}
