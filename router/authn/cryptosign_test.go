package authn

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"testing"

	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

type keysOf map[wire.Serial][][]byte

func (k keysOf) PublicKeys(d realms.Device) [][]byte { return k[d.Serial] }

// sign makes an attempt by cryptosign with a signature that make gives for the challenge.
func sign(t *testing.T, keys [][]byte, authid string, make func(challenge []byte) []byte) (Grant, error) {
	t.Helper()
	a := authenticator(Config{Keys: keysOf{device.Serial: keys}})
	x, err := a.Begin(request(authid, home, MethodCryptosign))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := x.Challenge.Extra["challenge"].(string)
	challenge, err := hex.DecodeString(text)
	if err != nil || len(challenge) != challengeSize {
		t.Fatalf("challenge %q: %v", text, err)
	}
	return x.Answer(t.Context(), &message.Authenticate{Signature: hex.EncodeToString(make(challenge))})
}

// F15
func TestOnlyASignatureOfTheIssuedChallengeProvesAKey(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	serial := string(device.Serial)
	signed := func(k ed25519.PrivateKey, m []byte) []byte { return append(ed25519.Sign(k, m), m...) }
	stale := bytes.Repeat([]byte{7}, challengeSize)
	for _, c := range []struct {
		name   string
		authid string
		make   func([]byte) []byte
		ok     bool
	}{
		{"the device's key", serial, func(c []byte) []byte { return signed(private, c) }, true},
		{"another key", serial, func(c []byte) []byte { return signed(other, c) }, false},
		{"another message", serial, func([]byte) []byte { return signed(private, stale) }, false},
		{"another message, the challenge behind it", serial, func(c []byte) []byte {
			return append(ed25519.Sign(private, stale), c...)
		}, false},
		{"no message", serial, func(c []byte) []byte { return ed25519.Sign(private, c) }, false},
		{"nothing", serial, func([]byte) []byte { return nil }, false},
		{"another device", string(wire.NewSerial()), func(c []byte) []byte { return signed(private, c) }, false},
	} {
		g, err := sign(t, [][]byte{public}, c.authid, c.make)
		if (err == nil) != c.ok {
			t.Errorf("%s: %+v %v", c.name, g, err)
		}
		if c.ok && (g.Principal.AuthID != serial || g.Method != MethodCryptosign) {
			t.Errorf("%s: %+v", c.name, g)
		}
	}
}

// F15
func TestAKeyForWhichAnybodyCanSignIsRefused(t *testing.T) {
	t.Parallel()
	identity := append([]byte{1}, make([]byte, 31)...)
	// For the neutral element S·B = R holds with S = 0 and R the neutral element, whatever the message.
	forged := append(append([]byte{}, identity...), make([]byte, 32)...)
	if !ed25519.Verify(identity, []byte("anything"), forged) {
		t.Fatal("the forgery does not work, so the test shows nothing")
	}
	forge := func(c []byte) []byte { return append(bytes.Clone(forged), c...) }
	if _, err := sign(t, [][]byte{identity}, string(device.Serial), forge); err == nil {
		t.Error("the neutral element is a key")
	}
	for _, p := range lowOrderPoints {
		signBit := bytes.Clone(p)
		signBit[31] |= 0x80
		if !lowOrder(p) || !lowOrder(signBit) {
			t.Errorf("%x is a key", p)
		}
	}
	if _, err := sign(t, [][]byte{{1, 2, 3}, nil}, string(device.Serial), forge); err == nil {
		t.Error("what is no key is a key")
	}
}

func TestASessionByAKeyEndsWithTheKey(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	g, err := sign(t, [][]byte{public}, string(device.Serial), func(c []byte) []byte {
		return append(ed25519.Sign(private, c), c...)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		keys [][]byte
		d    *realms.Directory
		want bool
	}{
		"while it is there":  {[][]byte{public}, directory(), true},
		"without the key":    {nil, directory(), false},
		"without the device": {[][]byte{public}, &realms.Directory{}, false},
	} {
		a := New(Config{Keys: keysOf{device.Serial: c.keys}})
		if got := a.HoldsIn(c.d, g.Credential); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
