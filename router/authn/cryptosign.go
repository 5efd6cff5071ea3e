package authn

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"slices"

	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

const (
	challengeSize = 32
	signedSize    = ed25519.SignatureSize + challengeSize
	// keySlots is how many signatures are verified for each proof, whoever it is for.
	keySlots = 2
)

func (a *Authenticator) beginCryptosign(x *Exchange, c *claim) {
	issued := make([]byte, challengeSize)
	_, _ = rand.Read(issued) // crypto/rand.Read never fails (Go 1.24 and later)
	x.Challenge = &message.Challenge{
		Method: MethodCryptosign,
		Extra:  message.Dict{"challenge": hex.EncodeToString(issued), "channel_binding": nil},
	}
	x.prove = func(m *message.Authenticate) (Grant, error) { return a.proveCryptosign(c, issued, m.Signature) }
}

// proveCryptosign checks a signature, followed by the message that it is of, in hexadecimal. The message must be the
// challenge that was issued: a signature over anything else proves nothing.
func (a *Authenticator) proveCryptosign(c *claim, issued []byte, signature string) (Grant, error) {
	signed, err := hex.DecodeString(signature)
	if err != nil || len(signed) != signedSize {
		return Grant{}, failed("not a signature followed by its message")
	}
	if subtle.ConstantTimeCompare(signed[ed25519.SignatureSize:], issued) != 1 {
		return Grant{}, failed("the signed message is not the challenge")
	}
	d, keys := a.publicKeys(c)
	var hit []byte
	for i := range max(keySlots, len(keys)) {
		key := decoyKey
		if i < len(keys) {
			key = keys[i]
		}
		if ed25519.Verify(key, issued, signed[:ed25519.SignatureSize]) && i < len(keys) {
			hit = key
		}
	}
	if hit == nil {
		return Grant{}, failed("no key of the device made this signature")
	}
	credential := Credential{kind: ofKey, realm: c.request.Realm, device: identify(d), public: hit}
	return Grant{Principal: c.principal(d), Credential: credential}, nil
}

// publicKeys gives the keys of the device that the authid names, without those that anybody can sign for.
func (a *Authenticator) publicKeys(c *claim) (realms.Device, [][]byte) {
	d, ok := c.device(wire.Serial(c.request.AuthID))
	if !ok {
		return realms.Device{}, nil
	}
	keys := slices.Clone(a.config.Keys.PublicKeys(d))
	return d, slices.DeleteFunc(keys, func(k []byte) bool { return len(k) != ed25519.PublicKeySize || lowOrder(k) })
}

func containsKey(keys [][]byte, key []byte) bool {
	return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

// decoyKey is checked against where there is no key, so that the work is the same. Nobody has its private half.
var decoyKey = func() []byte {
	public, _, _ := ed25519.GenerateKey(nil) // fails only if crypto/rand does, which it does not
	return public
}()

// lowOrder reports whether the point has a small order: for such a key anybody makes a signature over anything. These are
// all encodings of the eight points, the sign bit left out, as libsodium lists them.
func lowOrder(key []byte) bool {
	k := bytes.Clone(key)
	k[len(k)-1] &= 0x7f
	return slices.ContainsFunc(lowOrderPoints, func(p []byte) bool { return bytes.Equal(p, k) })
}

var lowOrderPoints = hexes(
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)

func hexes(texts ...string) [][]byte {
	out := make([][]byte, 0, len(texts))
	for _, t := range texts {
		b, err := hex.DecodeString(t)
		if err != nil {
			panic(err) // a constant above is wrong
		}
		out = append(out, b)
	}
	return out
}
