package mux

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"time"
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
