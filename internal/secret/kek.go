package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	keyIDSize = 4
	keySize   = 32
	nonceSize = 12
	tagSize   = 16
	// wrappedSize is the room of a data key wrapped by a key of ours.
	wrappedSize = nonceSize + keySize + tagSize
)

// wrapContext keeps a wrapped data key from being taken for a sealed value of the first format, and the other way round.
var wrapContext = []byte("bulkhead data key")

// KeyID names a key-encryption key, and tells nothing of it.
type KeyID [keyIDSize]byte

// String is the id as people read it.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ParseKeyID reads what String gives.
func ParseKeyID(text string) (id KeyID, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != keyIDSize {
		return id, fmt.Errorf("a key's id has %d hexadecimal digits", 2*keyIDSize)
	}
	return KeyID(raw), nil
}

// Wrapper is a key-encryption key, wherever it is kept: it wraps the keys of values and never sees a value. What it wraps
// may have any length up to 64 KiB, so that a key in a service of its own fits as well.
type Wrapper interface {
	ID() KeyID
	Wrap(dataKey []byte) ([]byte, error)
	Unwrap(wrapped []byte) ([]byte, error)
}

// localKey is a key-encryption key in this process's memory.
type localKey struct {
	id   KeyID
	aead cipher.AEAD
}

var _ Wrapper = (*localKey)(nil)

func newLocalKey(key []byte) (*localKey, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("is %d bytes, want %d", len(key), keySize)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &localKey{id: idOf(key), aead: aead}, nil
}

func idOf(key []byte) KeyID {
	sum := sha256.Sum256(append([]byte("bulkhead key id\n"), key...))
	return KeyID(sum[:keyIDSize])
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// ID names the key.
func (k *localKey) ID() KeyID { return k.id }

// Wrap encrypts a data key.
func (k *localKey) Wrap(dataKey []byte) ([]byte, error) {
	return encrypt(make([]byte, 0, wrappedSize), k.aead, dataKey, wrapContext), nil
}

// Unwrap decrypts what Wrap gave.
func (k *localKey) Unwrap(wrapped []byte) ([]byte, error) {
	return decrypt(k.aead, wrapped, wrapContext)
}

// encrypt appends a fresh nonce and the ciphertext to out.
func encrypt(out []byte, aead cipher.AEAD, plain, context []byte) []byte {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return aead.Seal(append(out, nonce[:]...), nonce[:], plain, context)
}

func decrypt(aead cipher.AEAD, text, context []byte) ([]byte, error) {
	if len(text) < nonceSize+tagSize {
		return nil, errors.New("too short")
	}
	return aead.Open(nil, text[:nonceSize], text[nonceSize:], context)
}
