package terminal_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/router/gateway/terminal"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rightTicket = "the-ticket"

// stage is a server of terminals with a device that does what a test says.
type stage struct {
	t      *testing.T
	server *httptest.Server
	device mux.Identity
	proved string // the fingerprint that the device is said to have
	do     func(c ssh.Channel, requests <-chan *ssh.Request)
	wg     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	foreign int
	streams []net.Conn
}

func newStage(t *testing.T, do func(c ssh.Channel, requests <-chan *ssh.Request)) *stage {
	t.Helper()
	own, err := mux.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, device: own, proved: own.Fingerprint(), do: do}
	s.server = httptest.NewUnstartedServer(nil)
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.server.StartTLS()
	terminals := terminal.New(terminal.Config{
		Origin: s.server.URL, Log: slog.New(slog.DiscardHandler),
		Known: func(r *http.Request) (terminal.Guest, error) {
			if r.Header.Get("Cookie") == "" {
				return nil, errs.E(wire.Unauthenticated, "you are not logged in")
			}
			return guest{s}, nil
		},
		Refused: func(*http.Request) { s.mu.Lock(); defer s.mu.Unlock(); s.foreign++ },
	})
	s.server.Config.Handler = terminals
	t.Cleanup(func() {
		terminals.Close()
		s.server.Close()
		s.cut()
		s.wg.Wait()
	})
	return s
}

// cut breaks the way to the device.
func (s *stage) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.streams {
		_ = c.Close()
	}
}

type guest struct{ *stage }

func (g guest) Open(_ context.Context, ticket string) (terminal.Shell, error) {
	if ticket != rightTicket {
		return terminal.Shell{}, errs.E(wire.Unauthenticated, "this page was used")
	}
	here, there := g.pair()
	g.mu.Lock()
	g.streams = append(g.streams, here, there)
	g.mu.Unlock()
	g.wg.Go(func() { g.serve(there) })
	return terminal.Shell{
		Stream: piped{here}, Device: g.proved, User: "operator", Recorded: true, Left: time.Hour,
		Why: func(context.Context) string { return "the terminal has ended: somebody closed it" }, Close: func() { _ = here.Close() },
	}, nil
}

// pair is a connection to the device; a real one, because SSH writes from both ends at once.
func (s *stage) pair() (here, there *net.TCPConn) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		s.t.Error(err)
		return
	}
	defer l.Close() //nolint:errcheck // it was for one
	if here, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err == nil {
		there, err = l.AcceptTCP()
	}
	if err != nil {
		s.t.Error(err)
	}
	return here, there
}

type piped struct{ *net.TCPConn }

func (p piped) Reset() error { return p.Close() }

// serve is the device.
func (s *stage) serve(c net.Conn) {
	defer c.Close() //nolint:errcheck // the test is over with it
	signer, err := ssh.NewSignerFromSigner(s.device.Signer())
	if err != nil {
		s.t.Error(err)
		return
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	_, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return // the other end did not want it
	}
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	for offered := range channels {
		channel, of, err := offered.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() { s.do(channel, of) })
	}
}

// agree answers requests until the shell is wanted, and tells of sizes after it.
func agree(requests <-chan *ssh.Request, sizes chan<- [2]uint32) {
	started := make(chan struct{})
	go func() { // ends with the channel
		for r := range requests {
			var m struct{ Columns, Rows, Width, Height uint32 }
			if r.Type == "window-change" && ssh.Unmarshal(r.Payload, &m) == nil && sizes != nil {
				sizes <- [2]uint32{m.Columns, m.Rows}
			}
			_ = r.Reply(r.Type != "env", nil)
			if r.Type == "shell" {
				close(started)
			}
		}
	}()
	<-started
}

func exit(c ssh.Channel, code uint32) {
	_, _ = c.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
	_ = c.Close()
}

// page is a browser's end.
type page struct {
	*websocket.Conn
	t *testing.T
}

func (s *stage) dial(change func(http.Header)) (*page, *http.Response, error) {
	s.t.Helper()
	d := websocket.Dialer{TLSClientConfig: s.server.Client().Transport.(*http.Transport).TLSClientConfig, Subprotocols: []string{wire.TerminalProtocol}}
	h := http.Header{"Origin": {s.server.URL}, "Cookie": {"a=b"}}
	if change != nil {
		change(h)
	}
	ws, response, err := d.DialContext(s.t.Context(), strings.Replace(s.server.URL, "https", "wss", 1)+wire.TerminalPath, h)
	if err != nil {
		return nil, response, err
	}
	s.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(time.Minute))
	return &page{ws, s.t}, response, nil
}

// open opens a shell.
func (s *stage) open() *page {
	s.t.Helper()
	p, _, err := s.dial(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	p.say(wire.TerminalMessage{Type: wire.TerminalOpen, Ticket: rightTicket, Cols: 80, Rows: 24})
	if m, _ := p.hear(); m.Type != wire.TerminalOpen || m.User != "operator" || !m.Recorded || m.Left != 3600 {
		s.t.Fatalf("%+v", m)
	}
	return p
}

func (p *page) say(m wire.TerminalMessage) {
	p.t.Helper()
	if err := p.WriteJSON(m); err != nil {
		p.t.Fatal(err)
	}
}

// took tells that something was shown; where the end is on its way, nobody hears it.
func (p *page) took(shown []byte) {
	_ = p.WriteJSON(wire.TerminalMessage{Type: wire.TerminalTook, Bytes: len(shown)})
}

// hear gives the next message, of whichever kind.
func (p *page) hear() (m wire.TerminalMessage, shown []byte) {
	p.t.Helper()
	kind, data, err := p.ReadMessage()
	if err != nil {
		p.t.Fatal(err)
	}
	if kind == websocket.BinaryMessage {
		return m, data
	}
	if err := json.Unmarshal(data, &m); err != nil {
		p.t.Fatal(err)
	}
	return m, nil
}

// end hears until the end, and takes what is shown on the way.
func (p *page) end() (m wire.TerminalMessage, shown string) {
	p.t.Helper()
	for {
		got, some := p.hear()
		if len(some) > 0 {
			shown += string(some)
			p.took(some)
		}
		if got.Type == wire.TerminalEnd {
			return got, shown
		}
	}
}

func TestWhatIsTypedReachesTheShellAndWhatItSaysIsShown(t *testing.T) {
	t.Parallel()
	sizes := make(chan [2]uint32, 1)
	s := newStage(t, func(c ssh.Channel, requests <-chan *ssh.Request) {
		agree(requests, sizes)
		typed := make([]byte, 5)
		_, _ = io.ReadFull(c, typed)
		_, _ = c.Write(append([]byte("\xc3\xa4\x00\xff "), typed...))
		size := <-sizes
		if size != [2]uint32{100, 40} {
			t.Errorf("the size is %v", size)
		}
		exit(c, 7)
	})
	p := s.open()
	_ = p.WriteMessage(websocket.BinaryMessage, []byte("\xc3"))
	_ = p.WriteMessage(websocket.BinaryMessage, []byte("\xa4abc"))
	p.say(wire.TerminalMessage{Type: wire.TerminalSize, Cols: 100, Rows: 40})
	end, shown := p.end()
	if shown != "\xc3\xa4\x00\xff \xc3\xa4abc" || end.Reason != "exit" || end.Code != 7 || !strings.Contains(end.Text, "exit code 7") {
		t.Errorf("%q, %+v", shown, end)
	}
}

func TestAShellThatSaysMuchWaitsForThePage(t *testing.T) {
	t.Parallel()
	const much = 8 << 20
	written := make(chan struct{})
	s := newStage(t, func(c ssh.Channel, requests <-chan *ssh.Request) {
		agree(requests, nil)
		_, _ = c.Write(make([]byte, much))
		close(written)
		exit(c, 0)
	})
	p := s.open()
	got := 0
	for got < wire.TerminalAhead { // as much as is sent to a page that takes none
		_, shown := p.hear()
		got += len(shown)
	}
	if got > wire.TerminalAhead {
		t.Errorf("%d bytes were sent ahead", got)
	}
	_ = p.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second))
	ponged := errors.New("pong")
	p.SetPongHandler(func(string) error { return ponged })
	if _, _, err := p.ReadMessage(); !errors.Is(err, ponged) { // all that was sent before the pong has come
		t.Errorf("more was sent: %v", err)
	}
	select {
	case <-written:
		t.Error("all was taken from the shell")
	default:
	}
}

func TestAPageThatTypesMuchWaitsForTheShell(t *testing.T) {
	t.Parallel()
	const much = 4 << 20
	s := newStage(t, func(c ssh.Channel, requests <-chan *ssh.Request) {
		agree(requests, nil)
		n, _ := io.CopyN(c, c, much) // an echo, which waits for the page meanwhile
		exit(c, uint32(n>>20))       //nolint:gosec // small
	})
	p := s.open()
	under, typed, shown := 0, 0, 0
	for {
		for typed < much && under+wire.TerminalLargest <= wire.TerminalAhead {
			_ = p.WriteMessage(websocket.BinaryMessage, make([]byte, wire.TerminalLargest))
			under, typed = under+wire.TerminalLargest, typed+wire.TerminalLargest
		}
		m, some := p.hear()
		switch {
		case len(some) > 0:
			shown += len(some)
			p.took(some)
		case m.Type == wire.TerminalTook:
			under -= m.Bytes
		case m.Type == wire.TerminalEnd:
			if m.Code != much>>20 || shown != much {
				t.Errorf("%+v, %d of %d", m, shown, much)
			}
			return
		}
	}
}

func TestOnlyOurOwnPagesWithALoginGetIn(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for name, try := range map[string]struct {
		change func(http.Header)
		status int
	}{
		"another site":    {func(h http.Header) { h.Set("Origin", "https://elsewhere.example") }, http.StatusForbidden},
		"a prefix of us":  {func(h http.Header) { h.Set("Origin", s.server.URL+".example") }, http.StatusForbidden},
		"without TLS":     {func(h http.Header) { h.Set("Origin", strings.Replace(s.server.URL, "https", "http", 1)) }, http.StatusForbidden},
		"null":            {func(h http.Header) { h.Set("Origin", "null") }, http.StatusForbidden},
		"no origin":       {func(h http.Header) { h.Del("Origin") }, http.StatusForbidden},
		"two origins":     {func(h http.Header) { h.Add("Origin", s.server.URL) }, http.StatusForbidden},
		"without a login": {func(h http.Header) { h.Del("Cookie") }, http.StatusUnauthorized},
	} {
		p, response, err := s.dial(try.change)
		if p != nil || err == nil || response == nil || response.StatusCode != try.status {
			t.Errorf("%s: %v, %v", name, response, err)
		}
	}
	if s.foreign != 6 {
		t.Errorf("%d are on record", s.foreign)
	}
}

func TestAPageThatDoesNotSpeakTheProtocolGetsNoShell(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(ssh.Channel, <-chan *ssh.Request) { t.Error("a shell was started") })
	right := `{"type":"open","ticket":"` + rightTicket + `","cols":80,"rows":24`
	for name, first := range map[string]struct {
		kind   int
		text   string
		reason string
	}{
		"nothing":           {websocket.TextMessage, "", "protocol"},
		"garbage":           {websocket.TextMessage, "\x00{", "protocol"},
		"a key":             {websocket.BinaryMessage, "x", "protocol"},
		"another message":   {websocket.TextMessage, `{"type":"size","cols":80,"rows":24}`, "protocol"},
		"an unknown member": {websocket.TextMessage, right + `,"x":1}`, "protocol"},
		"two messages":      {websocket.TextMessage, right + `}{}`, "protocol"},
		"no size":           {websocket.TextMessage, `{"type":"open","ticket":"` + rightTicket + `"}`, "protocol"},
		"a huge size":       {websocket.TextMessage, strings.Replace(right, "80", "999999", 1) + "}", "protocol"},
		"a long text":       {websocket.TextMessage, strings.Replace(right, rightTicket, strings.Repeat("x", 2000), 1) + "}", "protocol"},
		"another's ticket":  {websocket.TextMessage, strings.Replace(right, rightTicket, "x", 1) + "}", string(wire.Unauthenticated)},
	} {
		p, _, err := s.dial(nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = p.WriteMessage(first.kind, []byte(first.text))
		if m, _ := p.hear(); m.Type != wire.TerminalEnd || m.Reason != first.reason || m.Text == "" {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestWhatIsNotOfTheProtocolEndsTheShell(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c ssh.Channel, requests <-chan *ssh.Request) {
		agree(requests, nil)
		_, _ = io.WriteString(c, "$ ")
	})
	for name, sends := range map[string]func(p *page){
		"garbage":      func(p *page) { _ = p.WriteMessage(websocket.TextMessage, []byte("garbage")) },
		"an empty key": func(p *page) { _ = p.WriteMessage(websocket.BinaryMessage, nil) },
		"opened again": func(p *page) {
			p.say(wire.TerminalMessage{Type: wire.TerminalOpen, Ticket: rightTicket, Cols: 80, Rows: 24})
		},
		"took more than was sent": func(p *page) { p.say(wire.TerminalMessage{Type: wire.TerminalTook, Bytes: 1 << 30}) },
		"took less than nothing":  func(p *page) { p.say(wire.TerminalMessage{Type: wire.TerminalTook, Bytes: -1}) },
		"no size":                 func(p *page) { p.say(wire.TerminalMessage{Type: wire.TerminalSize}) },
		"more than it was let type": func(p *page) {
			for range 300 { // the shell reads nothing: its window of 2 MiB fills first
				_ = p.WriteMessage(websocket.BinaryMessage, make([]byte, wire.TerminalLargest))
			}
		},
	} {
		p := s.open()
		sends(p)
		if m, _ := p.end(); m.Reason != "protocol" {
			t.Errorf("%s: %+v", name, m)
		}
	}
	p := s.open()
	_ = p.WriteMessage(websocket.BinaryMessage, make([]byte, wire.TerminalLargest+1))
	for {
		if _, _, err := p.ReadMessage(); err != nil {
			break // what is too large is not even read
		}
	}
}

func TestAPageIsToldWhyItsTunnelEnded(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c ssh.Channel, requests <-chan *ssh.Request) { agree(requests, nil) })
	p := s.open()
	s.cut()
	if m, _ := p.end(); m.Reason != "tunnel" || m.Text != "The terminal has ended: somebody closed it." {
		t.Errorf("%+v", m)
	}
}

func TestNothingIsTypedToAnotherDevice(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(ssh.Channel, <-chan *ssh.Request) { t.Error("a shell was started") })
	other, err := mux.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	s.proved = other.Fingerprint()
	p, _, err := s.dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.say(wire.TerminalMessage{Type: wire.TerminalOpen, Ticket: rightTicket, Cols: 80, Rows: 24})
	if m, _ := p.hear(); m.Type != wire.TerminalEnd || !strings.Contains(m.Text, "another key") {
		t.Errorf("%+v", m)
	}
}

func TestAShellEndsWithItsPage(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s := newStage(t, func(c ssh.Channel, requests <-chan *ssh.Request) {
		agree(requests, nil)
		_, err := io.Copy(io.Discard, c)
		ended <- err
	})
	p := s.open()
	_ = p.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the shell goes on without its page")
	}
}

// Why a shell that must be recorded was refused is said beside what the shell shows, which is nothing.
func TestWhatTheAgentSaysOfAShellIsShown(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(c ssh.Channel, requests <-chan *ssh.Request) {
		agree(requests, nil)
		_, _ = io.WriteString(c.Stderr(), "it must be recorded")
		exit(c, 4)
	})
	if end, shown := s.open().end(); shown != "it must be recorded" || end.Code != 4 {
		t.Errorf("%q, %+v", shown, end)
	}
}
