package conformance

import (
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
	"github.com/gammazero/nexus/v3/wamp"
	"github.com/gammazero/nexus/v3/wamp/crsign"

	"bulkhead/internal/secret"
	"bulkhead/realms"
)

var access = []feature{
	{"WAMP-CRA", []aspect{
		{says: "a signed challenge is welcomed with who it proves", holds: func(c *check) {
			p := c.joinTenant(device)
			c.same("who", list{p.welcome["authid"], p.welcome["authrole"], p.welcome["authmethod"]},
				list{string(c.world.device.Serial), string(device), "wampcra"})
			c.must(p.welcome["authprovider"] != nil, "WELCOME has no authprovider")
		}},
		{says: "the challenge is JSON and has all that is required", holds: func(c *check) {
			p := c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"wampcra"}})
			text, _ := p.extra["challenge"].(string)
			var d dict
			c.no(json.Unmarshal([]byte(text), &d))
			for _, key := range []string{"authid", "authrole", "authmethod", "authprovider", "nonce", "timestamp", "session"} {
				c.must(d[key] != nil, "the challenge lacks %s", key)
			}
		}},
		{says: "a wrong secret is refused", holds: func(c *check) {
			p := c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"wampcra"}})
			p.answer(crsign.SignChallenge(p.extra["challenge"].(string), []byte("wrong")))
			p.aborted("wamp.error.authentication_failed")
		}},
		{says: "salted secrets, in realms of an embedder", holds: salted},
		{says: "salted secrets of tenants", optional: true, lacks: "a salt would show which devices exist", holds: func(c *check) {
			p := c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"wampcra"}})
			c.must(p.extra["salt"] != nil, "no salt")
		}},
	}},
	{"Ticket", []aspect{
		{says: "a ticket is welcomed", holds: func(c *check) {
			p := c.challenged(dict{"authid": "person", "authmethods": list{"ticket"}})
			p.answer(goodTicket)
			p.welcomed()
			c.same("the method", p.welcome["authmethod"], "ticket")
		}},
		{says: "a wrong one is refused", holds: func(c *check) {
			p := c.challenged(dict{"authid": "person", "authmethods": list{"ticket"}})
			p.answer("wrong")
			p.aborted("wamp.error.authentication_failed")
		}},
	}},
	{"Cryptosign", []aspect{
		{says: "a signed challenge is welcomed", holds: func(c *check) {
			p := c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"cryptosign"}})
			p.answer(signed(c, deviceKey, p.extra["challenge"].(string)))
			p.welcomed()
			c.same("the method", p.welcome["authmethod"], "cryptosign")
		}},
		{says: "a signature over anything else is refused", holds: func(c *check) {
			p := c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"cryptosign"}})
			p.answer(signed(c, deviceKey, hex.EncodeToString(make([]byte, 32))))
			p.aborted("wamp.error.authentication_failed")
		}},
		{says: "another key is refused", holds: func(c *check) {
			_, other, _ := ed25519.GenerateKey(nil)
			p := c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"cryptosign"}})
			p.answer(signed(c, other, p.extra["challenge"].(string)))
			p.aborted("wamp.error.authentication_failed")
		}},
		{says: "the router authenticates itself", optional: true, lacks: "the router is known by its TLS certificate", holds: func(c *check) {
			p := c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"cryptosign"},
				"authextra": dict{"challenge": hex.EncodeToString(make([]byte, 32))}})
			c.must(p.extra["signature"] != nil, "CHALLENGE has no signature")
		}},
	}},
	{"WAMP-SCRAM", []aspect{
		{says: "a proof is welcomed with the router's own", holds: func(c *check) {
			p := c.scram()
			p.answerSCRAM(c.world.device.Secrets[0])
			p.welcomed()
			extra, _ := p.welcome["authextra"].(dict)
			c.same("the method", p.welcome["authmethod"], "wamp-scram")
			c.same("the verifier", extra["verifier"], p.verifier(c.world.device.Secrets[0]))
		}},
		{says: "a wrong secret is refused", holds: func(c *check) {
			p := c.scram()
			p.answerSCRAM(secret.FromString("wrong"))
			p.aborted("wamp.error.authentication_failed")
		}},
		{says: "Argon2", optional: true, lacks: "secrets here are random and long, so a slow key derivation protects none of them; autobahn-python's scram, a prototype of an older draft, works with nothing else", holds: func(c *check) {
			c.same("the key derivation", c.scram().extra["kdf"], "argon2id13")
		}},
		{says: "channel binding", optional: true, lacks: "TLS 1.3 has no tls-unique", holds: func(c *check) {
			c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"wamp-scram"},
				"authextra": dict{"nonce": clientNonce, "channel_binding": "tls-unique"}})
		}},
	}},
	{"TLS client certificate", []aspect{
		{says: "a device that shows its own is welcomed", holds: func(c *check) {
			p := c.dialSecure(c.world.secure.client)
			p.enter(c.world.tenant.Name(), dict{"roles": everything(), "authmethods": list{"tls"}, "authid": string(c.world.device.Serial)})
			c.same("the method", p.welcome["authmethod"], "tls")
		}},
		{says: "one that shows none is not", holds: func(c *check) {
			p := c.dialSecure()
			p.send(hello, c.world.tenant.Name(), dict{"roles": everything(), "authmethods": list{"tls"}, "authid": string(c.world.device.Serial)})
			p.aborted("wamp.error.no_auth_method")
		}},
		{says: "one that shows another's is not", holds: func(c *check) {
			p := c.dialSecure(c.world.secure.client)
			p.send(hello, c.world.tenant.Name(), dict{"roles": everything(), "authmethods": list{"tls"}, "authid": "another"})
			p.aborted("wamp.error.authentication_failed")
		}},
	}},
	{"Cryptosign: trust roots, certificates and remote attestation", []aspect{
		{says: "any of it", lacks: "keys are entered for each device; nobody vouches for another", holds: func(c *check) {
			p := c.challenged(dict{"authid": "unknown", "authmethods": list{"cryptosign"},
				"authextra": dict{"trustroot": "0x1", "certificates": list{}}})
			c.must(p.extra["certificates"] != nil, "CHALLENGE has no certificates")
		}},
	}},
	{"Anonymous", []aspect{
		{says: "in realms of an embedder that has it", holds: func(c *check) { c.same("the method", c.join().welcome["authmethod"], "anonymous") }},
		{says: "never in a tenant's realm", holds: func(c *check) {
			p := c.dial(asJSON)
			p.send(hello, c.world.tenant.Name(), dict{"roles": everything(), "authmethods": list{"anonymous"}})
			p.aborted("wamp.error.no_auth_method")
		}},
	}},
	{"Choice of method", []aspect{
		{says: "the first of the client's that there is", holds: func(c *check) {
			p := c.challenged(dict{"authid": string(c.world.device.Serial), "authmethods": list{"unknown", "cryptosign", "wampcra"}})
			c.same("the method", p.method, "cryptosign")
		}},
		{says: "none is refused with no_matching_auth_method", lacks: "it is no_auth_method, which existing clients and routers know",
			holds: func(c *check) {
				p := c.dial(asJSON)
				p.send(hello, c.world.tenant.Name(), dict{"roles": everything(), "authmethods": list{"unknown"}})
				p.aborted("wamp.error.no_matching_auth_method")
			}},
	}},
	{"Cookie authentication", []aspect{
		{says: "any of it", lacks: "a session proves itself each time it joins; a cookie would travel with requests that nobody meant", holds: func(c *check) {
			p := c.dial(asJSON)
			p.send(hello, c.world.tenant.Name(), dict{"roles": everything(), "authmethods": list{"cookie"}})
			p.expect(welcome)
		}},
	}},
}

const (
	device     = realms.RoleDevice
	service    = realms.RoleService
	goodTicket = "good ticket"
)

// applicant is a client that has been challenged.
type applicant struct {
	*peer
	method string
	extra  dict
}

// challenged says HELLO in the tenant's realm.
func (c *check) challenged(details dict) applicant {
	p := c.dial(asJSON)
	return p.apply(c.world.tenant.Name(), details)
}

func (p *peer) apply(realm string, details dict) applicant {
	details["roles"] = everything()
	p.send(hello, realm, details)
	m := p.expect(challenge)
	method, _ := at(p.c, m, 1).(string)
	return applicant{p, method, dictAt(p.c, m, 2)}
}

func (a applicant) answer(signature string) { a.send(authenticate, signature, dict{}) }

// proveBySecret joins by WAMP-CRA.
func (p *peer) proveBySecret(realm, authid string, s secret.Value) {
	a := p.apply(realm, dict{"authid": authid, "authmethods": list{"wampcra"}})
	text, _ := a.extra["challenge"].(string)
	a.answer(crsign.SignChallenge(text, s.Reveal()))
	p.welcomed()
}

// unique is a name that no other check uses in the tenant's realm.
func (c *check) unique(name string) string { return fmt.Sprintf("%s.n%d", name, c.world.count.Add(1)) }

// deviceKey is the device's.
var deviceKey = func() ed25519.PrivateKey {
	_, key, _ := ed25519.GenerateKey(nil) // fails only if crypto/rand does, which it does not
	return key
}()

// keys has the device's key.
type keys struct{}

func (keys) PublicKeys(realms.Device) [][]byte {
	return [][]byte{deviceKey.Public().(ed25519.PublicKey)}
}

func signed(c *check, key ed25519.PrivateKey, challenge string) string {
	message, err := hex.DecodeString(challenge)
	c.no(err)
	return hex.EncodeToString(append(ed25519.Sign(key, message), message...))
}

// tickets knows one ticket, of a person.
type tickets struct{ realm realms.Realm }

func (t tickets) Redeem(_, authid, ticket string) (realms.Principal, error) {
	if ticket != goodTicket {
		return realms.Principal{}, errors.New("no such ticket")
	}
	return realms.Principal{Role: realms.RoleConsole, AuthID: authid, Project: t.realm.Project}, nil
}

// What a realm of an embedder's may be made to be.

func discreet(r *nexus.RealmConfig)          { r.AllowDisclose = false }
func strictURIs(r *nexus.RealmConfig)        { r.StrictURI = true }
func failingAuthorizer(r *nexus.RealmConfig) { r.Authorizer = failing{} }

type failing struct{}

func (failing) Authorize(*wamp.Session, wamp.Message) (bool, error) {
	return false, errors.New("the authorizer is out of order")
}

// saltedStore is a nexus key store with one user.
type saltedStore struct{}

const (
	salt, iterations, keyLength = "salt123", 1000, 32
	password                    = "correct horse"
)

func (saltedStore) AuthKey(string, string) ([]byte, error) {
	key, err := pbkdf2.Key(sha256.New, password, []byte(salt), iterations, keyLength)
	return []byte(base64.StdEncoding.EncodeToString(key)), err
}

func (saltedStore) PasswordInfo(string) (string, int, int) { return salt, keyLength, iterations }
func (saltedStore) AuthRole(string) (string, error)        { return "user", nil }
func (saltedStore) Provider() string                       { return "static" }

func salted(c *check) {
	c.open(func(r *nexus.RealmConfig) {
		r.AnonymousAuth = false
		r.Authenticators = []auth.Authenticator{auth.NewCRAuthenticator(saltedStore{}, time.Second)}
	})
	p := c.dial(asJSON).apply(c.realm, dict{"authid": "peter", "authmethods": list{"wampcra"}})
	c.same("the salt", list{p.extra["salt"], p.extra["iterations"], p.extra["keylen"]}, list{salt, int64(iterations), int64(keyLength)})
	key, err := saltedStore{}.AuthKey("", "")
	c.no(err)
	p.answer(crsign.SignChallenge(p.extra["challenge"].(string), key))
	p.welcomed()
}
