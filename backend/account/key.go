package account

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"regexp"
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// KeyPrefix begins every API key, so that scanners for leaked secrets, and our own refusal of keys in URLs, know one.
const KeyPrefix = "bhk_"

// Sizes of a key's parts in base32 characters: 80 bits of id, 256 of secret, 32 of checksum.
const (
	idSize       = 16
	secretSize   = 52
	checksumSize = 7
	keySize      = len(KeyPrefix) + idSize + 1 + secretSize + 1 + checksumSize
)

var (
	keyAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	idForm      = regexp.MustCompile(`^[a-z2-7]{16}$`)
	keyForm     = regexp.MustCompile(`^bhk_[a-z2-7]{16}_[a-z2-7]{52}_[a-z2-7]{7}$`)
)

// errNotAKey tells an honest caller what is wrong and an attacker nothing: the form is public.
var errNotAKey = errs.E(wire.Unauthenticated, "this is not an API key: want %s<id>_<secret>_<checksum>, as it was shown when it was made", KeyPrefix)

// APIKey is an API key in the hands of its owner: bhk_<id>_<secret>_<checksum>. The server keeps its hash alone.
type APIKey struct {
	ID     string
	secret secret.Value // the base32 text
}

// NewAPIKey draws a key from the system's random source.
func NewAPIKey() APIKey {
	var id [idSize * 5 / 8]byte
	var bits [32]byte
	_, _ = rand.Read(id[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	_, _ = rand.Read(bits[:])
	return APIKey{ID: keyAlphabet.EncodeToString(id[:]), secret: secret.FromString(keyAlphabet.EncodeToString(bits[:]))}
}

// ParseAPIKey reads a key. Each key has one text only; a typing error is found by the checksum, without the database.
func ParseAPIKey(text string) (APIKey, error) {
	if len(text) != keySize || !keyForm.MatchString(text) {
		return APIKey{}, errNotAKey
	}
	parts := strings.Split(text, "_")
	k := APIKey{ID: parts[1], secret: secret.FromString(parts[2])}
	bits, err := keyAlphabet.DecodeString(parts[2])
	if err != nil || keyAlphabet.EncodeToString(bits) != parts[2] || checksum(k.body()) != parts[3] {
		return APIKey{}, errNotAKey
	}
	return k, nil
}

// Text gives the whole key, to be shown or written once.
func (k APIKey) Text() secret.Value {
	return secret.FromString(k.body() + "_" + checksum(k.body()))
}

func (k APIKey) body() string { return KeyPrefix + k.ID + "_" + string(k.secret.Reveal()) }

// Hash is what the server keeps. The secret has 256 random bits, so one round of SHA-256 is as good as a slow hash.
func (k APIKey) Hash() [sha256.Size]byte { return sha256.Sum256([]byte(k.body())) }

func checksum(body string) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body)))
	return keyAlphabet.EncodeToString(sum)
}
