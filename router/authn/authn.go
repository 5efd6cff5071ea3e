// Package authn proves who joins a realm.
//
// It promises that it decides from one immutable realms.Directory, so that it works while the database is down; that an
// unknown principal, a wrong secret and a suspended device get the same challenge, the same answer and the same amount of
// work; that failures are counted per authid and network and delay that source alone, so nobody is locked out by what
// others send; and that the only words of the client that it reads are the authid, the methods and the proof.
//
// It does not hide which realms exist: a name that is not provisioned is refused at once with wamp.error.no_such_realm,
// because clients wait for that answer to change, and one that exists leads to a challenge for whoever asks. Realm names
// are made of random 53-bit keys, so to probe for one is to guess two of them.
//
// Source: the WAMP specification, "Authentication Methods"; docs/wire.md, "Joining".
package authn

import (
	"bytes"
	"context"
	"crypto/x509"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"bulkhead/internal/errs"
	"bulkhead/realms"
	"bulkhead/router/message"
	"bulkhead/wire"
)

// The authentication methods, as WAMP names them.
const (
	MethodCRA        = "wampcra"
	MethodTicket     = "ticket"
	MethodCryptosign = "cryptosign"
	MethodSCRAM      = "wamp-scram"
	MethodTLS        = "tls"
)

// Provider is the authprovider that this server tells its clients.
const Provider = "bulkhead"

// MaxAuthID is the longest authid in bytes that is looked at.
const MaxAuthID = 256

// The URIs with which a join is refused, beside authentication_failed.
const (
	noSuchRealm  = "wamp.error.no_such_realm"
	noAuthMethod = "wamp.error.no_auth_method"
)

// Tickets trades a one-use ticket for the principal it was given to.
type Tickets interface {
	Redeem(realm, authid, ticket string) (realms.Principal, error)
}

// PublicKeys knows the Ed25519 keys with which a device may sign. The caller does not change what it is given.
type PublicKeys interface {
	PublicKeys(d realms.Device) [][]byte
}

// Config says which methods there are beside those that need the directory alone. The zero Config is fine.
type Config struct {
	Tickets Tickets    // nil: no tickets
	Keys    PublicKeys // nil: no cryptosign
	// Certificates: nil: no TLS client certificates.
	Certificates Certificates
}

// Authenticator checks joins against the directory that was applied last. Use New.
type Authenticator struct {
	config    Config
	directory atomic.Pointer[realms.Directory]
	throttle  *throttle
	decoy     decoy
	scram     scram
}

// New makes an Authenticator that admits nobody until Apply.
func New(c Config) *Authenticator {
	a := &Authenticator{config: c, throttle: newThrottle(), decoy: newDecoy(), scram: newScram()}
	a.Apply(&realms.Directory{})
	return a
}

// Apply replaces the directory. Joins that are under way finish against the one they began with.
func (a *Authenticator) Apply(d *realms.Directory) { a.directory.Store(d) }

// Request is what a peer says of itself in HELLO, and where it dials from.
type Request struct {
	Realm   string
	AuthID  string
	Methods []string     // in the order of the client's preference
	Extra   message.Dict // HELLO.Details.authextra
	Session message.ID
	Network netip.Prefix // the zero Prefix for a peer without an address
	// Certificate is the one that the peer showed in the TLS handshake, verified; nil: none.
	Certificate *x509.Certificate
}

// Grant is a proven identity.
type Grant struct {
	Principal  realms.Principal
	Method     string
	Extra      message.Dict // goes into WELCOME.Details.authextra
	Credential Credential
}

// Exchange is a join that waits for the proof. It is used once, by one goroutine.
type Exchange struct {
	// Challenge is what to ask the peer; nil where it has proved itself already: then Answer takes nil.
	Challenge *message.Challenge

	a      *Authenticator
	source uint64
	method string
	prove  func(*message.Authenticate) (Grant, error)
}

// Begin answers a HELLO with a challenge, or with the error that the peer is to be refused with.
func (a *Authenticator) Begin(q Request) (*Exchange, error) {
	d := a.directory.Load()
	entry, ok := d.Realm(q.Realm)
	if !ok {
		return nil, &errs.Error{Kind: wire.NotFound, URI: noSuchRealm, User: "no such realm"}
	}
	if len(q.AuthID) > MaxAuthID {
		return nil, failed("authid is too long")
	}
	method := a.choose(q)
	x := &Exchange{a: a, source: a.throttle.source(q.Realm, q.AuthID, q.Network), method: method}
	c := &claim{directory: d, entry: entry, request: q}
	var err error
	switch method {
	case MethodCRA:
		err = a.beginCRA(x, c)
	case MethodTicket:
		a.beginTicket(x, c)
	case MethodCryptosign:
		a.beginCryptosign(x, c)
	case MethodSCRAM:
		err = a.beginSCRAM(x, c)
	case MethodTLS:
		a.beginTLS(x, c)
	default:
		return nil, &errs.Error{Kind: wire.Unauthenticated, URI: noAuthMethod, User: "none of the offered authentication methods is available"}
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

// choose takes the first method of the client's that is on offer; "" if there is none. It depends on nothing that the
// peer could want to learn.
func (a *Authenticator) choose(q Request) string {
	i := slices.IndexFunc(q.Methods, func(m string) bool {
		switch m {
		case MethodCRA, MethodSCRAM:
			return true
		case MethodTicket:
			return a.config.Tickets != nil
		case MethodCryptosign:
			return a.config.Keys != nil
		case MethodTLS:
			return a.config.Certificates != nil && q.Certificate != nil
		default:
			return false
		}
	})
	if i < 0 {
		return ""
	}
	return q.Methods[i]
}

// Answer checks the proof. It waits as long as earlier failures of the same source demand, and gives up when ctx ends.
// The error says to the peer no more than "authentication failed"; its cause is for the log.
func (x *Exchange) Answer(ctx context.Context, m *message.Authenticate) (Grant, error) {
	if err := x.a.throttle.wait(ctx, x.source); err != nil {
		return Grant{}, err
	}
	g, err := x.prove(m)
	if err != nil {
		if errs.KindOf(err) == wire.Unauthenticated {
			x.a.throttle.failed(x.source)
		}
		return Grant{}, err
	}
	x.a.throttle.succeeded(x.source)
	g.Method = x.method
	return g, nil
}

// failed is the one refusal that every fault of the proof ends in; why is for the log.
func failed(why string) error { return failedBy(reason(why)) }

func failedBy(cause error) error {
	return errs.As(wire.Unauthenticated, cause, "authentication failed")
}

type reason string

func (r reason) Error() string { return string(r) }

// appendTimestamp writes the form of time that challenges carry.
func appendTimestamp(b []byte) []byte {
	now := time.Now().UTC()
	b = bytes.TrimSuffix(now.AppendFormat(b, time.RFC3339), []byte("Z"))
	millis := now.Nanosecond() / int(time.Millisecond)
	return append(b, '.', byte('0'+millis/100), byte('0'+millis/10%10), byte('0'+millis%10), 'Z')
}
