package transport

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/router/message"
)

// closing is a connection that tells when it was closed.
type closing struct {
	net.Conn
	at chan time.Time
}

func (c closing) Close() error {
	c.at <- time.Now()
	return nil
}

func newClosing() closing { return closing{at: make(chan time.Time, 1)} }

func TestWhoTakesTooLongToArriveIsClosedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := Limits{}.WithDefaults()
		a := newArrivals(&limits, func(*Link) { t.Error("a connection was taken for a link") })
		start := time.Now()
		slow, slower, quick := newClosing(), newClosing(), newClosing()
		a.add(slower, start.Add(2*time.Second)).extend(nil, start.Add(5*time.Second)) // behind it come others with less time
		a.add(slow, start.Add(2*time.Second))
		done := a.add(quick, start.Add(time.Second))
		done.end()
		done.end() // twice is fine
		for c, after := range map[closing]time.Duration{slow: 2 * time.Second, slower: 5 * time.Second} {
			if took := (<-c.at).Sub(start); took > after || took < after-2*a.grain {
				t.Errorf("closed after %v, not %v", took, after)
			}
		}
		synctest.Wait()
		if len(quick.at) > 0 {
			t.Error("one that had arrived was closed")
		}
		if a.mu.Lock(); a.armed {
			t.Error("nobody is waited for, but the timer runs")
		}
		a.mu.Unlock()
	})
}

func TestALinkThatDoesNotJoinExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := Limits{}.WithDefaults()
		expired := make(chan *Link, 1)
		a := newArrivals(&limits, func(l *Link) { expired <- l })
		here, there := net.Pipe()
		defer there.Close()
		l := newLink(here, here, codec{message.JSON, webSocket}, Peer{}, &limits, &clock{}, &Meter{})
		start := time.Now()
		l.arrival = a.add(here, start.Add(2*time.Second))
		l.arrival.extend(l, start.Add(5*time.Second))
		if got, took := <-expired, time.Since(start); got != l || took > 5*time.Second || took < 4*time.Second {
			t.Errorf("after %v", took)
		}
		l.kill()
	})
}

func TestNobodyArrivesAfterTheEnd(t *testing.T) {
	t.Parallel()
	limits := Limits{}.WithDefaults()
	a := newArrivals(&limits, func(*Link) {})
	c := newClosing()
	a.add(c, time.Now().Add(time.Hour))
	a.close()
	if len(c.at) == 0 {
		t.Error("who had not arrived was left open")
	}
	if a.add(newClosing(), time.Now()) != nil {
		t.Error("another was let in")
	}
}
