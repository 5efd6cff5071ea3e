package sequencer

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"bulkhead/internal/secret"
)

// Key signs checkpoints. Its name is the server's name in the origins of its logs.
type Key struct {
	Signer   note.Signer
	Verifier note.Verifier
	Public   string // for those who verify
	Made     bool   // by this call: no checkpoint can be signed with it yet
}

// EnsureKey reads the key, or makes one with a name of its own where there is no file.
func EnsureKey(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		private, _, err := note.GenerateKey(rand.Reader, "bulkhead-"+strings.ToLower(rand.Text()[:12]))
		if err != nil {
			return Key{}, err
		}
		if err := secret.WriteFile(path, []byte(private+"\n")); err != nil {
			return Key{}, err
		}
		key, err := parseKey(path, private)
		key.Made = true
		return key, err
	}
	if err != nil {
		return Key{}, err
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		return Key{}, fmt.Errorf("%s: others can read the key; run: chmod 600 %s", path, path)
	}
	return parseKey(path, strings.TrimSpace(string(text)))
}

// parseKey reads the form of golang.org/x/mod/sumdb/note. Errors do not repeat the text, which is secret.
func parseKey(path, private string) (Key, error) {
	signer, err := note.NewSigner(private)
	if err != nil {
		return Key{}, fmt.Errorf("%s: no key that signs notes", path)
	}
	parts := strings.SplitN(private, "+", 5) // PRIVATE, KEY, name, hash, algorithm and seed in base64, which may have more of "+"
	material, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(material) != 1+ed25519.SeedSize {
		return Key{}, fmt.Errorf("%s: no Ed25519 key", path)
	}
	public, _ := ed25519.NewKeyFromSeed(material[1:]).Public().(ed25519.PublicKey)
	encoded, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", path, err)
	}
	verifier, err := note.NewVerifier(encoded)
	return Key{Signer: signer, Verifier: verifier, Public: encoded}, err
}
