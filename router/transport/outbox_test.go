package transport

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"bulkhead/router/message"
)

// wired gives a joined link over TCP and its peer's end.
func wired(t *testing.T) (*Link, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	there, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = there.Close() })
	limits := Limits{Queue: 64 << 20}.WithDefaults()
	var c clock
	c.set(time.Now())
	l := newLink(here, here, codec{message.JSON, rawSocket}, Peer{}, &limits, &c, &Meter{})
	l.source = &rawSource{in: &l.in, pong: func([]byte) {}}
	if !l.Join(CloseSlow, nil, &Meter{}) {
		t.Fatal("it is closed")
	}
	return l, there
}

func numbered(i int, size int) message.Message {
	return &message.Goodbye{Reason: "test", Details: message.Dict{"n": i, "fill": string(bytes.Repeat([]byte("x"), size))}}
}

func TestWhatAnOutboxHoldsIsWrittenAtOnceByItsOwner(t *testing.T) {
	t.Parallel()
	l, there := wired(t)
	var o Outbox
	for i := range 3 {
		if err := l.SendIn(&o, numbered(i, 0)); err != nil {
			t.Fatal(err)
		}
	}
	o.Flush()
	if writes := l.meter.Load().Writes.Load(); writes != 1 {
		t.Errorf("%d writes of three messages", writes)
	}
	o.Flush() // there is nothing left
	l.Finish(nil, time.Second)
	go l.end()
	all, err := io.ReadAll(there)
	if err != nil || bytes.Count(all, []byte(`"test"`)) != 3 {
		t.Errorf("the peer got %q (%v)", all, err)
	}
	_ = there.Close()
	<-l.Done()
}

func TestAReceiverThatStandsStillDoesNotHoldAnOutbox(t *testing.T) {
	t.Parallel()
	l, there := wired(t)
	const messages, size = 400, 64 << 10 // much more than sockets hold
	var o Outbox
	start := time.Now()
	for i := range messages {
		if err := l.SendIn(&o, numbered(i, size)); err != nil {
			t.Fatal(err)
		}
		o.Flush()
	}
	if took := time.Since(start); took > 8*time.Second { // a write has ten
		t.Errorf("it was held for %v", took)
	}
	l.Finish(nil, 10*time.Second)
	go l.end()
	all, err := io.ReadAll(there)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages { // all of it, in order
		if len(all) < rawHead {
			t.Fatalf("message %d did not come", i)
		}
		_, n := rawPrefix([rawHead]byte(all))
		m, err := message.Decode(message.JSON, all[rawHead:rawHead+n])
		if err != nil || m.(*message.Goodbye).Details["n"] != uint64(i) {
			t.Fatalf("message %d is %.80v (%v)", i, m, err)
		}
		all = all[rawHead+n:]
	}
	_ = there.Close()
	<-l.Done()
}

func TestAnOutboxOfALinkThatWasKilledLetsItEnd(t *testing.T) {
	t.Parallel()
	l, _ := wired(t)
	var o Outbox
	if err := l.SendIn(&o, numbered(1, 0)); err != nil {
		t.Fatal(err)
	}
	l.kill()
	ended := make(chan struct{})
	go func() { defer close(ended); l.end() }()
	o.Flush()
	<-ended
}
