// Package factor has the rules of second factors: codes of six digits that change each thirty seconds, and recovery codes.
//
// It promises that a code is exactly six ASCII digits, that a step which was accepted, and any before it, is not accepted
// again by who keeps the last one, and that a secret is shown as text and picture only to who asks for it.
package factor

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

const (
	period     = 30 // seconds
	digits     = 6
	secretSize = 20 // bytes, as RFC 4226 recommends
	skew       = 1  // steps that a clock may be wrong
	imageSize  = 256
)

var alphabet = base32.StdEncoding.WithPadding(base32.NoPadding)

// Secret is what the server and somebody's authenticator share.
type Secret struct{ text secret.Value } // base32

// NewSecret draws one.
func NewSecret() Secret {
	var bits [secretSize]byte
	_, _ = rand.Read(bits[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return Secret{secret.FromString(alphabet.EncodeToString(bits[:]))}
}

// Stored gives the secret that Text gave.
func Stored(text secret.Value) Secret { return Secret{text} }

// Text is the secret in base32.
func (s Secret) Text() secret.Value { return s.text }

// Step is the number of the thirty seconds that a moment is in.
func Step(at time.Time) int64 { return at.Unix() / period }

// Match gives the step whose code this is, of those that a clock near now may be in. Whether the step was used already
// is for the caller to decide, in one statement with keeping it.
func (s Secret) Match(code string, now time.Time) (step int64, ok bool) {
	if !isCode(code) {
		return 0, false
	}
	for at := Step(now) - skew; at <= Step(now)+skew; at++ {
		want, err := s.Code(at)
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = at, true
		}
	}
	return step, ok
}

// Code is the code of a step.
func (s Secret) Code(step int64) (string, error) {
	return hotp.GenerateCodeCustom(string(s.text.Reveal()), uint64(step), hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
}

// isCode reports whether text is six ASCII digits and nothing else.
func isCode(text string) bool {
	if len(text) != digits {
		return false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// URI is what an authenticator reads: who vouches, for whom, and the secret.
func (s Secret) URI(issuer, name string) (secret.Value, error) {
	key, err := s.key(issuer, name)
	if err != nil {
		return secret.Value{}, err
	}
	return secret.FromString(key.String()), nil
}

// PNG is the URI as a QR code.
func (s Secret) PNG(issuer, name string) (secret.Value, error) {
	key, err := s.key(issuer, name)
	if err != nil {
		return secret.Value{}, err
	}
	picture, err := key.Image(imageSize, imageSize)
	if err != nil {
		return secret.Value{}, fmt.Errorf("factor: QR code: %w", err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, bordered{picture}); err != nil {
		return secret.Value{}, fmt.Errorf("factor: QR code: %w", err)
	}
	return secret.New(out.Bytes()), nil
}

func (s Secret) key(issuer, name string) (*otp.Key, error) {
	bits, err := alphabet.DecodeString(string(s.text.Reveal()))
	if err != nil {
		return nil, errs.E(wire.Internal, "")
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: name, Secret: bits, Digits: digits, Period: period})
	if err != nil {
		return nil, fmt.Errorf("factor: %w", err)
	}
	return key, nil
}

// bordered has the white border that readers of QR codes want.
type bordered struct{ image.Image }

const border = 24

// Bounds are those of the picture and its border.
func (b bordered) Bounds() image.Rectangle { return b.Image.Bounds().Inset(-border) }

// At gives white for the border.
func (b bordered) At(x, y int) color.Color {
	if !(image.Point{x, y}).In(b.Image.Bounds()) {
		return color.White
	}
	return b.Image.At(x, y)
}
