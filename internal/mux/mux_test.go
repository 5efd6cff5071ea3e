package mux_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var config = mux.Config{Streams: 64, Window: 1 << 20, Budget: 4 << 20}

// pair gives both ends of a session over real TLS.
func pair(t testing.TB, client, server mux.Config) (mux.Session, mux.Session) {
	t.Helper()
	ws, other := sockets(t)
	server.Upgraded = true
	a, errA := mux.Client(ws, client)
	b, errB := mux.Server(other, server)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// sockets gives both ends of a WebSocket as the gateway makes it.
func sockets(t testing.TB) (client, server *websocket.Conn) {
	t.Helper()
	got := make(chan *websocket.Conn, 1)
	up := websocket.Upgrader{Subprotocols: []string{wire.TunnelProtocol}, ReadBufferSize: mux.Buffer}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer open" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		got <- ws
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	door := mux.Door{URL: "wss" + strings.TrimPrefix(srv.URL, "https"), Ticket: secret.FromString("open"), TLS: &tls.Config{RootCAs: roots}}
	client, err := mux.Dial(t.Context(), door)
	if err != nil {
		t.Fatal(err)
	}
	door.Ticket = secret.FromString("wrong")
	if _, err := mux.Dial(t.Context(), door); errs.KindOf(err) != wire.Unauthenticated {
		t.Errorf("a wrong ticket: %v", err)
	}
	door.TLS = nil
	if _, err := mux.Dial(t.Context(), door); err == nil || !strings.Contains(errs.UserText(err), "not trusted") {
		t.Errorf("an unknown authority: %v", err)
	}
	return client, <-got
}

// streams gives both ends of one stream, plain or encrypted from end to end.
func streams(t *testing.T, sealed bool) (mux.Stream, mux.Stream) {
	t.Helper()
	a, b := pair(t, config, config)
	s, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !sealed {
		if _, err := s.Write(nil); err != nil {
			t.Fatal(err)
		}
		o, err := b.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return s, o
	}
	user, device := shaken(t)
	if s, err = user.Seal(s); err != nil {
		t.Fatal(err)
	}
	o, err := b.Accept()
	if err == nil {
		o, err = device.Seal(o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

func identity(t testing.TB) mux.Identity {
	t.Helper()
	id, err := mux.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	der, err := id.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := mux.ParseIdentity(der)
	if err != nil || again.Fingerprint() != id.Fingerprint() {
		t.Fatal("a key is another when it is read again", err)
	}
	return again
}

func both(t *testing.T, test func(t *testing.T, a, b mux.Stream)) {
	t.Helper()
	for name, sealed := range map[string]bool{"plain": false, "sealed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := streams(t, sealed)
			test(t, a, b)
		})
		t.Run(name+" from the other side", func(t *testing.T) {
			t.Parallel()
			a, b := streams(t, sealed)
			test(t, b, a)
		})
	}
}

func TestAReplyComesThroughAfterTheAskerHasEndedItsSide(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, a, b mux.Stream) {
		reply := make([]byte, 3<<20)
		_, _ = rand.Read(reply)
		var wg sync.WaitGroup
		wg.Go(func() {
			question, err := io.ReadAll(b)
			if string(question) != "question" || err != nil {
				t.Errorf("got %q, %v", question, err)
			}
			_, errWrite := b.Write(reply)
			if err := errors.Join(errWrite, b.CloseWrite()); err != nil {
				t.Error(err)
			}
		})
		_, errWrite := a.Write([]byte("question"))
		if err := errors.Join(errWrite, a.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(a)
		wg.Wait()
		if err != nil || !bytes.Equal(got, reply) {
			t.Errorf("%d bytes of %d, %v", len(got), len(reply), err)
		}
	})
}

func TestAStreamOfNoBytesEnds(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, a, b mux.Stream) {
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(b); len(got) != 0 || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if err := b.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(a); len(got) != 0 || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestOneByteComesThroughAtOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, a, b mux.Stream) {
		buffer := make([]byte, 8)
		for i := range 50 {
			if _, err := a.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
			if n, err := b.Read(buffer); n != 1 || buffer[0] != byte(i) || err != nil {
				t.Fatalf("got %d, %v, %v", n, buffer, err)
			}
			if _, err := b.Write(buffer[:1]); err != nil {
				t.Fatal(err)
			}
			if n, err := a.Read(buffer); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
	})
}

func TestAStreamThatIsBrokenOffDoesNotLookEnded(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, a, b mux.Stream) {
		if _, err := a.Write([]byte("half of it")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(b, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		_ = a.Reset()
		if _, err := io.ReadAll(b); err == nil {
			t.Error("it ended as if it were whole")
		}
		if _, err := b.Write([]byte("more")); err == nil {
			if _, err = b.Write([]byte("more")); err == nil {
				t.Log("a write that was under way is lost") // the reset may come after it
			}
		}
	})
}

func TestAStreamThatNobodyReadsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	a, b := pair(t, config, config)
	stalled, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = stalled.Write(make([]byte, 64<<20)) }) // ends with the session
	if _, err := b.Accept(); err != nil {
		t.Fatal(err)
	}
	live, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		_, _ = live.Write(make([]byte, 8<<20))
		_ = live.CloseWrite()
	})
	other, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, other); n != 8<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	a.Close()
	wg.Wait()
}

func TestMoreStreamsThanAllowedAreRefused(t *testing.T) {
	t.Parallel()
	few := config
	few.Streams = 2
	a, b := pair(t, config, few)
	var open []mux.Stream
	for range 3 {
		s, err := a.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Write([]byte("x"))
		open = append(open, s)
	}
	for range 2 {
		if _, err := b.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open[2].Read(make([]byte, 1)); err == nil {
		t.Error("the third stream is open")
	}
	none := config
	none.Streams = 0
	a, _ = pair(t, config, none)
	s, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write([]byte("x"))
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("a stream to a side that takes none is open")
	}
}

func TestASilentPeerIsNoticedAtBothSides(t *testing.T) {
	t.Parallel()
	ws, other := sockets(t)
	quick := config
	quick.Ping = 50 * time.Millisecond
	a, err := mux.Client(ws, quick)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer other.Close() // it reads nothing and says nothing, as if the cable were cut
	select {
	case <-a.Done():
	case <-time.After(time.Minute):
		t.Fatal("a peer that is gone is believed to be there")
	}
	if _, err := a.Open(t.Context()); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestTheEndOfASessionEndsItsStreamsAtBothSides(t *testing.T) {
	t.Parallel()
	a, b := pair(t, config, config)
	s, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write([]byte("x"))
	o, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	a.Close()
	_, _ = io.ReadFull(o, make([]byte, 1))
	if _, err := o.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the stream ended as if it were whole: %v", err)
	}
	if _, err := b.Accept(); err == nil {
		t.Error("the session goes on")
	}
	if took := time.Since(began); took > 8*time.Second { // well before an end would be missed
		t.Errorf("it took %s", took)
	}
}

func TestAPeerThatSpeaksAnythingElseIsLeft(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]struct {
		kind int
		text []byte
	}{"text": {websocket.TextMessage, []byte("hello")}, "a frame that is cut off": {websocket.BinaryMessage, []byte{2, 0, 0, 9, 0, 0, 0, 1, 'x'}}, "half a head": {websocket.BinaryMessage, []byte{1}}} {
		ws, other := sockets(t)
		a, err := mux.Server(ws, config)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.WriteMessage(m.kind, m.text); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Accept(); errs.KindOf(err) != wire.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		<-a.Done()
		a.Close()
		_ = other.Close()
	}
}

func TestADeadlineEndsAWait(t *testing.T) {
	t.Parallel()
	a, _ := streams(t, false)
	if err := a.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading: %v", err)
	}
	if err := a.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing: %v", err)
	}
	_ = a.Close()
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("a closed stream is written")
	}
}

func TestNothingButWSSIsDialled(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"ws://127.0.0.1:1/", "https://127.0.0.1:1/", "wss://", "wss://user@127.0.0.1:1/", "\x00"} {
		if _, err := mux.Dial(context.Background(), mux.Door{URL: url}); errs.KindOf(err) != wire.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func tcpPair(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

func TestAPipePassesEachEndAndEachBreakOn(t *testing.T) {
	t.Parallel()
	user, near := tcpPair(t)
	a, b := streams(t, true)
	far, target := tcpPair(t)
	var wg sync.WaitGroup
	wg.Go(func() { _, _, _ = mux.Pipe(near, a) })
	wg.Go(func() { _, _, _ = mux.Pipe(b, far) })
	_, _ = user.Write([]byte("ping"))
	_ = user.CloseWrite()
	if got, err := io.ReadAll(target); string(got) != "ping" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_, _ = target.Write([]byte("pong"))
	got := make([]byte, 4)
	if _, err := io.ReadFull(user, got); string(got) != "pong" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_ = target.SetLinger(0)
	_ = target.Close()
	if _, err := user.Read(got); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a reset arrives as %v", err)
	}
	wg.Wait()
}
