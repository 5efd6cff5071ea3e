package transport

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"bulkhead/router/message"
)

// The peer sends a message and a part of the next in one record. What follows from the first is written before the rest is waited
// for.
func TestWhatFollowsIsWrittenBeforeALinkWaits(t *testing.T) {
	t.Parallel()
	l, there := wiredTLS(t)
	var o Outbox
	l.Flushes(&o)
	one, err := codec{message.JSON, rawSocket}.frame(numbered(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := there.Write(append(bytes.Clone(one), one[:len(one)/2]...)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Receive(); err != nil {
		t.Fatal(err)
	}
	if err := l.SendIn(&o, numbered(2, 0)); err != nil {
		t.Fatal(err)
	}
	received := make(chan error, 1)
	go func() {
		_, err := l.Receive()
		received <- err
	}()
	if _, err := io.ReadFull(there, make([]byte, rawHead)); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Write(one[len(one)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := <-received; err != nil {
		t.Error(err)
	}
	l.end()
}

func TestATLSRecordIsReadInWhicheverPiecesItComes(t *testing.T) {
	t.Parallel()
	here, there := connected(t)
	c := &carrier{Conn: here}
	c.in.use(here, func() {})
	record := func(n int) []byte {
		return append([]byte{23, 3, 3, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{byte(n)}, n)...)
	}
	sent := bytes.Join([][]byte{record(300), record(0), record(1), record(9000)}, nil)
	ends := []int{305, 310, 316, len(sent)}
	go func() {
		for _, piece := range [][]byte{sent[:3], sent[3:200], sent[200:307], sent[307:312], sent[312:]} {
			_, _ = there.Write(piece) // whether it came is looked at below
		}
		_ = there.Close()
	}()
	var got []byte
	for buf, err := make([]byte, 512), error(nil); err == nil; {
		var n int
		n, err = c.Read(buf)
		for _, end := range ends {
			if len(got) < end && len(got)+n > end {
				t.Fatalf("a read goes beyond the record that ends at %d", end)
			}
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came of %d, or others", len(got), len(sent))
	}
	_ = here.Close()
}

// A peer can have TLS itself write, by asking for new keys. One that does not read is not waited for, and little is kept for it.
func TestACarrierKeepsOnlySoMuch(t *testing.T) {
	t.Parallel()
	l, _ := wiredTLS(t)
	piece := make([]byte, gather)
	for range 64 << 20 / gather { // much more than sockets hold
		if _, err := l.carrier.Write(piece); err != nil {
			break
		}
	}
	if kept := len(l.carrier.left); kept == 0 || kept > maxLeft {
		t.Errorf("%d bytes are kept", kept)
	}
	l.kill()
	l.end()
}

// filled gives a link over TLS whose carrier keeps something, and its peer, which did not read.
func filled(t *testing.T) (*Link, net.Conn) {
	t.Helper()
	l, there := wiredTLS(t)
	for piece := make([]byte, gather); !l.carrier.full(); {
		if _, err := l.conn.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	return l, there
}

// TLS says its farewell where the system takes nothing, and then sets a deadline that is over. All that is kept is written
// nevertheless.
func TestAFarewellThatWasKeptIsWritten(t *testing.T) {
	t.Parallel()
	l, there := filled(t)
	closeWrite(l.conn)
	drained := make(chan error, 1)
	go func() {
		drained <- l.drain()
		closeWrite(l.raw)
	}()
	if _, err := io.Copy(io.Discard, there); err != nil { // where the farewell is missing, the end is unexpected
		t.Error(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	l.end()
}

// Who has the time of writes in view sees what a carrier keeps as a write that was begun, and can end it.
func TestAPeerOverTLSThatDoesNotReadHasATimeLimit(t *testing.T) {
	t.Parallel()
	l, _ := filled(t)
	var o Outbox
	if err := l.SendIn(&o, numbered(1, 0)); err != nil {
		t.Fatal(err)
	}
	o.Flush() // it returns: a goroutine waits for the peer
	for l.writingSince.Load() == 0 {
		runtime.Gosched()
	}
	l.kill() // as the server does when it takes too long
	l.end()
}

func TestALinkOverTLSEndsInOrder(t *testing.T) {
	t.Parallel()
	l, there := wiredTLS(t)
	l.Finish(numbered(7, 0), 10*time.Second)
	go l.end()
	all, err := io.ReadAll(there) // fails where the end is none of TLS
	if err != nil || !bytes.Contains(all, []byte(`"n":7`)) {
		t.Errorf("the peer got %q (%v)", all, err)
	}
	_ = there.Close()
	<-l.Done()
}
