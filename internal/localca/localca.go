// Package localca makes the throw-away certificate authority of `bulkhead dev` and of tests.
//
// It promises that both start from nothing, that a certificate which has less than a day to live is replaced at the next
// start while the authority stays, and that private keys are readable by their owner only.
package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"bulkhead/internal/secret"
)

// Lifetimes. The authority's is long so that a development fleet keeps trusting it; a leaf's is what browsers accept.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour
	renewBefore   = 24 * time.Hour
)

// Files are what Ensure leaves in its directory.
type Files struct{ CA, Cert, Key string }

// Ensure makes or keeps an authority and a server certificate for hosts (names or addresses) in dir.
func Ensure(dir string, hosts []string, now time.Time) (Files, error) {
	f := Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key")}
	caKeyFile := filepath.Join(dir, "ca.key")
	ca, err := tls.LoadX509KeyPair(f.CA, caKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = makeAuthority(f.CA, caKeyFile, now)
	}
	if err != nil {
		return f, fmt.Errorf("certificate authority in %s: %w", dir, err)
	}
	if leafServes(f, ca.Leaf, hosts, now) {
		return f, nil
	}
	if err := makeLeaf(f, ca, hosts, now); err != nil {
		return f, fmt.Errorf("server certificate in %s: %w", dir, err)
	}
	return f, nil
}

func leafServes(f Files, ca *x509.Certificate, hosts []string, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, host := range hosts {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: probeName(host), CurrentTime: now.Add(renewBefore)}); err != nil {
			return false
		}
	}
	return true
}

// probeName gives a name that a wildcard covers, since Verify takes no wildcards.
func probeName(host string) string {
	if len(host) > 2 && host[:2] == "*." {
		return "x" + host[1:]
	}
	return host
}

func makeAuthority(certFile, keyFile string, now time.Time) (tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Bulkhead local CA"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if err := issue(template, nil, certFile, keyFile); err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(certFile, keyFile)
}

func makeLeaf(f Files, ca tls.Certificate, hosts []string, now time.Time) error {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Bulkhead"},
		NotBefore:   now.Add(-time.Hour),
		NotAfter:    now.Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return issue(template, &ca, f.Cert, f.Key)
}

// issue signs template with the authority, or with its own key where there is none, and writes the key first: a
// certificate without its key would be taken for a whole pair.
func issue(template *x509.Certificate, ca *tls.Certificate, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return err
	}
	parent, signer := template, any(key)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return err
	}
	encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := secret.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encodedKey})); err != nil {
		return err
	}
	if err := secret.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return err
	}
	return os.Chmod(certFile, 0o644)
}
