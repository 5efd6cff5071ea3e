package authn

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"runtime"
	"strconv"
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/router/message"
	"bulkhead/wire"
)

const (
	scramKDF = "pbkdf2"
	// scramIterations is the least that RFC 7677 allows. More would protect weak passwords; there are none here.
	scramIterations = 4096
	// maxNonce is the longest nonce in characters that is taken from a client.
	maxNonce = 256
)

// scram is what WAMP-SCRAM needs beside the directory.
type scram struct {
	// key makes the salts: each principal has its own, whether or not it exists.
	key []byte
	// turns bounds how many keys are derived at the same time, so that joins leave time for messages.
	turns chan struct{}
}

func newScram() scram {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // crypto/rand.Read never fails (Go 1.24 and later)
	return scram{key: key, turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

func (s scram) salt(realm, authid string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(realm + "\n" + authid)) // a realm's name has no line end
	return mac.Sum(nil)[:16]
}

// scramExchange has the parts of the message that both sides sign.
type scramExchange struct {
	salt        []byte
	nonce       string
	clientFirst string
	serverFirst string
}

// beginSCRAM answers the client's nonce. Channel binding is refused: TLS 1.3 has no tls-unique.
func (a *Authenticator) beginSCRAM(x *Exchange, c *claim) error {
	theirs, _ := c.request.Extra["nonce"].(string)
	if _, err := base64.StdEncoding.DecodeString(theirs); err != nil || theirs == "" || len(theirs) > maxNonce {
		return failed("authextra.nonce is not base64")
	}
	if c.request.Extra["channel_binding"] != nil {
		return errs.E(wire.Unauthenticated, "channel binding is not supported")
	}
	e := newScramExchange(c.request.AuthID, theirs, theirs+nonce(), a.scram.salt(c.request.Realm, c.request.AuthID))
	x.Challenge = &message.Challenge{Method: MethodSCRAM, Extra: message.Dict{
		"nonce": e.nonce, "salt": base64.StdEncoding.EncodeToString(e.salt), "kdf": scramKDF,
		"iterations": int64(scramIterations), "memory": nil,
	}}
	x.prove = func(m *message.Authenticate) (Grant, error) { return a.proveSCRAM(c, e, m) }
	return nil
}

func newScramExchange(authid, theirs, nonce string, salt []byte) scramExchange {
	return scramExchange{
		salt: salt, nonce: nonce,
		clientFirst: "n=" + scramEscape.Replace(authid) + ",r=" + theirs,
		serverFirst: "r=" + nonce + ",s=" + base64.StdEncoding.EncodeToString(salt) + ",i=" + strconv.Itoa(scramIterations),
	}
}

var scramEscape = strings.NewReplacer(",", "=2C", "=", "=3D")

// message is what both sides sign. Without channel binding the client's last message begins with the text "n,,".
func (e scramExchange) message() []byte {
	return []byte(e.clientFirst + "," + e.serverFirst + ",c=" + base64.StdEncoding.EncodeToString([]byte("n,,")) + ",r=" + e.nonce)
}

// proveSCRAM derives as many keys for each proof, whoever it is for, and looks at all of them before it decides.
func (a *Authenticator) proveSCRAM(c *claim, e scramExchange, m *message.Authenticate) (Grant, error) {
	a.scram.turns <- struct{}{}
	defer func() { <-a.scram.turns }()
	p, candidates := c.candidatesNow(a.decoy.secret)
	echoed, _ := m.Extra["nonce"].(string)
	proof, err := base64.StdEncoding.DecodeString(m.Signature)
	wellFormed := err == nil && len(proof) == sha256.Size && m.Extra["channel_binding"] == nil &&
		subtle.ConstantTimeCompare([]byte(echoed), []byte(e.nonce)) == 1
	if !wellFormed {
		proof = make([]byte, sha256.Size)
	}
	hit, verifier := -1, []byte(nil)
	for i := range max(craSlots, len(candidates)) {
		key, real := a.decoy.secret, i < len(candidates)
		if real {
			key = candidates[i].signer()
		}
		if v, ok := e.verify(key, proof); ok && real && wellFormed {
			hit, verifier = i, v
		}
	}
	if hit < 0 {
		return Grant{}, failed("wrong proof, or no such principal here")
	}
	extra := message.Dict{"verifier": base64.StdEncoding.EncodeToString(verifier)}
	return Grant{Principal: p, Credential: candidates[hit], Extra: extra}, nil
}

// verify checks a client's proof, and gives the server's. An empty key proves nothing.
func (e scramExchange) verify(key secret.Value, proof []byte) (verifier []byte, ok bool) {
	salted, err := pbkdf2.Key(sha256.New, string(key.Reveal()), e.salt, scramIterations, sha256.Size)
	if err != nil {
		return nil, false
	}
	clientKey := mac(salted, []byte("Client Key"))
	storedKey := sha256.Sum256(clientKey)
	recovered := make([]byte, sha256.Size)
	subtle.XORBytes(recovered, mac(storedKey[:], e.message()), proof)
	got := sha256.Sum256(recovered)
	ok = subtle.ConstantTimeCompare(got[:], storedKey[:]) == 1 && !key.IsZero()
	return mac(mac(salted, []byte("Server Key")), e.message()), ok
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}
