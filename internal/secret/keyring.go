package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A sealed value is: one byte of format, four of key id, a nonce, the AES-256-GCM ciphertext with its tag.
const (
	sealFormat = 1
	keyIDSize  = 4
	keySize    = 32
)

// ErrSealed is returned for what cannot be opened: altered, sealed for another context, or with a key that is not here.
var ErrSealed = errors.New("sealed value cannot be opened with these keys in this context")

type keyID [keyIDSize]byte

// Keyring seals secrets for storage with keys that live outside the database. It is immutable.
type Keyring struct {
	primary keyID
	keys    map[keyID]cipher.AEAD
}

// NewKeyring makes a keyring of 32-byte keys; it seals with the first and opens with any.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	k := &Keyring{keys: map[keyID]cipher.AEAD{}}
	for i, key := range keys {
		if len(key) != keySize {
			return nil, fmt.Errorf("key %d: is %d bytes, want %d", i+1, len(key), keySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte("bulkhead key id\n"), key...))
		id := keyID(sum[:keyIDSize])
		if i == 0 {
			k.primary = id
		}
		k.keys[id] = aead
	}
	if len(k.keys) == 0 {
		return nil, errors.New("no key")
	}
	return k, nil
}

// LoadKeyring reads a key file: one base64 key a line, the newest first; lines that begin with # are comments.
func LoadKeyring(path string) (*Keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode is %04o: others can read the key; run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: not base64", path, n+1)
		}
		keys = append(keys, key)
	}
	k, err := NewKeyring(keys...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// EnsureKeyring is LoadKeyring, after writing a new random key to path where there is no file.
func EnsureKeyring(path string) (*Keyring, error) {
	k, err := LoadKeyring(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	text := "# Bulkhead key-encryption keys, newest first. Without this file the stored secrets are lost: keep a copy apart from the database.\n" +
		string(Random().Reveal()) + "\n"
	if err := WriteFile(path, []byte(text)); err != nil {
		return nil, err
	}
	return LoadKeyring(path)
}

// WriteFile writes data to path with mode 0600 so that a crash leaves the old file or the new one, never a part.
func WriteFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // CreateTemp makes files with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	_, errWrite := f.Write(data)
	if err := errors.Join(errWrite, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Seal encrypts v. Context names where the value is kept, such as table, row and column: a value that is moved elsewhere
// does not open there.
func (k *Keyring) Seal(v Value, context string) ([]byte, error) {
	aead := k.keys[k.primary]
	out := make([]byte, 1+keyIDSize+aead.NonceSize(), 1+keyIDSize+aead.NonceSize()+len(v.bytes)+aead.Overhead())
	out[0] = sealFormat
	copy(out[1:], k.primary[:])
	nonce := out[1+keyIDSize:]
	_, _ = rand.Read(nonce) // crypto/rand.Read never fails (Go 1.24 and later)
	return aead.Seal(out, nonce, v.bytes, []byte(context)), nil
}

// Open decrypts what Seal gave for the same context, or returns ErrSealed.
func (k *Keyring) Open(sealed []byte, context string) (Value, error) {
	head := 1 + keyIDSize
	if len(sealed) < head || sealed[0] != sealFormat {
		return Value{}, ErrSealed
	}
	aead, ok := k.keys[keyID(sealed[1:head])]
	if !ok || len(sealed) < head+aead.NonceSize() {
		return Value{}, ErrSealed
	}
	nonce, ciphertext := sealed[head:head+aead.NonceSize()], sealed[head+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, ciphertext, []byte(context))
	if err != nil {
		return Value{}, ErrSealed
	}
	return Value{plain}, nil
}
