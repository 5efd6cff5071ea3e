package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/router/message"
)

// craSlots is how many signatures are computed for each proof, whoever it is for: a device has at most two secrets, the
// current one and the next. More secrets than that are all tried.
const craSlots = 2

func (a *Authenticator) beginCRA(x *Exchange, c *claim) error {
	text, err := c.challenge()
	if err != nil {
		return errs.Wrap("authn: challenge", err)
	}
	x.Challenge = &message.Challenge{Method: MethodCRA, Extra: message.Dict{"challenge": text}}
	x.prove = func(m *message.Authenticate) (Grant, error) {
		return a.proveCRA(c, text, m.Signature)
	}
	return nil
}

// challenge is what the peer signs. The authid is written by encoding/json, so nothing in it can add a field, unless it is of
// nothing but letters, digits and a few signs, as all else is.
//
// It has no salt: secrets are 256 random bits, and a salt would show which principals exist.
func (c *claim) challenge() (string, error) {
	var space [512]byte
	b := appendNonce(append(space[:0], `{"nonce":"`...))
	b, err := appendText(append(b, `","authprovider":"`+Provider+`","authid":`...), c.request.AuthID)
	if err != nil {
		return "", err
	}
	b = appendTimestamp(append(b, `,"timestamp":"`...))
	b = append(append(b, `","authrole":"`...), c.role()...)
	b = append(b, `","authmethod":"`+MethodCRA+`","session":`...)
	return string(append(strconv.AppendUint(b, uint64(c.request.Session), 10), '}')), nil
}

// appendText writes a text in JSON.
func appendText(b []byte, text string) ([]byte, error) {
	if !strings.ContainsFunc(text, unusual) {
		return append(append(append(b, '"'), text...), '"'), nil
	}
	quoted, err := json.Marshal(text)
	return append(b, quoted...), err
}

// unusual reports whether a character is none of those that serials and names are made of.
func unusual(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.:@/", c)
}

// proveCRA compares the signature with one by each candidate, in constant time, and with as many by the decoy as make up
// the slots. It looks at all of them before it decides.
func (a *Authenticator) proveCRA(c *claim, text, signature string) (Grant, error) {
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

// signs reports whether given is the one of text by key. An empty key signs nothing.
func signs(key secret.Value, text, given string) bool {
	mac := signature(key.Reveal(), text)
	var want [(len(mac) + 2) / 3 * 4]byte
	base64.StdEncoding.Encode(want[:], mac[:])
	return subtle.ConstantTimeCompare(want[:], []byte(given)) == 1 && !key.IsZero()
}

// signature is HMAC-SHA256 (RFC 2104). It is that of crypto/hmac without the memory that it allocates: each join takes two.
func signature(key []byte, text string) [sha256.Size]byte {
	var space [sha256.BlockSize + 512]byte
	var pad [sha256.BlockSize]byte
	if len(key) > len(pad) {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	copy(pad[:], key)
	inner := space[:0]
	for _, c := range pad {
		inner = append(inner, c^0x36)
	}
	digest := sha256.Sum256(append(inner, text...))
	outer := space[:0]
	for _, c := range pad {
		outer = append(outer, c^0x5c)
	}
	return sha256.Sum256(append(outer, digest[:]...))
}

// decoy stands in for the secret of a principal that does not exist.
type decoy struct{ secret secret.Value }

func newDecoy() decoy { return decoy{secret.Random()} }

// nonce draws 128 bits.
func nonce() string { return string(appendNonce(nil)) }

func appendNonce(to []byte) []byte {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return base64.StdEncoding.AppendEncode(to, b[:])
}
