package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bulkhead/internal/mux"
	"bulkhead/router/gateway"
	"bulkhead/wire"
)

// unheard is told what nobody asks for.
type unheard struct{}

func (unheard) Opened(context.Context, string) error            { return nil }
func (unheard) Streams(context.Context, string, int, int)       {}
func (unheard) Closed(context.Context, string, gateway.Closing) {}

// joined gives the user's end of a session and the device's, and the ends of its encryption.
func joined(t *testing.T) (*passage, mux.Session, *mux.DeviceEnd) {
	t.Helper()
	g := gateway.New(gateway.Config{Events: unheard{}, Log: slog.New(slog.DiscardHandler)})
	srv := httptest.NewUnstartedServer(g)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(func() { g.Close(); srv.Close() })
	tickets, err := g.Admit(gateway.Pass{ID: "T1", Expires: time.Now().Add(time.Hour), Idle: time.Hour, MaxStreams: 4})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	config := mux.Config{Streams: 4, Window: 1 << 20, Budget: 1 << 20}
	door := mux.Door{URL: "wss" + strings.TrimPrefix(srv.URL, "https") + wire.TunnelPathUser, Ticket: tickets.User, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	near, err := mux.Dial(t.Context(), door)
	if err != nil {
		t.Fatal(err)
	}
	door.URL, door.Ticket = "wss"+strings.TrimPrefix(srv.URL, "https")+wire.TunnelPathDevice, tickets.Device
	away, err := mux.Dial(t.Context(), door)
	if err != nil {
		t.Fatal(err)
	}
	user, errUser := mux.Client(near, config)
	device, errDevice := mux.Server(away, config)
	if errUser != nil || errDevice != nil {
		t.Fatal(errUser, errDevice)
	}
	t.Cleanup(user.Close)
	t.Cleanup(device.Close)
	own, err := mux.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	end, err := mux.NewUserEnd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end.Close)
	far, answer, err := mux.Answer(own, end.Key(), end.Hello(), "")
	if err == nil {
		err = end.Meet(answer, own.Fingerprint(), "")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	return &passage{session: user, end: end}, device, far
}

// local gives both ends of a connection to a forwarded port.
func local(t *testing.T) (user *net.TCPConn, accepted net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), accepted
}

func TestAConnectionThatTheDeviceRefusesIsSaidAndOneThatItsUserBreaksOffIsNot(t *testing.T) {
	t.Parallel()
	p, device, far := joined(t)
	for name, c := range map[string]struct {
		ends func(user *net.TCPConn, stream mux.Stream)
		said bool
	}{
		"refused": {func(_ *net.TCPConn, stream mux.Stream) { _ = stream.Reset() }, true},
		"broken off by its user": {func(user *net.TCPConn, _ mux.Stream) {
			_ = user.SetLinger(0)
			_ = user.Close()
		}, false},
		"broken off by the device, later": {func(user *net.TCPConn, stream mux.Stream) {
			_, _ = stream.Write([]byte("answer"))
			_, _ = io.ReadFull(user, make([]byte, 6))
			_ = stream.Reset()
		}, false},
		"served": {func(user *net.TCPConn, stream mux.Stream) {
			_ = stream.CloseWrite()
			_ = user.CloseWrite()
			_, _ = io.Copy(io.Discard, stream)
		}, false},
	} {
		user, accepted := local(t)
		var said bytes.Buffer
		done := make(chan struct{})
		go func() { // waited for below
			defer close(done)
			inv := &invocation{Streams: Streams{Err: &said}}
			inv.carry(context.WithoutCancel(t.Context()), p, accepted, &tunnelMeter{})
		}()
		stream, err := device.Accept()
		if err == nil {
			stream, err = far.Seal(stream)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.ends(user, stream)
		<-done
		if strings.Contains(said.String(), "refused at the device") != c.said {
			t.Errorf("%s: %q", name, said.String())
		}
		_ = stream.Close()
		_ = user.Close()
	}
}
