package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"bulkhead/realms"
	"bulkhead/router/message"
)

// patience is how long a misbehaving client waits for what the router owes it. The machine may be busy.
const patience = 30 * time.Second

var formats = []message.Format{message.JSON, message.MsgPack, message.CBOR}

// stranger is a connection over which anything can be said. It answers no pings.
type stranger struct {
	tcp     *net.TCPConn
	conn    net.Conn // TLS, once there is any
	in      *bufio.Reader
	format  message.Format
	request message.ID
	session message.ID
	who     realms.Device // of one that has joined
	stop    func() bool
}

// dial connects from an address that honest clients do not use: the router counts connections per address.
func (c *child) dial(ctx context.Context, rng *rand.Rand) (*stranger, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+rng.IntN(4)))} //nolint:gosec // small
	dialer := net.Dialer{LocalAddr: from, Timeout: patience}
	conn, err := dialer.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, unmet(err)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, errors.New("not TCP")
	}
	s := &stranger{tcp: tcp, conn: tcp, in: bufio.NewReader(tcp), format: formats[rng.IntN(len(formats))]}
	_ = tcp.SetDeadline(time.Now().Add(patience))
	s.stop = context.AfterFunc(ctx, func() { _ = tcp.Close() })
	return s, nil
}

// errUnmet is wrapped by what kept a misbehaving client from beginning. The router may refuse it: nobody is owed a connection.
var errUnmet = errors.New("not let so far")

func unmet(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errUnmet, err)
}

func (s *stranger) close() {
	s.stop()
	_ = s.tcp.Close()
}

// vanish closes without FIN: what is under way is dropped and the router gets a reset.
func (s *stranger) vanish() {
	_ = s.tcp.SetLinger(0)
	s.close()
}

func (s *stranger) secure(c *child) error {
	t := tls.Client(s.tcp, &tls.Config{RootCAs: c.roots, ServerName: "localhost"}) //nolint:gosec // 1.2 and up is the default
	if err := t.Handshake(); err != nil {
		return unmet(err)
	}
	s.conn, s.in = t, bufio.NewReader(t)
	return nil
}

func (s *stranger) upgradeRequest() string {
	return "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Sec-WebSocket-Protocol: " + message.Subprotocol(s.format, false) + "\r\n\r\n"
}

// open makes a WebSocket of a new connection.
func (c *child) open(ctx context.Context, rng *rand.Rand) (*stranger, error) {
	s, err := c.dial(ctx, rng)
	if err != nil {
		return nil, err
	}
	if err := s.upgrade(c); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stranger) upgrade(c *child) error {
	if err := s.secure(c); err != nil {
		return err
	}
	if _, err := io.WriteString(s.conn, s.upgradeRequest()); err != nil {
		return unmet(err)
	}
	response, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return unmet(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		return unmet(errors.New(response.Status))
	}
	return nil
}
