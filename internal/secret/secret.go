// Package secret has the one type that carries passwords, tokens and keys through the program.
//
// It promises that a secret does not print: not by fmt with any verb, not by slog, JSON, YAML or text encoding. Who needs the
// value calls Reveal, which is easy to search for.
package secret

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what stands in the place of a secret wherever one is printed.
const Redacted = "[secret]"

// Value is a secret. The zero Value is empty and equals nothing, itself included.
type Value struct{ bytes []byte }

// New wraps a copy of b.
func New(b []byte) Value { return Value{append([]byte(nil), b...)} }

// FromString wraps s.
func FromString(s string) Value { return Value{[]byte(s)} }

// Random draws a secret of 256 bits and gives it as standard base64 text, the form in which devices and services use it.
func Random() Value {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return FromString(base64.StdEncoding.EncodeToString(b[:]))
}

// Reveal gives the secret itself. The caller must not modify it, log it or keep it longer than it must.
func (v Value) Reveal() []byte { return v.bytes }

// IsZero reports whether there is no secret.
func (v Value) IsZero() bool { return len(v.bytes) == 0 }

// Equal compares in constant time. An empty secret equals nothing.
func (v Value) Equal(o Value) bool {
	return len(v.bytes) > 0 && subtle.ConstantTimeCompare(v.bytes, o.bytes) == 1
}

// String hides the secret.
func (v Value) String() string { return Redacted }

// GoString hides the secret.
func (v Value) GoString() string { return Redacted }

// Format hides the secret from every verb of fmt.
func (v Value) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, Redacted) }

// LogValue hides the secret from slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText hides the secret from JSON, YAML and XML.
func (v Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
