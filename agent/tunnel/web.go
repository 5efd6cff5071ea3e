package tunnel

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	"bulkhead/agent/tunnel/policy"
	"bulkhead/internal/errs"
	"bulkhead/internal/mux"
	"bulkhead/wire"
)

// secure speaks TLS to a web application that wants it. Whose certificate is good enough is for the policy to say: the
// gateway cannot know the machines beside a device.
func (t *tunnel) secure(ctx context.Context, c mux.Half, rule policy.Rule) (mux.Half, error) {
	if t.grant.Target.Protocol != wire.ProtocolHTTPS {
		return c, nil
	}
	secured := tls.Client(c, webTLS(t.grant.Target.Host, rule.Certificate, t.tunnels.config.WebAuthority))
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = c.Close() // it is of no use
		var untrusted *tls.CertificateVerificationError
		if errors.As(err, &untrusted) || errors.Is(err, errOtherCertificate) {
			return nil, errs.As(wire.Denied, err, "the certificate of %s is not one that the device's policy trusts", t.grant.Target)
		}
		return nil, errs.As(wire.Unavailable, err, "%s does not speak TLS", t.grant.Target)
	}
	return &securedHalf{secured, c}, nil
}

var errOtherCertificate = errors.New("tunnel: another certificate than the policy names")

func webTLS(host string, want policy.Certificate, roots *x509.CertPool) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, NextProtos: []string{"http/1.1"}}
	if net.ParseIP(host) == nil {
		c.ServerName = host
	}
	switch {
	case want.Any || want.Pinned != nil:
		c.InsecureSkipVerify = true //nolint:gosec // the device's owner says so, or names the one that is good
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if sum := sha256.Sum256(s.PeerCertificates[0].Raw); want.Any || subtle.ConstantTimeCompare(sum[:], want.Pinned) == 1 {
				return nil
			}
			return errOtherCertificate
		}
	default:
		c.ServerName = host // an address too, where it is verified
	}
	return c
}

// securedHalf ends each direction on its own.
type securedHalf struct {
	*tls.Conn
	below mux.Half
}

// CloseWrite ends this direction of TLS. The one below stays open, as peers that see it end give up the other, too.
func (s *securedHalf) CloseWrite() error { return s.Conn.CloseWrite() }

// Reset breaks both directions off.
func (s *securedHalf) Reset() error {
	mux.Break(s.below)
	return nil
}
