package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"

	"github.com/gammazero/nexus/v3/wamp"
)

const challengeSize = 32

// signatures is the method cryptosign. It stands in the place of nexus's authenticator, which accepts a signature over whatever
// the client likes: this one wants its own challenge signed.
type signatures struct{}

func (signatures) AuthMethod() string { return "cryptosign" }

func (s signatures) Authenticate(_ wamp.ID, details wamp.Dict, client wamp.Peer) (*wamp.Welcome, error) {
	authid, _ := wamp.AsString(details["authid"])
	key, errKey := publicKey(authid) // an unknown user is challenged too, and refused afterwards
	challenge := make([]byte, challengeSize)
	_, _ = rand.Read(challenge) // crypto/rand.Read never fails (Go 1.24 and later)
	client.Send() <- &wamp.Challenge{AuthMethod: s.AuthMethod(), Extra: wamp.Dict{"challenge": hex.EncodeToString(challenge)}}
	reply, err := wamp.RecvTimeout(client, authTimeout)
	if err != nil {
		return nil, err
	}
	answer, ok := reply.(*wamp.Authenticate)
	if !ok || errKey != nil || !proves(answer.Signature, challenge, key) {
		return nil, errors.New("the challenge is not signed by a known key")
	}
	return &wamp.Welcome{Details: wamp.Dict{
		"authid": authid, "authrole": role, "authmethod": s.AuthMethod(), "authprovider": keyStore{}.Provider(),
	}}, nil
}

// proves reports whether text is the key's signature over the challenge, followed by the challenge.
func proves(text string, challenge []byte, key ed25519.PublicKey) bool {
	signed, err := hex.DecodeString(text)
	if err != nil || len(signed) != ed25519.SignatureSize+challengeSize {
		return false
	}
	return subtle.ConstantTimeCompare(signed[ed25519.SignatureSize:], challenge) == 1 &&
		ed25519.Verify(key, challenge, signed[:ed25519.SignatureSize])
}
