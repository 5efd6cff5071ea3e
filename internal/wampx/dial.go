package wampx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Config says where to join and as whom.
type Config struct {
	// URL of the router, wss://HOST/ws or wss://HOST/ws-agent. Nothing but wss is dialled.
	URL   string
	Realm string
	// TLS has the certificates to trust; the version is at least 1.2 whatever it says. The server's name is verified.
	TLS *tls.Config
	// Serializer, default JSON.
	Serializer Serializer
	AuthID     string
	// Secret joins by WAMP-CRA, Ticket by a ticket.
	Secret, Ticket secret.Value
	// Proxy finds the proxy, default http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// JoinTimeout bounds the time from dialling to WELCOME, default 15 s.
	JoinTimeout time.Duration
	// PingInterval is how often the router must show that it is alive; after two and a quarter of it in silence the
	// session is over. Default 20 s.
	PingInterval time.Duration
	Options
}

const (
	defaultJoinTimeout  = 15 * time.Second
	defaultPingInterval = 20 * time.Second
	maxMessage          = 16 << 20
	writeBuffer         = 16 << 10 // one TLS record; gorilla cuts messages at this size
)

// writeBuffers lends write buffers to the sessions that are writing; most are idle.
var writeBuffers sync.Pool

// Dial connects to a router and joins a realm.
func Dial(ctx context.Context, c Config) (*Session, error) {
	if c.Serializer == nil {
		c.Serializer = JSON
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(c.JoinTimeout, defaultJoinTimeout))
	defer cancel()
	peer, err := c.connect(ctx)
	if err != nil {
		return nil, errs.Wrap("connect "+c.URL, err)
	}
	welcome, err := join(ctx, peer, c.Realm, credential{c.AuthID, c.Secret, c.Ticket})
	if err != nil {
		peer.Close()
		return nil, errs.Wrap("join "+c.Realm, err)
	}
	return newSession(peer, c.Realm, welcome, c.Options), nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// connect opens the WebSocket. When ctx ends, what is open of it is closed, whatever it waits for.
func (c Config) connect(ctx context.Context) (*socket, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "wss" || u.Host == "" {
		return nil, errs.E(wire.Invalid, "not a router's URL: want one like wss://host/ws")
	}
	var link *link
	dialer := websocket.Dialer{
		Proxy:           c.Proxy,
		TLSClientConfig: tlsConfig(c.TLS),
		ReadBufferSize:  4 << 10,
		WriteBufferSize: writeBuffer,
		WriteBufferPool: &writeBuffers,
		Subprotocols:    []string{c.Serializer.protocol()},
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			link = newLink(conn)
			context.AfterFunc(ctx, link.abandon)
			return link, nil
		},
	}
	if dialer.Proxy == nil {
		dialer.Proxy = http.ProxyFromEnvironment
	}
	conn, response, err := dialer.DialContext(ctx, c.URL, nil)
	if err != nil {
		return nil, unreachable(response, err)
	}
	if conn.Subprotocol() != c.Serializer.protocol() {
		_ = conn.Close()
		return nil, errs.E(wire.Unavailable, "the router does not speak %s", c.Serializer.protocol())
	}
	if !link.keep() {
		_ = conn.Close()
		return nil, errs.As(wire.Unavailable, ctx.Err(), "the router does not answer")
	}
	interval := orDefault(c.PingInterval, defaultPingInterval)
	link.watch(interval*2 + interval/4)
	return newSocket(conn, link, c.Serializer, interval), nil
}

func tlsConfig(given *tls.Config) *tls.Config {
	c := given.Clone() // of nil too
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.MinVersion < tls.VersionTLS12 {
		c.MinVersion = tls.VersionTLS12
	}
	return c
}

// unreachable tells a certificate that is not trusted from a router that is away.
func unreachable(response *http.Response, err error) error {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &host):
		return errs.As(wire.Unavailable, err, "the router's certificate is for another name")
	case errors.As(err, &authority), errors.As(err, &verification):
		return errs.As(wire.Unavailable, err, "the router's certificate is not trusted")
	case response != nil:
		return errs.As(wire.Unavailable, err, "the router answers with HTTP status %d", response.StatusCode)
	default:
		return errs.As(wire.Unavailable, fmt.Errorf("dial: %w", err), "the router cannot be reached")
	}
}
