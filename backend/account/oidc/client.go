package oidc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Limits of what the server asks of a provider.
const (
	askTimeout   = 5 * time.Second // one request, with its answer
	dialTimeout  = 3 * time.Second
	maxAnswer    = 512 << 10
	maxHeader    = 32 << 10
	maxRedirects = 3
	maxConns     = 8 // at once, to one provider
	maxIdle      = 2
	idleLifetime = 10 * time.Second
)

// newClient makes the client through which alone a provider is reached. No proxy is used: the guard would see the
// proxy's address and not the provider's.
func newClient(p Provider) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(p.CA)) {
			return nil, errors.New("the provider's ca has no certificate")
		}
	}
	dialer := &net.Dialer{Timeout: dialTimeout, Control: guard(p.PrivateNetwork)}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: config, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: askTimeout,
		MaxResponseHeaderBytes: maxHeader, MaxConnsPerHost: maxConns, MaxIdleConns: maxIdle, IdleConnTimeout: idleLifetime,
	}
	return &http.Client{Transport: bounded{transport}, Timeout: askTimeout, CheckRedirect: sameHost}, nil
}

// sameHost follows what a provider moved within its own host. A secret is never sent twice.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case first.Method != http.MethodGet:
		return errors.New("redirects a request that is no GET")
	case len(via) > maxRedirects:
		return errors.New("redirects too often")
	case next.URL.Scheme != "https" || next.URL.Host != first.URL.Host:
		return fmt.Errorf("redirects to another host, %s", clip(next.URL.Host))
	}
	return nil
}

// bounded refuses plain HTTP and cuts answers that are too long.
type bounded struct{ next *http.Transport }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s is not https", clip(r.URL.Redacted()))
	}
	response, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = &limitedBody{response.Body, maxAnswer}
	return response, nil
}

func (b bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }

var errTooLong = errors.New("answers with more than 512 KiB")

// limitedBody fails at its limit, so that a cut answer is never taken for a whole one.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (l *limitedBody) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.ReadCloser.Read(p)
	l.left -= int64(n)
	return n, err
}
