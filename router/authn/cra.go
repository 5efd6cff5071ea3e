package authn

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"

	"github.com/gammazero/nexus/v3/wamp/crsign"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/router/message"
)

// craSlots is how many signatures are computed for each proof, whoever it is for: a device has at most two secrets, the
// current one and the next. More secrets than that are all tried.
const craSlots = 2

// challenge is what the peer signs. It is built by encoding/json, so nothing in the authid can add a field to it.
//
// It has no salt: secrets are 256 random bits, and a salt would show which principals exist.
type challenge struct {
	Nonce        string     `json:"nonce"`
	AuthProvider string     `json:"authprovider"`
	AuthID       string     `json:"authid"`
	Timestamp    string     `json:"timestamp"`
	AuthRole     string     `json:"authrole"`
	AuthMethod   string     `json:"authmethod"`
	Session      message.ID `json:"session"`
}

func (a *Authenticator) beginCRA(x *Exchange, c claim) error {
	text, err := json.Marshal(challenge{
		Nonce: nonce(), AuthProvider: Provider, AuthID: c.request.AuthID, Timestamp: timestamp(),
		AuthRole: string(c.role()), AuthMethod: MethodCRA, Session: c.request.Session,
	})
	if err != nil {
		return errs.Wrap("authn: challenge", err)
	}
	x.Challenge = &message.Challenge{Method: MethodCRA, Extra: message.Dict{"challenge": string(text)}}
	x.prove = func(m *message.Authenticate) (Grant, error) {
		return a.proveCRA(c, string(text), m.Signature)
	}
	return nil
}

// proveCRA compares the signature with one by each candidate, in constant time, and with as many by the decoy as make up
// the slots. It looks at all of them before it decides.
func (a *Authenticator) proveCRA(c claim, text, signature string) (Grant, error) {
	p, candidates := c.candidatesNow(a.decoy.secret)
	hit := -1
	for i := range max(craSlots, len(candidates)) {
		key, real := a.decoy.secret, i < len(candidates)
		if real {
			key = candidates[i].signer()
		}
		if signs(key, text, signature) && real {
			hit = i
		}
	}
	switch {
	case hit >= 0:
		return Grant{Principal: p, Credential: candidates[hit]}, nil
	case len(candidates) == 0:
		return Grant{}, failed("no such principal here")
	default:
		return Grant{}, failed("wrong signature")
	}
}

// signs reports whether signature is the one of text by key. An empty key signs nothing.
func signs(key secret.Value, text, signature string) bool {
	want := crsign.SignChallenge(text, key.Reveal())
	return subtle.ConstantTimeCompare([]byte(want), []byte(signature)) == 1 && !key.IsZero()
}

// decoy stands in for the secret of a principal that does not exist.
type decoy struct{ secret secret.Value }

func newDecoy() decoy { return decoy{secret.Random()} }

// nonce draws 128 bits.
func nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return base64.StdEncoding.EncodeToString(b[:])
}
