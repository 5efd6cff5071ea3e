package conformance

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"

	"bulkhead/internal/secret"
)

// The client's side of WAMP-SCRAM, as the specification has it in pseudocode.

// clientNonce is as random as a test needs it.
const clientNonce = "egVDf3DMJh0="

func (c *check) scram() applicant {
	p := c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"wamp-scram"},
		"authextra": dict{"nonce": clientNonce}})
	c.same("the key derivation", p.extra["kdf"], "pbkdf2")
	return p
}

// authMessage is what both sides sign.
func (a applicant) authMessage() []byte {
	return fmt.Appendf(nil, "n=%s,r=%s,r=%s,s=%s,i=%v,c=%s,r=%s", a.c.world.device.Serial, clientNonce,
		a.extra["nonce"], a.extra["salt"], a.extra["iterations"], base64.StdEncoding.EncodeToString([]byte("n,,")), a.extra["nonce"])
}

func (a applicant) saltedPassword(s secret.Value) []byte {
	text, _ := a.extra["salt"].(string)
	salt, err := base64.StdEncoding.DecodeString(text)
	a.c.no(err)
	iterations, _ := a.extra["iterations"].(int64)
	key, err := pbkdf2.Key(sha256.New, string(s.Reveal()), salt, int(iterations), sha256.Size)
	a.c.no(err)
	return key
}

func sign(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}

func (a applicant) answerSCRAM(s secret.Value) {
	clientKey := sign(a.saltedPassword(s), []byte("Client Key"))
	storedKey := sha256.Sum256(clientKey)
	proof := make([]byte, sha256.Size)
	subtle.XORBytes(proof, clientKey, sign(storedKey[:], a.authMessage()))
	a.send(authenticate, base64.StdEncoding.EncodeToString(proof),
		dict{"nonce": a.extra["nonce"], "channel_binding": nil, "cbind_data": nil})
}

// verifier is what a router that knows the secret answers.
func (a applicant) verifier(s secret.Value) string {
	serverKey := sign(a.saltedPassword(s), []byte("Server Key"))
	return base64.StdEncoding.EncodeToString(sign(serverKey, a.authMessage()))
}
