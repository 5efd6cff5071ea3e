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

// LoginPrefix begins every token of a login.
const LoginPrefix = "bhs_"

// Sizes of a credential's parts in base32 characters: 80 bits of id, 256 of secret, 32 of checksum.
const (
	idSize       = 16
	secretSize   = 52
	checksumSize = 7
	keySize      = len(KeyPrefix) + idSize + 1 + secretSize + 1 + checksumSize
)

var (
	keyAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	idForm      = regexp.MustCompile(`^[a-z2-7]{16}$`)
)

var (
	// errNotAKey tells an honest caller what is wrong and an attacker nothing: the form is public.
	errNotAKey   = errs.E(wire.Unauthenticated, "this is not an API key: want %s<id>_<secret>_<checksum>, as it was shown when it was made", KeyPrefix)
	errNotALogin = errs.E(wire.Unauthenticated, "this is not a login: log in again")
)

// APIKey is an API key in the hands of its owner: bhk_<id>_<secret>_<checksum>. The server keeps its hash alone.
type APIKey struct {
	ID     string
	secret secret.Value // the base32 text
}

// NewAPIKey draws a key from the system's random source.
func NewAPIKey() APIKey { return APIKey(newCredential()) }

// ParseAPIKey reads a key. Each key has one text only; a typing error is found by the checksum, without the database.
func ParseAPIKey(text string) (APIKey, error) {
	c, ok := parseCredential(KeyPrefix, text)
	if !ok {
		return APIKey{}, errNotAKey
	}
	return APIKey(c), nil
}

// Text gives the whole key, to be shown or written once.
func (k APIKey) Text() secret.Value { return credential(k).text(KeyPrefix) }

// Hash is what the server keeps. The secret has 256 random bits, so one round of SHA-256 is as good as a slow hash.
func (k APIKey) Hash() [sha256.Size]byte { return credential(k).hash(KeyPrefix) }

// credential is an id and a secret: an API key or the token of a login. Their hashes differ by the prefix, so that one
// never passes for the other.
type credential struct {
	ID     string
	secret secret.Value
}

func newCredential() credential {
	var id [idSize * 5 / 8]byte
	_, _ = rand.Read(id[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return credential{ID: keyAlphabet.EncodeToString(id[:])}.renewed()
}

// renewed has the same id and another secret.
func (c credential) renewed() credential {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return credential{ID: c.ID, secret: secret.FromString(keyAlphabet.EncodeToString(bits[:]))}
}

func parseCredential(prefix, text string) (credential, bool) {
	rest, ok := strings.CutPrefix(text, prefix)
	if len(text) != keySize || !ok {
		return credential{}, false
	}
	parts := strings.Split(rest, "_")
	if len(parts) != 3 || !idForm.MatchString(parts[0]) {
		return credential{}, false
	}
	c := credential{ID: parts[0], secret: secret.FromString(parts[1])}
	bits, err := keyAlphabet.DecodeString(parts[1])
	if err != nil || keyAlphabet.EncodeToString(bits) != parts[1] || len(parts[1]) != secretSize || checksum(c.body(prefix)) != parts[2] {
		return credential{}, false
	}
	return c, true
}

func (c credential) text(prefix string) secret.Value {
	return secret.FromString(c.body(prefix) + "_" + checksum(c.body(prefix)))
}

func (c credential) body(prefix string) string {
	return prefix + c.ID + "_" + string(c.secret.Reveal())
}

func (c credential) hash(prefix string) [sha256.Size]byte {
	return sha256.Sum256([]byte(c.body(prefix)))
}

func checksum(body string) string {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body)))
	return keyAlphabet.EncodeToString(sum)
}
