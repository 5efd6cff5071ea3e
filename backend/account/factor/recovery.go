package factor

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"bulkhead/internal/secret"
)

// RecoveryCodes is how many somebody has.
const RecoveryCodes = 10

const (
	recoveryBits = 16 // bytes: 128 bits
	recoverySize = 26 // characters
)

var recoveryAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// RecoveryHash is what is kept of a recovery code. It has 128 random bits, so one round of SHA-256 is enough.
type RecoveryHash [sha256.Size]byte

// NewRecovery draws a set of recovery codes.
func NewRecovery() (codes []secret.Value, hashes []RecoveryHash) {
	for range RecoveryCodes {
		var bits [recoveryBits]byte
		_, _ = rand.Read(bits[:]) // crypto/rand.Read never fails (Go 1.24 and later)
		text := recoveryAlphabet.EncodeToString(bits[:])
		codes, hashes = append(codes, secret.FromString(grouped(text))), append(hashes, sha256.Sum256([]byte(text)))
	}
	return codes, hashes
}

// grouped is easier to read from paper: abcde-fghij-….
func grouped(text string) string {
	var groups []string
	for len(text) > 5 {
		groups, text = append(groups, text[:5]), text[5:]
	}
	return strings.Join(append(groups, text), "-")
}

// Recovery reads a recovery code as people type it, with or without dashes, spaces and capitals.
func Recovery(text string) (RecoveryHash, bool) {
	if len(text) > 4*recoverySize {
		return RecoveryHash{}, false
	}
	text = strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(text))
	bits, err := recoveryAlphabet.DecodeString(text)
	if err != nil || len(text) != recoverySize || len(bits) != recoveryBits || recoveryAlphabet.EncodeToString(bits) != text {
		return RecoveryHash{}, false
	}
	return sha256.Sum256([]byte(text)), true
}
