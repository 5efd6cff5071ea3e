package mux

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Identity is a key with which an end of a tunnel proves itself to the other, past the gateway.
type Identity struct {
	certificate tls.Certificate
	fingerprint string
}

// NewIdentity draws a key.
func NewIdentity() (Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, err
	}
	return identityOf(key)
}

// ParseIdentity reads what Marshal wrote.
func ParseIdentity(der []byte) (Identity, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return Identity{}, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return Identity{}, errors.New("mux: not an ECDSA key")
	}
	return identityOf(key)
}

// identityOf wraps a key in a certificate, because that is how TLS carries one. Nothing in it but the key means anything.
func identityOf(key *ecdsa.PrivateKey) (Identity, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return Identity{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return Identity{}, err
	}
	return Identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, fingerprintOf(leaf)}, nil
}

// Marshal gives the key itself.
func (i Identity) Marshal() ([]byte, error) {
	return x509.MarshalPKCS8PrivateKey(i.certificate.PrivateKey)
}

// Signer signs with the key.
func (i Identity) Signer() crypto.Signer { return i.certificate.PrivateKey.(crypto.Signer) } //nolint:forcetypeassert // it is an ECDSA key

// Fingerprint names the public key: its SHA-256 in base64.
func (i Identity) Fingerprint() string { return i.fingerprint }

func fingerprintOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// FingerprintOf names a public key as Identity.Fingerprint does; "" where it is no key that an identity can have.
func FingerprintOf(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

const (
	sealProtocol = "bulkhead-tunnel-1"
	sealTimeout  = 20 * time.Second
)

// SealClient encrypts a stream from the user's end to the device's, whose key must have the fingerprint.
func SealClient(ctx context.Context, s Stream, own Identity, device string) (Stream, error) {
	return seal(ctx, s, tls.Client(uncut{s}, sealConfig(own, device)))
}

// SealServer encrypts a stream at the device, for a user's end whose key must have the fingerprint.
func SealServer(ctx context.Context, s Stream, own Identity, client string) (Stream, error) {
	return seal(ctx, s, tls.Server(uncut{s}, sealConfig(own, client)))
}

// sealConfig trusts one key and no authority: the grant and the list of known devices say which.
func sealConfig(own Identity, peer string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own.certificate}, NextProtos: []string{sealProtocol},
		InsecureSkipVerify: true, //nolint:gosec // there is no name to verify: the key itself is, below
		ClientAuth:         tls.RequireAnyClientCert, SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || peer == "" || state.NegotiatedProtocol != sealProtocol ||
				subtle.ConstantTimeCompare([]byte(fingerprintOf(state.PeerCertificates[0])), []byte(peer)) != 1 {
				return errOtherKey
			}
			return nil
		},
	}
}

var errOtherKey = errors.New("mux: the other end has another key than was agreed")

func seal(ctx context.Context, below Stream, c *tls.Conn) (Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, sealTimeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		_ = below.Reset() // it is of no use
		if errors.Is(err, errOtherKey) {
			return nil, errs.As(wire.Unauthenticated, err, "the other end of the tunnel has another key than was agreed: somebody may be in between")
		}
		return nil, errs.As(wire.Unavailable, err, "the other end of the tunnel did not finish the handshake")
	}
	return &sealed{Conn: c, below: below}, nil
}

// uncut makes an error of an end that was not told inside. Package tls takes one between two records for an end, so that
// whoever carries the stream could cut it there unseen.
type uncut struct{ Stream }

var errCut = errors.New("mux: the stream was cut off")

func (u uncut) Read(b []byte) (int, error) {
	n, err := u.Stream.Read(b)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

// sealed is a stream that the gateway cannot read.
type sealed struct {
	*tls.Conn
	below Stream
}

// Write writes records that each fit into one frame.
func (s *sealed) Write(b []byte) (written int, err error) {
	for {
		n, err := s.Conn.Write(b[written:min(written+piece, len(b))])
		if written += n; err != nil || written == len(b) {
			return written, err
		}
	}
}

// CloseWrite ends this direction: inside first, so that a cut cannot pass for an end.
func (s *sealed) CloseWrite() error {
	return errors.Join(s.Conn.CloseWrite(), s.below.CloseWrite())
}

// Reset breaks both directions off.
func (s *sealed) Reset() error { return s.below.Reset() }
