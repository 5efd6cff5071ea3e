package wire

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// MaxKey is the largest key: 2^53 - 1, the largest integer that every JSON reader keeps exactly.
const MaxKey Key = 1<<53 - 1

// Key names a project, an app or a device on the wire. It is a positive integer of at most 53 bits, drawn at random so
// that nobody can count what exists. The zero Key names nothing.
type Key uint64

// ErrKey is returned for text that is not a key.
var ErrKey = errors.New("not a key: want a positive decimal integer below 2^53 without leading zeros")

// NewKey draws a key from the system's random source.
func NewKey() Key {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24 and later)
		if k := Key(binary.BigEndian.Uint64(b[:]) >> 11); k.Valid() {
			return k
		}
	}
}

// ParseKey reads the one decimal form of a key: "02" and "+2" are not keys, because realms compare them as strings.
func ParseKey(s string) (Key, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	k := Key(n)
	if err != nil || !k.Valid() || k.String() != s {
		return 0, ErrKey
	}
	return k, nil
}

// Valid reports whether k can name something.
func (k Key) Valid() bool { return k > 0 && k <= MaxKey }

func (k Key) String() string { return strconv.FormatUint(uint64(k), 10) }

// UnmarshalJSON reads a JSON integer that is a valid key.
func (k *Key) UnmarshalJSON(b []byte) error {
	parsed, err := ParseKey(string(b))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

var _ json.Unmarshaler = (*Key)(nil)

// Serial is the UUID that a device keeps for its life, in lower case with dashes.
type Serial string

var serialForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// ErrSerial is returned for text that is not a serial.
var ErrSerial = errors.New("not a serial: want a UUID in lower case, like 3d9f2c51-7a60-4f0e-9d54-1c2b3a4d5e6f")

// NewSerial draws a random UUID (RFC 9562, version 4).
func NewSerial() Serial {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return Serial(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// ParseSerial reads a serial.
func ParseSerial(s string) (Serial, error) {
	if !serialForm.MatchString(s) {
		return "", ErrSerial
	}
	return Serial(s), nil
}

// Stage tells an installation that is developed from one that is used.
type Stage string

// The stages. There are no others.
const (
	Dev  Stage = "dev"
	Prod Stage = "prod"
)

// ErrStage is returned for text that is not a stage.
var ErrStage = errors.New(`not a stage: want "dev" or "prod"`)

// ParseStage reads a stage in the form that realm names use.
func ParseStage(s string) (Stage, error) {
	if st := Stage(s); st == Dev || st == Prod {
		return st, nil
	}
	return "", ErrStage
}

// Upper gives the form that device functions and credential derivation use: DEV or PROD.
func (s Stage) Upper() string {
	if s == Prod {
		return "PROD"
	}
	return "DEV"
}
