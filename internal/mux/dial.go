package mux

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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

// Door is where a session is dialled.
type Door struct {
	URL    string // wss://HOST/tunnel/…: nothing but wss is dialled
	Ticket secret.Value
	// TLS has the certificates to trust; the version is at least 1.2 whatever it says. The server's name is verified.
	TLS *tls.Config
	// Proxy finds the proxy, default http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
}

const dialTimeout = 15 * time.Second

// buffers lends write buffers to the sessions that are writing.
var buffers sync.Pool

// Dial opens a WebSocket at a gateway.
func Dial(ctx context.Context, d Door) (*websocket.Conn, error) {
	u, err := url.Parse(d.URL)
	if err != nil || u.Scheme != "wss" || u.Host == "" || u.User != nil {
		return nil, errs.E(wire.Invalid, "not a gateway's URL: want one like wss://host/tunnel/user")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := websocket.Dialer{
		Proxy: d.Proxy, TLSClientConfig: secureTLS(d.TLS), ReadBufferSize: Buffer, WriteBufferPool: &buffers,
		Subprotocols: []string{wire.TunnelProtocol}, NetDialContext: dialTCP, HandshakeTimeout: dialTimeout,
	}
	if dialer.Proxy == nil {
		dialer.Proxy = http.ProxyFromEnvironment
	}
	ws, response, err := dialer.DialContext(ctx, d.URL, http.Header{"Authorization": {"Bearer " + string(d.Ticket.Reveal())}})
	if err != nil {
		return nil, refused(response, err)
	}
	if ws.Subprotocol() != wire.TunnelProtocol {
		_ = ws.Close()
		return nil, errs.E(wire.Unavailable, "the gateway does not speak %s", wire.TunnelProtocol)
	}
	return ws, nil
}

func dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Control: tuneSocket}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return newCorkable(c), nil
}

func secureTLS(given *tls.Config) *tls.Config {
	c := given.Clone() // of nil too
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.DynamicRecordSizingDisabled = true
	return c
}

// refused tells a door that is locked from one that is not there.
func refused(response *http.Response, err error) error {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &authority), errors.As(err, &verification):
		return errs.As(wire.Unavailable, err, "the gateway's certificate is not trusted")
	case response != nil && response.StatusCode == http.StatusUnauthorized:
		return errs.As(wire.Unauthenticated, err, "the gateway does not take the ticket: it was used, or the tunnel has ended")
	case response != nil:
		return errs.As(wire.Unavailable, err, "the gateway answers with HTTP status %d", response.StatusCode)
	default:
		return errs.As(wire.Unavailable, err, "the gateway cannot be reached")
	}
}

// BrokenOff reports whether an error is that a stream was broken off.
func BrokenOff(err error) bool { return errors.Is(err, errReset) }
