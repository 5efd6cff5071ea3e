package wire

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// RecordingChunk is one piece of a recording as it travels and is kept: who has it without the project's recording key
// learns when and how much was shown, and no more. All members are base64.
type RecordingChunk struct {
	Head      string `json:"head"`      // JSON of a RecordingHead
	Body      string `json:"body"`      // sealed asciicast v2
	Signature string `json:"signature"` // of the device over the head
}

// RecordingHead is what a device signs of a chunk. Each has the hash of the one before it, so that none can be left out,
// moved or changed.
type RecordingHead struct {
	Version  int    `json:"version"`
	Tunnel   string `json:"tunnel"`
	Session  int    `json:"session"` // of the tunnel's shells, from 1
	Project  Key    `json:"project_key"`
	Device   Key    `json:"device_key"`
	Serial   Serial `json:"serial"`
	Sequence int64  `json:"sequence"` // from 0
	Previous string `json:"previous"` // Hash of the head before it; empty in the first
	Body     string `json:"body"`     // SHA-256 of the sealed body
	At       int64  `json:"at"`       // epoch milliseconds of the device's clock

	// The first chunk has the device's public key, the key of the recording sealed to the project's recording key, and
	// the fingerprint of the latter.
	Signer string `json:"signer,omitempty"`
	Key    string `json:"key,omitempty"`
	For    string `json:"for,omitempty"`

	// End is in the last chunk only: RecordingComplete.
	End string `json:"end,omitempty"`
}

// RecordingComplete ends a recording that has all that was shown.
const RecordingComplete = "complete"

// Limits of recordings.
const (
	MaxRecordingBody    = 48 << 10 // bytes of a sealed body: a chunk stays below 64 KiB of base64
	maxRecordingHead    = 2 << 10
	MaxRecordingSession = MaxGrantStream
)

// RecordingKept answers a chunk that is kept.
type RecordingKept struct{}

// RecordChunk keeps the next chunk of a recording. The device is known by its session. A chunk that is sent again, because
// its answer was lost, is answered again.
var RecordChunk = Procedure[RecordingChunk, RecordingKept]{"sys.agent.recording"}

// recordingContext keeps the signature from being read as one of anything else.
const recordingContext = "bulkhead recording chunk v1\x00"

// ErrRecording is returned for a chunk that does not prove to be the next of its recording.
var ErrRecording = errors.New("recording")

func faulty(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrRecording}, args...)...)
}

// Fingerprint names a public key by the SHA-256 of its PKIX form, in base64.
func Fingerprint(pkix []byte) string {
	sum := sha256.Sum256(pkix)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func signChunk(signer crypto.Signer, head RecordingHead, body []byte) (RecordingChunk, []byte, error) {
	sum := sha256.Sum256(body)
	head.Body = base64.StdEncoding.EncodeToString(sum[:])
	text, err := json.Marshal(head)
	if err != nil {
		return RecordingChunk{}, nil, err
	}
	digest := headHash(text)
	signature, err := signer.Sign(rand.Reader, digest, crypto.SHA256)
	return RecordingChunk{
		Head: base64.StdEncoding.EncodeToString(text), Body: base64.StdEncoding.EncodeToString(body), Signature: base64.StdEncoding.EncodeToString(signature),
	}, digest, err
}

func headHash(text []byte) []byte {
	sum := sha256.Sum256(append([]byte(recordingContext), text...))
	return sum[:]
}

// RecordingChain checks a recording chunk by chunk. The zero chain waits for a first chunk; one that is made of what
// another had goes on where that was.
type RecordingChain struct {
	Next   int64  // sequence of the next chunk
	Hash   []byte // of the head before it
	Signer []byte // public key of the device, PKIX
	Ended  bool
}

// ParsedChunk is a chunk whose form is right. Nothing in it is proved before a chain has accepted it.
type ParsedChunk struct {
	Head      RecordingHead
	Text      []byte // of the head
	Body      []byte
	Signature []byte
}

// Hash names the head: the next chunk has it.
func (p ParsedChunk) Hash() []byte { return headHash(p.Text) }

// Parse reads a chunk. A head has one form: the same members in another order, or twice, are not that head.
func (c RecordingChunk) Parse() (p ParsedChunk, err error) {
	if len(c.Head) > base64.StdEncoding.EncodedLen(maxRecordingHead) || len(c.Body) > base64.StdEncoding.EncodedLen(MaxRecordingBody) || len(c.Signature) > 256 {
		return p, faulty("a chunk that is too large")
	}
	for _, part := range []struct {
		from string
		to   *[]byte
	}{{c.Head, &p.Text}, {c.Body, &p.Body}, {c.Signature, &p.Signature}} {
		if *part.to, err = base64.StdEncoding.Strict().DecodeString(part.from); err != nil {
			return ParsedChunk{}, faulty("a chunk that is not base64")
		}
	}
	dec := json.NewDecoder(bytes.NewReader(p.Text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p.Head); err != nil {
		return ParsedChunk{}, faulty("a head that cannot be read")
	}
	again, err := json.Marshal(p.Head)
	if err != nil || !bytes.Equal(again, p.Text) {
		return ParsedChunk{}, faulty("a head that is not in canonical form")
	}
	return p, p.Head.check()
}

func (h RecordingHead) check() error {
	switch {
	case h.Version != Version:
		return faulty("version is %d, want %d", h.Version, Version)
	case h.Tunnel == "" || len(h.Tunnel) > 64 || h.Session < 1 || h.Session > MaxRecordingSession || h.Sequence < 0:
		return faulty("tunnel, session or sequence is out of bounds")
	case !h.Project.Valid() || !h.Device.Valid():
		return faulty("project or device is missing")
	case h.End != "" && h.End != RecordingComplete:
		return faulty("an end of an unknown kind")
	case (h.Sequence == 0) != (h.Signer != "" && h.Key != "" && h.For != "" && h.Previous == ""), h.Sequence > 0 && (h.Signer+h.Key+h.For != "" || h.Previous == ""):
		return faulty("the first chunk has the keys, each other the hash of the one before it")
	}
	_, err := ParseSerial(string(h.Serial))
	return err
}

// Accept checks that a chunk is the next one and that the device has signed it, and goes on to the one after it.
func (c *RecordingChain) Accept(p ParsedChunk) error {
	signer := c.Signer
	if p.Head.Sequence == 0 {
		var err error
		if signer, err = base64.StdEncoding.Strict().DecodeString(p.Head.Signer); err != nil {
			return faulty("the device's key cannot be read")
		}
	}
	sum := sha256.Sum256(p.Body)
	hash := p.Hash()
	switch {
	case c.Ended:
		return faulty("a chunk after the last")
	case p.Head.Sequence != c.Next:
		return faulty("chunk %d stands in the place of chunk %d", p.Head.Sequence, c.Next)
	case p.Head.Previous != base64.StdEncoding.EncodeToString(c.Hash):
		return faulty("chunk %d does not follow the one before it", p.Head.Sequence)
	case subtle.ConstantTimeCompare([]byte(p.Head.Body), []byte(base64.StdEncoding.EncodeToString(sum[:]))) != 1:
		return faulty("the content of chunk %d was changed", p.Head.Sequence)
	case !signedBy(signer, hash, p.Signature):
		return faulty("chunk %d is not signed by the device", p.Head.Sequence)
	}
	c.Next, c.Hash, c.Signer, c.Ended = c.Next+1, hash, signer, p.Head.End != ""
	return nil
}

func signedBy(pkix, digest, signature []byte) bool {
	parsed, err := x509.ParsePKIXPublicKey(pkix)
	if err != nil {
		return false
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	return ok && key.Curve == elliptic.P256() && ecdsa.VerifyASN1(key, digest, signature)
}
