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
	Made     bool   // and not settled: the database may have no checkpoint that it signed

	path string
}

// unsettled is a file beside a key that has not signed every log yet.
func unsettled(path string) string { return path + ".new" }

// Settle says that the key has signed every log. From then on a checkpoint that it did not sign is believed no more.
func (k *Key) Settle() error {
	if k.Made {
		if err := os.Remove(unsettled(k.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	k.Made = false
	return nil
}

// EnsureKey reads the key, or makes one with a name of its own where there is no file.
func EnsureKey(path string) (Key, error) {
	_, err := os.Stat(unsettled(path))
	fresh := err == nil
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := secret.WriteFile(unsettled(path), nil); err != nil {
			return Key{}, err
		}
		private, _, err := note.GenerateKey(rand.Reader, "bulkhead-"+strings.ToLower(rand.Text()[:12]))
		if err != nil {
			return Key{}, err
		}
		if err := secret.WriteFile(path, []byte(private+"\n")); err != nil {
			return Key{}, err
		}
		key, err := parseKey(path, private)
		key.Made, key.path = true, path
		return key, err
	}
	if err != nil {
		return Key{}, err
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		return Key{}, fmt.Errorf("%s: others can read the key; run: chmod 600 %s", path, path)
	}
	key, err := parseKey(path, strings.TrimSpace(string(text)))
	key.Made, key.path = fresh, path
	return key, err
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
