package server

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"

	"bulkhead/internal/errs"
	"bulkhead/router/transport"
	"bulkhead/wire"
)

// listen takes an address, and says in one sentence why it cannot.
func listen(key, addr string) (net.Listener, error) {
	l, err := transport.Listen(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, errs.As(wire.Unavailable, err, "%s %s is taken by another program: stop it, or choose another address (port 0 takes a free one)", key, addr)
	case errors.Is(err, os.ErrPermission):
		return nil, errs.As(wire.Unavailable, err, "%s %s may not be taken by this user: choose a port above 1023", key, addr)
	case err != nil:
		return nil, errs.As(wire.Invalid, err, "%s %s cannot be listened on", key, addr)
	}
	return l, nil
}

// publicURL is how others reach this server: as configured, else the address that it listens on.
func publicURL(configured string, l net.Listener) string {
	if configured != "" {
		return strings.TrimSuffix(configured, "/")
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return "https://" + net.JoinHostPort(host, port)
}

// webSocketURL is an endpoint of the router below a public URL.
func webSocketURL(public, path string) string {
	return "wss" + strings.TrimPrefix(public, "https") + path
}

// certificateHosts are the names that the local authority certifies.
func certificateHosts(public, webDomain string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if webDomain != "" {
		hosts = append(hosts, "*."+webDomain)
	}
	u, err := url.Parse(public)
	if err != nil {
		return hosts
	}
	for _, h := range hosts {
		if h == u.Hostname() {
			return hosts
		}
	}
	return append(hosts, u.Hostname())
}
