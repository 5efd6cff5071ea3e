package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"bulkhead/router/message"
)

// wired gives a joined link over TCP and its peer's end.
func wired(t *testing.T) (*Link, net.Conn) {
	t.Helper()
	here, there := connected(t)
	return joinedOver(t, here, here), there
}

// wiredTLS is wired over TLS, with a carrier.
func wiredTLS(t *testing.T) (*Link, net.Conn) {
	t.Helper()
	here, there := connected(t)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.StartTLS()
	defer server.Close()
	secured := overCarrier(here, &tls.Config{Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS13})
	client := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	client.ServerName = "example.com"
	peer := tls.Client(there, client)
	shaken := make(chan error, 1)
	go func() { shaken <- secured.Handshake() }()
	if err := errors.Join(peer.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	l := joinedOver(t, secured, below(secured))
	if l.carrier == nil || l.raw != here {
		t.Fatal("the link has no carrier, or does not know what is below it")
	}
	return l, peer
}

// connected gives both ends of a connection.
func connected(t *testing.T) (here, there net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	there, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	here, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = there.Close() })
	return here, there
}

func joinedOver(t *testing.T, conn, raw net.Conn) *Link {
	t.Helper()
	limits := Limits{Queue: 64 << 20}.WithDefaults()
	var c clock
	c.set(time.Now())
	l := newLink(conn, raw, codec{message.JSON, rawSocket}, Peer{}, &limits, &c, &Meter{})
	l.source = &rawSource{in: &l.in, pong: func([]byte) {}}
	if !l.Join(CloseSlow, nil, &Meter{}) {
		t.Fatal("it is closed")
	}
	return l
}

// wirings are the ways in which an outbox writes by itself.
var wirings = map[string]func(*testing.T) (*Link, net.Conn){"without TLS": wired, "over TLS": wiredTLS}

// overEach runs a test over each of them.
func overEach(t *testing.T, test func(*testing.T, func(*testing.T) (*Link, net.Conn))) {
	t.Helper()
	for name, wire := range wirings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, wire)
		})
	}
}

func numbered(i int, size int) message.Message {
	return &message.Goodbye{Reason: "test", Details: message.Dict{"n": i, "fill": string(bytes.Repeat([]byte("x"), size))}}
}

func TestWhatAnOutboxHoldsIsWrittenAtOnceByItsOwner(t *testing.T) {
	t.Parallel()
	overEach(t, writesAtOnce)
}

func writesAtOnce(t *testing.T, wire func(*testing.T) (*Link, net.Conn)) {
	t.Helper()
	l, there := wire(t)
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

// What it is held by ends only when the peer reads, which it does not do before.
func TestAReceiverThatStandsStillDoesNotHoldAnOutbox(t *testing.T) {
	t.Parallel()
	overEach(t, standsStill)
}

func standsStill(t *testing.T, wire func(*testing.T) (*Link, net.Conn)) {
	t.Helper()
	l, there := wire(t)
	const messages, size = 800, 32 << 10 // much more than sockets hold, in pieces that are tried at once
	var o Outbox
	for i := range messages {
		if err := l.SendIn(&o, numbered(i, size)); err != nil {
			t.Fatal(err)
		}
		o.Flush()
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
