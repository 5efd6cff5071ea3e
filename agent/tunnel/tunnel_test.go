package tunnel_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bulkhead/agent/state"
	"bulkhead/agent/tunnel"
	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/router/gateway"
	"bulkhead/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const serial = wire.Serial("3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f")

// stage is a device's end of tunnels, with a real gateway and a real target.
type stage struct {
	*tunnel.Tunnels
	t       *testing.T
	key     ed25519.PrivateKey
	config  tunnel.Config
	gateway *gateway.Gateway
	url     string
	door    mux.Door
	target  string    // of an echo on the loopback
	ends    *sync.Map // of users: by the fingerprint of their key, and by the answer of the device
	opened  int
}

type events struct{}

func (events) Opened(context.Context, string) error            { return nil }
func (events) Streams(context.Context, string, int, int)       {}
func (events) Closed(context.Context, string, gateway.Closing) {}

func newStage(t *testing.T, policy string, change func(*tunnel.Config)) *stage {
	t.Helper()
	return newStageWith(t, policy, gateway.Config{Events: events{}}, change)
}

func newStageWith(t *testing.T, policy string, c gateway.Config, change func(*tunnel.Config)) *stage {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	s := &stage{t: t, gateway: gateway.New(c), ends: new(sync.Map)}
	srv := httptest.NewUnstartedServer(s.gateway)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	s.url = "wss" + strings.TrimPrefix(srv.URL, "https")
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	s.door.TLS = &tls.Config{RootCAs: roots}
	s.target = echo(t)
	_, port, _ := net.SplitHostPort(s.target)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(policy, "PORT", port)), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	public, private, _ := ed25519.GenerateKey(nil)
	device := identity(t)
	s.key = private
	s.config = tunnel.Config{
		Project: 11, Device: 33, Serial: serial, GrantKey: public, Authority: roots, Used: dir,
		Identity: func() (mux.Identity, error) { return device, nil }, PolicyFile: file, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&s.config)
	}
	s.Tunnels = tunnel.New(s.config)
	t.Cleanup(func() { s.Stop(); s.gateway.Close(); srv.Close(); _ = dir.Close() })
	return s
}

func userEnd(t *testing.T) *mux.UserEnd {
	t.Helper()
	end, err := mux.NewUserEnd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end.Close)
	return end
}

func identity(t *testing.T) mux.Identity {
	t.Helper()
	id, err := mux.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// echo answers what it is sent, and ends when its asker does.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

const loopback = "version: 1\nallow:\n  - {protocol: tcp, hosts: [127.0.0.1], ports: [PORT]}\n"

// grant is one that the device takes, for the echo.
func (s *stage) grant() wire.Grant {
	s.opened++
	return s.grantNamed(fmt.Sprintf("T%d", s.opened))
}

func (s *stage) grantNamed(id string) wire.Grant {
	target, err := wire.ParseTarget(s.target)
	if err != nil {
		s.t.Fatal(err)
	}
	now := time.Now()
	end := userEnd(s.t)
	s.ends.Store(end.Key(), end)
	return wire.Grant{
		Version: wire.Version, ID: id, Project: 11, Device: 33, Serial: serial,
		By: wire.Grantee{Kind: "user", ID: "7", Method: "second_factor"}, Target: target, ClientKey: end.Key(),
		Gateway: s.url + wire.TunnelPathDevice, NotBefore: now.Add(-time.Second).UnixMilli(), OpenBy: now.Add(time.Minute).UnixMilli(),
		Expires: now.Add(time.Hour).UnixMilli(), IdleSeconds: 900, MaxStreams: 64, Approvers: []string{}, Nonce: "nonce of the test " + id,
	}
}

func (s *stage) request(g wire.Grant, ticket string) wire.TunnelOpenRequest {
	s.t.Helper()
	signed, err := wire.SignGrant(s.key, g)
	if err != nil {
		s.t.Fatal(err)
	}
	ask := wire.TunnelOpenRequest{Grant: signed, Ticket: ticket}
	if end := s.end(g.ClientKey); end != nil {
		ask.Hello = end.Hello()
	}
	return ask
}

func (s *stage) end(by string) *mux.UserEnd {
	end, _ := s.ends.Load(by)
	found, _ := end.(*mux.UserEnd)
	return found
}

// meet has the user's end take the device's answer, where it encrypts.
func (s *stage) meet(g wire.Grant, reply wire.TunnelOpenReply) error {
	end := s.end(g.ClientKey)
	if end == nil {
		return nil
	}
	s.ends.Store(reply.Answer, end)
	return end.Meet(reply.Answer, reply.Key, wire.TunnelTerms(g.Target, reply.Recorded))
}

// enter opens a tunnel and gives the user's end.
func (s *stage) enter(g wire.Grant) (mux.Session, wire.TunnelOpenReply) {
	s.t.Helper()
	tickets, err := s.gateway.Admit(gateway.Pass{ID: g.ID, Expires: time.Now().Add(time.Hour), Idle: time.Hour, MaxStreams: 64})
	if err != nil {
		s.t.Fatal(err)
	}
	reply, err := s.Open(s.t.Context(), s.request(g, string(tickets.Device.Reveal())))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.meet(g, reply); err != nil {
		s.t.Fatal(err)
	}
	door := s.door
	door.URL, door.Ticket = s.url+wire.TunnelPathUser, tickets.User
	ws, err := mux.Dial(s.t.Context(), door)
	if err != nil {
		s.t.Fatal(err)
	}
	session, err := mux.Client(ws, mux.Config{Window: 1 << 20, Budget: 1 << 20})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(session.Close)
	return session, reply
}

func (s *stage) stream(session mux.Session, reply wire.TunnelOpenReply) (mux.Stream, error) {
	stream, err := session.Open(s.t.Context())
	if err != nil {
		return nil, err
	}
	return s.end(reply.Answer).Seal(stream)
}

// ask sends a question through the tunnel and wants it back.
func (s *stage) ask(session mux.Session, reply wire.TunnelOpenReply) error {
	stream, err := s.stream(session, reply)
	if err != nil {
		return err
	}
	defer stream.Close()
	_, errWrite := stream.Write([]byte("question"))
	errEnd := stream.CloseWrite()
	got, err := io.ReadAll(stream)
	if err == nil && string(got) != "question" {
		err = fmt.Errorf("got %q", got)
	}
	return errors.Join(errWrite, errEnd, err)
}

func TestAGrantedTunnelReachesItsTargetAndTheReplyComesAfterTheAskersEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t, loopback, nil)
	session, reply := s.enter(s.grant())
	for range 3 {
		if err := s.ask(session, reply); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAGrantCountsForThisDeviceForNowAndOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, loopback, nil)
	_, stranger, _ := ed25519.GenerateKey(nil)
	now := time.Now()
	for name, c := range map[string]struct {
		change func(*wire.Grant)
		says   string
	}{
		"another project": {func(g *wire.Grant) { g.Project = 12 }, "another device"},
		"another device":  {func(g *wire.Grant) { g.Device = 34 }, "another device"},
		"another serial":  {func(g *wire.Grant) { g.Serial = wire.NewSerial() }, "another device"},
		"expired":         {func(g *wire.Grant) { g.NotBefore, g.OpenBy, g.Expires = 1, 2, now.Add(-time.Second).UnixMilli() }, "expired"},
		"for a week":      {func(g *wire.Grant) { g.Expires = now.Add(7 * 24 * time.Hour).UnixMilli() }, "too long"},
		"of an hour ago": {func(g *wire.Grant) {
			g.NotBefore, g.OpenBy = now.Add(-2*time.Hour).UnixMilli(), now.Add(-time.Hour).UnixMilli()
		}, "not for now"},
		"of tomorrow": {func(g *wire.Grant) {
			g.NotBefore, g.OpenBy = now.Add(20*time.Minute).UnixMilli(), now.Add(30*time.Minute).UnixMilli()
		}, "not for now"},
		"another port": {func(g *wire.Grant) { g.Target.Port = 1 }, "no rule"},
		"another host": {func(g *wire.Grant) { g.Target.Host = "169.254.169.254" }, "no rule"},
		"a shell":      {func(g *wire.Grant) { g.Target = wire.PTY }, "no rule"},
		"a recording": {func(g *wire.Grant) {
			g.Record, g.RecordKey = true, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32))
		}, "cannot be recorded"},
	} {
		g := s.grant()
		c.change(&g)
		if _, err := s.Open(t.Context(), s.request(g, "ticket")); errs.KindOf(err) != wire.Denied || !strings.Contains(errs.UserText(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	forged := s.request(s.grant(), "ticket")
	forged.Grant, _ = wire.SignGrant(stranger, s.grant())
	if _, err := s.Open(t.Context(), forged); errs.KindOf(err) != wire.Denied {
		t.Errorf("a forged one: %v", err)
	}
	g := s.grant()
	s.enter(g)
	again := g
	again.ID = "T-again" // the id is another, the nonce is not
	for _, replayed := range []wire.Grant{g, again} {
		if _, err := s.Open(t.Context(), s.request(replayed, "ticket")); errs.KindOf(err) != wire.Denied || !strings.Contains(err.Error(), "was used") {
			t.Errorf("replayed: %v", err)
		}
	}
	restarted := tunnel.New(s.config)
	defer restarted.Stop()
	if _, err := restarted.Open(t.Context(), s.request(g, "ticket")); errs.KindOf(err) != wire.Denied {
		t.Errorf("replayed after a restart: %v", err)
	}
}

// Whoever deletes what a device remembers, or has a copy of its folder without that, does not open anything with a grant
// that was used: nothing counts from before the folder remembers.
func TestAGrantFromBeforeWhatTheDeviceRemembersIsRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t, loopback, nil)
	g := s.grant()
	g.NotBefore = time.Now().Add(-time.Minute).UnixMilli() // made some time ago
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	stolen, err := state.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer stolen.Close()
	config := s.config
	config.Used = stolen
	restarted := tunnel.New(config)
	defer restarted.Stop()
	refused := func(name string) {
		t.Helper()
		if _, err := restarted.Open(t.Context(), s.request(g, "ticket")); errs.KindOf(err) != wire.Denied || !strings.Contains(errs.UserText(err), "does not remember what was used before") {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("a new folder")
	if _, err := restarted.Open(t.Context(), s.request(s.grant(), "ticket")); err != nil {
		t.Errorf("a new grant: %v", err)
	}
	if err := os.Remove(filepath.Join(folder, "grants.json")); err != nil {
		t.Fatal(err)
	}
	refused("deleted while the agent runs")
}

func TestAPolicyThatWasChangedHoldsForTheNextStream(t *testing.T) {
	t.Parallel()
	s := newStage(t, loopback, nil)
	session, reply := s.enter(s.grant())
	if err := s.ask(session, reply); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config.PolicyFile, []byte("version: 1\nallow: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.ask(session, reply); err == nil {
		t.Error("the stream is served")
	}
	if err := os.Remove(s.config.PolicyFile); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), s.request(s.grant(), "ticket")); err == nil || !strings.Contains(errs.UserText(err), "there is none") {
		t.Errorf("without a policy: %v", err)
	}
}

func TestOnlyTheGrantedKeyIsServed(t *testing.T) {
	t.Parallel()
	s := newStage(t, loopback, nil)
	session, reply := s.enter(s.grant())
	stranger := userEnd(t)
	if _, err := s.Open(t.Context(), wire.TunnelOpenRequest{Grant: s.request(s.grant(), "").Grant}); errs.KindOf(err) != wire.Invalid {
		t.Errorf("without a hello: %v", err)
	}
	g := s.grant()
	s.ends.Store(g.ClientKey, stranger)
	stolen, other := s.enter(g)
	for range 2 {
		if err := s.ask(stolen, other); err == nil {
			t.Error("a stranger's key is served")
		}
	}
	plain, err := session.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = plain.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
	if got, _ := io.ReadAll(plain); strings.Contains(string(got), "GET") {
		t.Error("the gateway could read the stream")
	}
	if err := s.ask(session, reply); err != nil {
		t.Errorf("the holder of the key is locked out: %v", err)
	}
}

func TestANameIsDialledOnlyWhereThePolicyAllows(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	answer := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	var dialled []netip.AddrPort
	s := newStage(t, "version: 1\nallow:\n  - {protocol: tcp, hosts: [plc.local, 127.0.0.1], ports: [PORT]}\n", func(c *tunnel.Config) {
		c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			return answer, nil
		}
		c.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			dialled = append(dialled, a)
			mu.Unlock()
			var d net.Dialer
			return d.DialContext(ctx, "tcp", a.String())
		}
	})
	g := s.grant()
	g.Target.Host = "plc.local"
	session, reply := s.enter(g)
	if err := s.ask(session, reply); err != nil {
		t.Fatal(err)
	}
	for _, rebound := range []string{"169.254.169.254", "127.0.0.2", "::ffff:10.0.0.1", "::", "10.0.0.1"} {
		mu.Lock()
		answer = []netip.Addr{netip.MustParseAddr(rebound)}
		mu.Unlock()
		if err := s.ask(session, reply); err == nil {
			t.Errorf("%s was reached", rebound)
		}
	}
	mu.Lock()
	answer = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1")}
	mu.Unlock()
	if err := s.ask(session, reply); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, a := range dialled {
		if a.Addr() != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("dialled %s", a)
		}
	}
}

func TestATunnelEndsWithItsTimeUnlessItIsExtendedByTheSameGrant(t *testing.T) {
	t.Parallel()
	now := time.Now() // for the device, so that nothing has expired before it is read, whatever else the machine does
	s := newStage(t, loopback, func(c *tunnel.Config) { c.Now = func() time.Time { return now } })
	extend := func(g wire.Grant) error {
		return s.Extend(t.Context(), wire.TunnelExtendRequest{Grant: s.request(g, "").Grant})
	}
	g := s.grant()
	session, _ := s.enter(g)
	other, unknown := g, g
	other.Target.Port, unknown.ID = 1, "none"
	if err := extend(other); errs.KindOf(err) != wire.Denied {
		t.Errorf("another target: %v", err)
	}
	if err := extend(unknown); errs.KindOf(err) != wire.NotFound {
		t.Errorf("no tunnel: %v", err)
	}
	const left = 300 * time.Millisecond
	g.OpenBy, g.Expires = now.Add(left).UnixMilli(), now.Add(left).UnixMilli()
	began := time.Now()
	if err := extend(g); err != nil {
		t.Fatal(err)
	}
	<-session.Done()
	if took := time.Since(began); took < left-time.Millisecond { // the grant has no less
		t.Errorf("it ended after %s", took)
	}
	short := s.grant()
	short.OpenBy, short.Expires = g.OpenBy, g.Expires
	if _, err := s.Open(t.Context(), s.request(short, "none")); err != nil {
		t.Fatal(err)
	}
	short.Target.Port = 1
	for errs.KindOf(extend(short)) != wire.NotFound { // nobody tells that it has ended
		runtime.Gosched()
	}
}

func TestATunnelEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	s := newStage(t, loopback, nil)
	g := s.grant()
	session, reply := s.enter(g)
	if err := s.ask(session, reply); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context(), wire.TunnelCloseRequest{ID: g.ID}); err != nil {
		t.Fatal(err)
	}
	<-session.Done()
	if err := s.Close(t.Context(), wire.TunnelCloseRequest{ID: "none"}); err != nil {
		t.Error(err)
	}
}

func TestTheGatewaysCertificateIsVerified(t *testing.T) {
	t.Parallel()
	s := newStage(t, loopback, func(c *tunnel.Config) { c.Authority = x509.NewCertPool() })
	g := s.grant()
	tickets, err := s.gateway.Admit(gateway.Pass{ID: g.ID, Expires: time.Now().Add(time.Hour), Idle: time.Hour, MaxStreams: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), s.request(g, string(tickets.Device.Reveal()))); err != nil {
		t.Fatal(err)
	}
	s.Stop() // waits for the attempt
	door := s.door
	door.URL, door.Ticket = s.url+wire.TunnelPathDevice, tickets.Device
	ws, err := mux.Dial(t.Context(), door)
	if err != nil {
		t.Errorf("the ticket was shown to a gateway that nobody vouches for: %v", err)
	} else {
		_ = ws.Close()
	}
}
