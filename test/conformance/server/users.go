package main

import (
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"time"

	nexus "github.com/gammazero/nexus/v3/router"
	"github.com/gammazero/nexus/v3/router/auth"
)

// realm is the one that the suites join.
const realm = "realm1"

// authTimeout is how long a client may take to answer a challenge.
const authTimeout = 5 * time.Second

// role is everybody's: the suites tell nobody apart.
const role = "anonymous"

// user is one whom the suites know. Of its secrets it has those of the methods that it uses.
type user struct {
	ticket, secret, salt string
	publicKey            string // Ed25519, in hexadecimal
}

// The salted secret is a key derived with these.
const (
	saltIterations = 1000
	saltKeyLength  = 32
)

// users are those of xconn-go's interoperability tests and of autobahn-js's router configuration.
var users = map[string]user{
	"ticket-user":        {ticket: "ticket-pass"},
	"wamp-cra-user":      {secret: "cra-secret"},
	"wamp-cra-salt-user": {secret: "cra-salt-secret", salt: "cra-salt"},
	"cryptosign-user":    {publicKey: "ddc2838ede4304c1082c503f0af4f0c5ea7dea9fe436127643364c0670b69b08"},
	"username":           {secret: "p4ssw0rd"},
}

// realmConfig is the realm as an embedder of a nexus router configures it.
func realmConfig() *nexus.RealmConfig {
	return &nexus.RealmConfig{
		URI: realm, AnonymousAuth: true, AllowDisclose: true,
		Authenticators: []auth.Authenticator{
			&auth.AnonymousAuth{AuthRole: role},
			auth.NewTicketAuthenticator(keyStore{}, authTimeout),
			auth.NewCRAuthenticator(keyStore{}, authTimeout),
			signatures{},
		},
	}
}

// keyStore shows the users to nexus's authenticators.
type keyStore struct{}

var errUnknown = errors.New("no such user")

func (keyStore) AuthKey(authid, method string) ([]byte, error) {
	u := users[authid]
	switch {
	case method == "ticket" && u.ticket != "":
		return []byte(u.ticket), nil
	case method == "wampcra" && u.secret != "":
		return u.key()
	case method == "cryptosign" && u.publicKey != "":
		return hex.DecodeString(u.publicKey)
	default:
		return nil, errUnknown
	}
}

// key is what challenges are signed with.
func (u user) key() ([]byte, error) {
	if u.salt == "" {
		return []byte(u.secret), nil
	}
	derived, err := pbkdf2.Key(sha256.New, u.secret, []byte(u.salt), saltIterations, saltKeyLength)
	return []byte(base64.StdEncoding.EncodeToString(derived)), err
}

func (keyStore) PasswordInfo(authid string) (salt string, keyLength, iterations int) {
	if salt = users[authid].salt; salt == "" {
		return "", 0, 0
	}
	return salt, saltKeyLength, saltIterations
}

func (keyStore) AuthRole(authid string) (string, error) {
	if _, ok := users[authid]; !ok {
		return "", errUnknown
	}
	return role, nil
}

func (keyStore) Provider() string { return "static" }

// publicKey gives the key with which the user signs.
func publicKey(authid string) (ed25519.PublicKey, error) {
	return keyStore{}.AuthKey(authid, "cryptosign")
}
