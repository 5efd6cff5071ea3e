package secret

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const keyFileHead = "# Bulkhead key-encryption keys, newest first. Without this file the stored secrets are lost: keep a copy apart from the database.\n"

// LoadKeyring reads a key file: one base64 key a line, the newest first; lines that begin with # are comments.
func LoadKeyring(path string) (*Keyring, error) { return load(path, 0o077) }

// LoadCredential is LoadKeyring for a file that systemd has made (LoadCredential=): its group may be one of ours.
func LoadCredential(path string) (*Keyring, error) { return load(path, 0o007) }

func load(path string, closed fs.FileMode) (*Keyring, error) {
	lines, err := readKeys(path, closed)
	if err != nil {
		return nil, err
	}
	keys := make([][]byte, len(lines))
	for i := range lines {
		keys[i] = lines[i].Reveal()
	}
	k, err := NewKeyring(keys...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// readKeys gives the keys of a file that is closed to others.
func readKeys(path string, closed fs.FileMode) ([]Value, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&closed != 0 {
		return nil, fmt.Errorf("%s: mode is %04o: others can read the key; run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	var keys []Value
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: not base64", path, n+1)
		}
		keys = append(keys, Value{key})
	}
	return keys, nil
}

func writeKeys(path string, keys []Value) error {
	text := keyFileHead
	for _, key := range keys {
		text += base64.StdEncoding.EncodeToString(key.bytes) + "\n"
	}
	return WriteFile(path, []byte(text))
}

// EnsureKeyring is LoadKeyring, after writing a new random key to path where there is no file.
func EnsureKeyring(path string) (*Keyring, error) {
	k, err := LoadKeyring(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := writeKeys(path, []Value{newKey()}); err != nil {
		return nil, err
	}
	return LoadKeyring(path)
}

// NewKey draws a key-encryption key.
func NewKey() (Value, KeyID) {
	key := newKey()
	return key, idOf(key.bytes)
}

// AddKey writes a key to a key file, before the others, and gives the keyring of all. The file comes first: what the new
// key seals can be opened after a crash.
func AddKey(path string, key Value) (*Keyring, error) {
	keys, err := readKeys(path, 0o077)
	if err != nil {
		return nil, err
	}
	if err := writeKeys(path, append([]Value{key}, keys...)); err != nil {
		return nil, err
	}
	return LoadKeyring(path)
}

// DropKey takes a key out of a key file and gives the keyring of the others. The newest stays.
func DropKey(path string, id KeyID) (*Keyring, error) {
	keys, err := readKeys(path, 0o077)
	if err != nil {
		return nil, err
	}
	var kept []Value
	for i, key := range keys {
		if idOf(key.bytes) != id {
			kept = append(kept, key)
		} else if i == 0 {
			return nil, fmt.Errorf("key %s seals what is stored from now on: it cannot be dropped", id)
		}
	}
	if len(kept) == len(keys) {
		return nil, fmt.Errorf("%s: has no key %s", path, id)
	}
	if err := writeKeys(path, kept); err != nil {
		return nil, err
	}
	return LoadKeyring(path)
}

func newKey() Value {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // crypto/rand.Read never fails (Go 1.24 and later)
	return Value{key}
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
