package secret

import (
	"encoding/binary"
	"errors"
)

// A sealed value begins with one byte of format and four of the key-encryption key's id.
//
// Format 2, an envelope: two bytes of length, a data key of this value alone wrapped by that key, a nonce, the AES-256-GCM
// ciphertext with its tag. Giving such a value another key-encryption key needs neither the value nor its context.
//
// Format 1, which is opened and no longer made: a nonce, and the ciphertext under that key itself.
const (
	formatDirect   = 1
	formatEnvelope = 2
	headSize       = 1 + keyIDSize
)

// ErrSealed is returned for what cannot be opened: altered, sealed for another context, or with a key that is not here.
var ErrSealed = errors.New("sealed value cannot be opened with these keys in this context")

// sealedValue is one that was read; its parts are of the text that it was read from.
type sealedValue struct {
	format  byte
	key     KeyID
	wrapped []byte // of an envelope
	body    []byte
}

func parseSealed(text []byte) (v sealedValue, err error) {
	if len(text) < headSize {
		return v, ErrSealed
	}
	v.format, v.key, v.body = text[0], KeyID(text[1:headSize]), text[headSize:]
	switch v.format {
	case formatDirect:
		return v, nil
	case formatEnvelope:
		if len(v.body) < 2 {
			return v, ErrSealed
		}
		size := int(binary.BigEndian.Uint16(v.body))
		if len(v.body) < 2+size {
			return v, ErrSealed
		}
		v.wrapped, v.body = v.body[2:2+size], v.body[2+size:]
		return v, nil
	default:
		return v, ErrSealed
	}
}

// head is the beginning of an envelope.
func head(id KeyID, wrapped []byte) ([]byte, error) {
	if len(wrapped) > 1<<16-1 {
		return nil, errors.New("the wrapped key is too long")
	}
	out := append([]byte{formatEnvelope}, id[:]...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(wrapped)))
	return append(out, wrapped...), nil
}

// KeyOf names the key that a sealed value needs, and says whether it is an envelope: what is none needs its context to be
// given another key.
func KeyOf(sealed []byte) (id KeyID, envelope bool, err error) {
	v, err := parseSealed(sealed)
	return v.key, v.format == formatEnvelope, err
}

// EnvelopeHead is how each envelope of a key begins.
func EnvelopeHead(id KeyID) []byte { return append([]byte{formatEnvelope}, id[:]...) }
