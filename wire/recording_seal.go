package wire

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// A recording is encrypted with a key of its own, AES-256-GCM with the chunk's sequence as nonce. That key is sealed to the
// project's recording key by HPKE (RFC 9180): X25519, HKDF-SHA256, AES-256-GCM.
const recordingKeySize = 32

// RecordingKeyPair is a project's recording key.
type RecordingKeyPair struct{ key hpke.PrivateKey }

// NewRecordingKeyPair draws a key.
func NewRecordingKeyPair() (RecordingKeyPair, error) {
	key, err := recordingKEM.GenerateKey()
	return RecordingKeyPair{key}, err
}

// ParseRecordingKeyPair reads what Private gave.
func ParseRecordingKeyPair(private []byte) (RecordingKeyPair, error) {
	key, err := recordingKEM.NewPrivateKey(private)
	return RecordingKeyPair{key}, err
}

// Private gives the private half.
func (k RecordingKeyPair) Private() ([]byte, error) { return k.key.Bytes() }

// Public gives the public half as grants have it: base64.
func (k RecordingKeyPair) Public() string {
	return base64.StdEncoding.EncodeToString(k.key.PublicKey().Bytes())
}

// Unseal gives the key of one recording, from the head of its first chunk.
func (k RecordingKeyPair) Unseal(first RecordingHead) ([]byte, error) {
	sealed, err := base64.StdEncoding.Strict().DecodeString(first.Key)
	if err != nil {
		return nil, faulty("its sealed key cannot be read")
	}
	key, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), recordingInfo(first), sealed)
	if err != nil || len(key) != recordingKeySize {
		return nil, faulty("its key is not sealed to this project's recording key")
	}
	return key, nil
}

var recordingKEM = hpke.DHKEM(ecdh.X25519())

// recordingInfo binds what is sealed to its place.
func recordingInfo(h RecordingHead) []byte {
	return fmt.Appendf(nil, "bulkhead recording key v1\x00%s\x00%d\x00%s\x00%s\x00%s", h.Tunnel, h.Session, h.Project, h.Device, h.Serial)
}

func parseRecordingKey(public string) (hpke.PublicKey, []byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(public)
	if err != nil {
		return nil, nil, faulty("the project's recording key is not base64")
	}
	key, err := recordingKEM.NewPublicKey(raw)
	if err != nil {
		return nil, nil, faulty("the project's recording key is no key")
	}
	return key, raw, nil
}

// RecordingSealer makes the chunks of one recording, in order.
type RecordingSealer struct {
	head   RecordingHead // of the next chunk
	aead   cipher.AEAD
	signer crypto.Signer
}

// NewRecordingSealer begins the recording of a shell, for the holder of the project's recording key. Of the head it takes
// who and where.
func NewRecordingSealer(of RecordingHead, signer crypto.Signer, project string) (*RecordingSealer, error) {
	public, raw, err := parseRecordingKey(project)
	if err != nil {
		return nil, err
	}
	pkix, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	key := make([]byte, recordingKeySize)
	_, _ = rand.Read(key) // crypto/rand.Read never fails (Go 1.24 and later)
	defer clear(key)
	sealed, err := hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), recordingInfo(of), key)
	if err != nil {
		return nil, err
	}
	aead, err := recordingAEAD(key)
	if err != nil {
		return nil, err
	}
	of.Version, of.Sequence, of.Previous, of.End = Version, 0, "", ""
	of.Signer, of.Key, of.For = base64.StdEncoding.EncodeToString(pkix), base64.StdEncoding.EncodeToString(sealed), Fingerprint(raw)
	return &RecordingSealer{of, aead, signer}, nil
}

// MaxRecordingPlain is the most that one chunk can have.
const MaxRecordingPlain = MaxRecordingBody - 16

// Seal makes the next chunk. The one with an end is the last.
func (s *RecordingSealer) Seal(plain []byte, at int64, end string) (RecordingChunk, error) {
	head := s.head
	head.At, head.End = at, end
	body := s.aead.Seal(nil, recordingNonce(head), plain, recordingInfo(head))
	chunk, hash, err := signChunk(s.signer, head, body)
	if err != nil {
		return RecordingChunk{}, err
	}
	s.head.Sequence, s.head.Previous = head.Sequence+1, base64.StdEncoding.EncodeToString(hash)
	s.head.Signer, s.head.Key, s.head.For = "", "", ""
	return chunk, nil
}

func recordingAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func recordingNonce(h RecordingHead) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), uint64(h.Sequence)) //nolint:gosec // checked to be no less than 0
}

// RecordingOpener reads the chunks of one recording.
type RecordingOpener struct{ aead cipher.AEAD }

// NewRecordingOpener takes what Unseal gave.
func NewRecordingOpener(key []byte) (*RecordingOpener, error) {
	aead, err := recordingAEAD(key)
	if err != nil || len(key) != recordingKeySize {
		return nil, faulty("its key is no key")
	}
	return &RecordingOpener{aead}, nil
}

// Open gives the content of a chunk that a chain has accepted.
func (o *RecordingOpener) Open(p ParsedChunk) ([]byte, error) {
	plain, err := o.aead.Open(nil, recordingNonce(p.Head), p.Body, recordingInfo(p.Head))
	if err != nil {
		return nil, faulty("chunk %d cannot be decrypted", p.Head.Sequence)
	}
	return plain, nil
}
