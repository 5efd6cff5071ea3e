// Package password hashes passwords of local accounts with argon2id.
//
// It promises that at most two are hashed at once, so that a flood of guesses costs no more than that; that those who wait
// are bounded, are served in turns by the name that they try, and do not wait long; that who is sent away cost nothing but
// that; and that to check against no hash takes as long as against a wrong one. Where the work is done is a Deriver's: see
// package apart for one that keeps it out of the way of all else.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// What a hash costs: 19 MiB of memory, two passes.
const (
	memory  = 19 << 10 // KiB
	passes  = 2
	threads = 1
)

// Sizes of keys and salts, in bytes.
const (
	KeySize  = 32
	SaltSize = 16
)

// Lengths of passwords, in bytes.
const (
	MinLength = 12
	MaxLength = 1024
)

// Check refuses what is no good as a password of the named account.
func Check(name string, p secret.Value) error {
	text := string(p.Reveal())
	switch {
	case utf8.RuneCountInString(text) < MinLength:
		return errs.E(wire.Invalid, "a password has at least %d characters: a few words are good", MinLength)
	case len(text) > MaxLength || !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return errs.E(wire.Invalid, "a password is text of at most %d bytes", MaxLength)
	case strings.Contains(strings.ToLower(text), strings.ToLower(name)) && len(name) >= 4:
		return errs.E(wire.Invalid, "a password does not have the account's name in it")
	case strings.Count(text, text[:1]) == len(text):
		return errs.E(wire.Invalid, "a password is more than one character again and again")
	default:
		return nil
	}
}

// Deriver derives the key of KeySize bytes of a password and a salt of SaltSize, as Here does.
type Deriver interface {
	Derive(ctx context.Context, p secret.Value, bits []byte) ([]byte, error)
}

// Here is the Deriver that works in this process.
type Here struct{}

// Derive takes some 40 ms of a processor. It does not end before that.
func (Here) Derive(_ context.Context, p secret.Value, bits []byte) ([]byte, error) {
	text := p.Reveal()
	return argon2.IDKey(text[:min(len(text), MaxLength)], bits, passes, memory, threads, KeySize), nil
}

// Hasher hashes passwords. Make one with New.
type Hasher struct {
	line    *line
	deriver Deriver
	dummy   string // what is checked where there is no hash
}

// New makes a Hasher.
func New(d Deriver) *Hasher {
	return &Hasher{line: newLine(), deriver: d, dummy: encode(rest(rand.Text()), make([]byte, KeySize))}
}

func rest(text string) []byte { return []byte(text)[:SaltSize] }

// Hash gives the text to keep of a password.
func (h *Hasher) Hash(ctx context.Context, t Turn, p secret.Value) (string, error) {
	leave, err := h.line.enter(ctx, t)
	if err != nil {
		return "", err
	}
	defer leave()
	var bits [SaltSize]byte
	_, _ = rand.Read(bits[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	key, err := h.deriver.Derive(ctx, p, bits[:])
	if err != nil {
		return "", err
	}
	return encode(bits[:], key), nil
}

// Verify reports whether a password has the hash that find gives once it is the turn of who asks. Where that is empty
// nobody's is it, and that takes as long.
func (h *Hasher) Verify(ctx context.Context, t Turn, find func() (hash string, err error), p secret.Value) (bool, error) {
	leave, err := h.line.enter(ctx, t)
	if err != nil {
		return false, err
	}
	defer leave()
	hash, err := find()
	if err != nil {
		return false, err
	}
	absent := hash == ""
	if absent {
		hash = h.dummy
	}
	bits, want, err := decode(hash)
	if err != nil {
		return false, errs.As(wire.Internal, err, "")
	}
	key, err := h.deriver.Derive(ctx, p, bits)
	if err != nil {
		return false, err
	}
	same := len(p.Reveal()) <= MaxLength && subtle.ConstantTimeCompare(key, want) == 1
	return same && !absent, nil
}

// form is that of the reference implementation.
var form = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, memory, passes, threads)

func encode(bits, key []byte) string {
	return form + base64.RawStdEncoding.EncodeToString(bits) + "$" + base64.RawStdEncoding.EncodeToString(key)
}

func decode(hash string) (bits, key []byte, err error) {
	text, ok := strings.CutPrefix(hash, form)
	first, second, two := strings.Cut(text, "$")
	if !ok || !two {
		return nil, nil, fmt.Errorf("password: a hash is not of the form %s…", form)
	}
	if bits, err = base64.RawStdEncoding.DecodeString(first); err != nil || len(bits) != SaltSize {
		return nil, nil, fmt.Errorf("password: the salt of a hash cannot be read")
	}
	if key, err = base64.RawStdEncoding.DecodeString(second); err != nil || len(key) != KeySize {
		return nil, nil, fmt.Errorf("password: a hash cannot be read")
	}
	return bits, key, nil
}
