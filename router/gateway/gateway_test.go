package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/internal/secret"
	"bulkhead/router/gateway"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is what is put on record.
type book struct {
	mu     sync.Mutex // guards what follows
	lines  []string
	fail   error
	closed chan gateway.Closing
	hold   chan struct{} // Opened waits for it where it is not nil
	slow   chan struct{} // Streams does
	told   atomic.Int64  // calls of Streams
}

func (b *book) Opened(ctx context.Context, id string) error {
	if b.hold != nil {
		select {
		case <-b.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, "opened "+id)
	return b.fail
}

func (b *book) Streams(_ context.Context, id string, first, last int) {
	b.told.Add(1)
	if b.slow != nil {
		<-b.slow
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for range last - first + 1 {
		b.lines = append(b.lines, "stream "+id)
	}
}

func (b *book) Closed(_ context.Context, id string, c gateway.Closing) {
	b.mu.Lock()
	b.lines = append(b.lines, "closed "+id+" "+string(c.Reason))
	b.mu.Unlock()
	b.closed <- c
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, ", ")
}

type stage struct {
	*gateway.Gateway
	t    *testing.T
	book *book
	url  string
	tls  *tls.Config
}

func newStage(t *testing.T, change func(*gateway.Config, *book)) *stage {
	t.Helper()
	s := &stage{t: t, book: &book{closed: make(chan gateway.Closing, 100)}}
	c := gateway.Config{Events: s.book, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c, s.book)
	}
	s.Gateway = gateway.New(c)
	srv := httptest.NewUnstartedServer(s.Gateway)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(func() { s.Close(); srv.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	s.url, s.tls = "wss"+strings.TrimPrefix(srv.URL, "https"), &tls.Config{RootCAs: roots}
	return s
}

func pass(id string) gateway.Pass {
	return gateway.Pass{ID: id, Expires: time.Now().Add(time.Hour), Idle: time.Hour, MaxStreams: 8}
}

func (s *stage) admit(p gateway.Pass) gateway.Tickets {
	s.t.Helper()
	tickets, err := s.Admit(p)
	if err != nil {
		s.t.Fatal(err)
	}
	return tickets
}

func (s *stage) dial(path string, ticket secret.Value) (*websocket.Conn, error) {
	return mux.Dial(s.t.Context(), mux.Door{URL: s.url + path, Ticket: ticket, TLS: s.tls})
}

var limits = mux.Config{Streams: 64, Window: 1 << 20, Budget: 1 << 20}

// open brings both ends of a tunnel; the device's answers what it is sent.
func (s *stage) open(p gateway.Pass) (user, device mux.Session) {
	s.t.Helper()
	return s.bring(s.admit(p))
}

func (s *stage) bring(tickets gateway.Tickets) (user, device mux.Session) {
	s.t.Helper()
	deviceSocket, err := s.dial(wire.TunnelPathDevice, tickets.Device)
	if err != nil {
		s.t.Fatal(err)
	}
	userSocket, err := s.dial(wire.TunnelPathUser, tickets.User)
	if err != nil {
		s.t.Fatal(err)
	}
	device, errDevice := mux.Server(deviceSocket, limits)
	user, errUser := mux.Client(userSocket, mux.Config{Window: 1 << 20, Budget: 1 << 20})
	if err := errors.Join(errDevice, errUser); err != nil {
		s.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { echo(device, &wg) })
	s.t.Cleanup(func() { user.Close(); device.Close(); wg.Wait() })
	return user, device
}

func echo(device mux.Session, wg *sync.WaitGroup) {
	for {
		stream, err := device.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			_, _ = io.Copy(stream, stream)
			_ = stream.CloseWrite()
		})
	}
}

func (s *stage) closing() gateway.Closing {
	s.t.Helper()
	select {
	case c := <-s.book.closed:
		return c
	case <-time.After(time.Minute):
		s.t.Fatal("the tunnel is not reported as closed")
		return gateway.Closing{}
	}
}

func ask(t *testing.T, user mux.Session, question []byte) {
	t.Helper()
	stream, err := user.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = stream.Write(question)
		_ = stream.CloseWrite()
	})
	got, err := io.ReadAll(stream)
	wg.Wait()
	if err != nil || !bytes.Equal(got, question) {
		t.Fatalf("%d of %d bytes, %v", len(got), len(question), err)
	}
}

func TestWhatGoesThroughATunnelIsCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	user, _ := s.open(pass("T"))
	ask(t, user, []byte("hello"))
	ask(t, user, make([]byte, 3<<20))
	user.Close()
	c := s.closing()
	if c.Reason != gateway.UserLeft || c.Sent != 5+3<<20 || c.Received != c.Sent || c.Streams != 2 || c.Began.IsZero() || c.Duration <= 0 {
		t.Errorf("got %+v", c)
	}
	if got := s.book.String(); got != "opened T, stream T, stream T, closed T user_left" {
		t.Errorf("on record: %s", got)
	}
	if _, ok := s.Usage("T"); ok {
		t.Error("the tunnel is still there")
	}
}

func TestATicketOpensItsOwnEndOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	tickets := s.admit(pass("T"))
	refused := func(what, path string, ticket secret.Value) {
		if ws, err := s.dial(path, ticket); errs.KindOf(err) != wire.Unauthenticated {
			t.Errorf("%s: %v, %v", what, ws, err)
		}
	}
	refused("the user's at the device's door", wire.TunnelPathDevice, tickets.User)
	refused("the device's at the user's door", wire.TunnelPathUser, tickets.Device)
	refused("none", wire.TunnelPathUser, secret.Value{})
	refused("a made-up one", wire.TunnelPathUser, secret.Random())
	if _, err := s.dial("/tunnel/other", tickets.User); err == nil {
		t.Error("there is a third door")
	}
	ws, err := s.dial(wire.TunnelPathUser, tickets.User)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	refused("the user's again", wire.TunnelPathUser, tickets.User)
	s.End("T", "killed")
	if c := s.closing(); c.Reason != "killed" || !c.Began.IsZero() {
		t.Errorf("got %+v", c)
	}
	refused("the device's after the end", wire.TunnelPathDevice, tickets.Device)
	if s.End("T", "killed") {
		t.Error("it ended twice")
	}
}

func TestABrowserOfAnotherSiteIsNotLetIn(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	tickets := s.admit(pass("T"))
	dialer := websocket.Dialer{TLSClientConfig: s.tls, Subprotocols: []string{wire.TunnelProtocol}}
	_, response, err := dialer.Dial(s.url+wire.TunnelPathUser, http.Header{
		"Authorization": {"Bearer " + string(tickets.User.Reveal())}, "Origin": {"https://evil.example"},
	})
	if err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("got %v", err)
	}
}

func TestNothingGoesThroughBeforeTheOpeningIsOnRecord(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := newStage(t, func(_ *gateway.Config, b *book) { b.hold = hold })
	user, _ := s.open(pass("T"))
	stream, err := user.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = stream.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := stream.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came back", n)
	}
	if u, _ := s.Usage("T"); u.Sent != 0 || u.Streams != 0 {
		t.Errorf("used: %+v", u)
	}
	close(hold)
	_ = stream.SetReadDeadline(time.Time{})
	if _, err := stream.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestATunnelThatCannotBeRecordedDoesNotOpen(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(_ *gateway.Config, b *book) { b.fail = errors.New("no database") })
	user, device := s.open(pass("T"))
	if c := s.closing(); c.Reason != gateway.NotOnBook || !c.Began.IsZero() {
		t.Errorf("got %+v", c)
	}
	<-user.Done()
	<-device.Done()
}

func TestAKillEndsBothSocketsWithinASecond(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	user, device := s.open(pass("T"))
	stream, err := user.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // endless data that comes back and nobody reads
		for _, err := stream.Write(make([]byte, 1<<20)); err == nil; _, err = stream.Write(make([]byte, 1<<20)) {
		}
	})
	for u, _ := s.Usage("T"); u.Sent < 64<<10; u, _ = s.Usage("T") { // the windows of a reader who does not read are small
		runtime.Gosched()
	}
	began := time.Now()
	s.End("T", "killed")
	<-user.Done()
	<-device.Done()
	if took := time.Since(began); took > 8*time.Second { // well before an end would be missed
		t.Errorf("it took %s", took)
	}
	wg.Wait()
	if c := s.closing(); c.Reason != "killed" || c.Sent < 64<<10 {
		t.Errorf("got %+v", c)
	}
}

func TestAKillDoesNotWaitForTheRecord(t *testing.T) {
	t.Parallel()
	slow := make(chan struct{})
	s := newStage(t, func(_ *gateway.Config, b *book) { b.slow = slow })
	user, device := s.open(pass("T"))
	ask(t, user, []byte("x"))
	for s.book.told.Load() == 0 { // the stream is being put on record
		runtime.Gosched()
	}
	began := time.Now()
	s.End("T", "killed")
	<-user.Done()
	<-device.Done()
	if took := time.Since(began); took > 8*time.Second { // well before an end would be missed
		t.Errorf("it took %s", took)
	}
	close(slow)
	if c := s.closing(); c.Reason != "killed" {
		t.Errorf("got %+v", c)
	}
}

func TestManyAbruptEndsLeaveNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for i := range 200 {
		id := "T" + strconv.Itoa(i)
		tickets := s.admit(pass(id))
		device, errDevice := s.dial(wire.TunnelPathDevice, tickets.Device)
		user, errUser := s.dial(wire.TunnelPathUser, tickets.User)
		if err := errors.Join(errDevice, errUser); err != nil {
			t.Fatal(err)
		}
		mux.Break(below(user)) // as if the machine had died
		if i%2 == 0 {
			mux.Break(below(device))
		}
		if c := s.closing(); c.Sent != 0 {
			t.Errorf("got %+v", c)
		}
		_ = device.Close()
		_ = user.Close()
	}
}

// below is the TCP connection of a WebSocket.
func below(ws *websocket.Conn) net.Conn { return ws.NetConn().(*tls.Conn).NetConn() }

func TestATunnelEndsWithItsTimeOrForWantOfUse(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	idle, short := pass("idle"), pass("short")
	idle.Idle = 100 * time.Millisecond
	s.open(idle)
	if c := s.closing(); c.Reason != gateway.Idle {
		t.Errorf("got %+v", c)
	}
	short.Expires = time.Now() // and it would end as soon as it is looked at, which is once it is open
	tickets, until := s.admit(short), time.Now().Add(1500*time.Millisecond)
	if !s.Extend("short", until) || s.Extend("other", until) {
		t.Error("not extended")
	}
	s.bring(tickets)
	if c := s.closing(); c.Reason != gateway.Expired || time.Now().Before(until) {
		t.Errorf("got %+v", c)
	}
}

func TestAnEndThatDoesNotComeEndsTheOther(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *gateway.Config, _ *book) { c.JoinWithin = 200 * time.Millisecond })
	ws, err := s.dial(wire.TunnelPathUser, s.admit(pass("T")).User)
	if c := s.closing(); c.Reason != gateway.NotJoined {
		t.Errorf("got %+v", c)
	}
	if err != nil {
		return // it came too late itself: the machine is busy
	}
	defer ws.Close()
	if _, _, err := ws.ReadMessage(); err == nil {
		t.Error("the socket is open")
	}
}

func TestMoreStreamsThanThePassAllowsAreRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	p := pass("T")
	p.MaxStreams = 2
	user, _ := s.open(p)
	for i := range 3 {
		stream, err := user.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = stream.Write([]byte("x"))
		_, err = stream.Read(make([]byte, 1))
		if (err == nil) != (i < 2) {
			t.Errorf("stream %d: %v", i+1, err)
		}
	}
}

func TestTheDeviceOpensNoStreams(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	_, device := s.open(pass("T"))
	stream, err := device.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = stream.Write([]byte("x"))
	if _, err := stream.Read(make([]byte, 1)); err == nil {
		t.Error("somebody answers")
	}
}

func TestARateHolds(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	p := pass("T")
	p.Rate = 1 << 20
	user, _ := s.open(p)
	began := time.Now()
	ask(t, user, make([]byte, 1<<20))
	if took := time.Since(began); took < 700*time.Millisecond {
		t.Errorf("1 MiB at 1 MiB/s took %s", took)
	}
}

func TestWhatIsNoTunnelTalkEndsTheTunnel(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]struct {
		kind int
		data []byte
	}{
		"text":                     {websocket.TextMessage, []byte("hello")},
		"noise":                    {websocket.BinaryMessage, bytes.Repeat([]byte{0xff}, 64)},
		"data of a stream of none": {websocket.BinaryMessage, []byte{0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 200}},
		"a window overrun":         {websocket.BinaryMessage, append([]byte{0, 0, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff}, make([]byte, 4096)...)},
		"a message without end":    {websocket.BinaryMessage, make([]byte, 2<<20)},
	} {
		s := newStage(t, nil)
		tickets := s.admit(pass("T"))
		device, err := s.dial(wire.TunnelPathDevice, tickets.Device)
		if err != nil {
			t.Fatal(err)
		}
		user, err := s.dial(wire.TunnelPathUser, tickets.User)
		if err != nil {
			t.Fatal(err)
		}
		_ = user.WriteMessage(message.kind, message.data)
		if name == "data of a stream of none" { // discarded: it may be of one that was just reset
			_ = user.Close()
		}
		if c := s.closing(); c.Reason != gateway.UserLeft || c.Sent != 0 {
			t.Errorf("%s: %+v", name, c)
		}
		_ = user.Close()
		_ = device.Close()
	}
}

func TestAStopEndsEveryTunnelAndAdmitsNone(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	user, device := s.open(pass("T"))
	s.admit(pass("waiting"))
	s.Close()
	<-user.Done()
	<-device.Done()
	for range 2 {
		if c := s.closing(); c.Reason != gateway.Shutdown {
			t.Errorf("got %+v", c)
		}
	}
	if _, err := s.Admit(pass("late")); errs.KindOf(err) != wire.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestThereIsAMostOfTunnels(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c *gateway.Config, _ *book) { c.Tunnels = 1 })
	s.admit(pass("T"))
	if _, err := s.Admit(pass("U")); errs.KindOf(err) != wire.Exhausted {
		t.Errorf("got %v", err)
	}
	if _, err := s.Admit(gateway.Pass{}); errs.KindOf(err) != wire.Internal {
		t.Errorf("got %v", err)
	}
}
