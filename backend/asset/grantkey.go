package asset

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"bulkhead/internal/secret"
)

const grantKeyBlock = "PRIVATE KEY"

// EnsureGrantKey reads the Ed25519 key with which this server signs tunnel grants, and makes one where there is no file.
// Devices know its public half from their flash files, so a lost file means to flash them again.
func EnsureGrantKey(file string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeGrantKey(file)
	}
	if err != nil {
		return nil, fmt.Errorf("grant key: %w", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("grant key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("grant key: %s: mode is %04o: others can read the key; run: chmod 600 %s", file, info.Mode().Perm(), file)
	}
	return parseGrantKey(file, text)
}

func parseGrantKey(file string, text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != grantKeyBlock {
		return nil, fmt.Errorf("grant key: %s: want one PEM block %s", file, grantKeyBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("grant key: %s: not an Ed25519 private key in PKCS #8", file)
	}
	return key, nil
}

func makeGrantKey(file string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("grant key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("grant key: %w", err)
	}
	if err := secret.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: grantKeyBlock, Bytes: der})); err != nil {
		return nil, fmt.Errorf("grant key: %w", err)
	}
	return key, nil
}
