// Package account knows who calls: it proves people by a first and a second factor and programs by API keys, and trades a
// login for a one-use ticket that opens a WAMP session.
//
// It promises that the server keeps no password, login token, recovery code or API key, only hashes, and second factors
// only sealed; that a code works once; that a login which was not raised by a second factor reaches nothing but that; that
// a revoked or expired key or login is forgotten within a second, and what it opened is ended with it; that a caller who is
// refused learns nothing from the answer or its time, while the audit log has the true reason; that guesses are slowed
// down where they come from and never lock their victim out elsewhere; and that an error while checking is a refusal.
package account

import (
	"context"
	"slices"
	"time"

	"bulkhead/backend/audit"
	"bulkhead/wire"
)

// Principal is who acts, as this package proved it. The zero Principal is nobody and may do nothing.
type Principal struct {
	Kind Kind
	// Key of the user or service account. Its decimal text is the name of its WAMP sessions.
	Key  wire.Key
	Name string
	// Login is the id of the login or API key that proved it. What is revoked is named by it.
	Login string
	Proof Proof
	// Owner may administer the server: projects, providers, users. It gives no right inside a project.
	Owner bool
	// Scopes bound what an API key may do to the flags that they name; AllScopes names all. Nil for a login.
	Scopes []wire.Flag
	Level  Level
	// FactorAt is when the second factor was shown; zero where it was not.
	FactorAt time.Time
	// Until is when the login ends; zero: nobody knows.
	Until time.Time
}

// Kind tells what a principal is.
type Kind string

// The kinds of principal.
const (
	KindUser           Kind = "user"
	KindServiceAccount Kind = "service_account"
)

// Proof tells by what a principal was proved.
type Proof string

// The proofs.
const (
	ProofLogin  Proof = "login"
	ProofAPIKey Proof = "apikey"
)

// Level is how surely somebody was proved. The zero Level is not at all.
type Level int8

// The levels.
const (
	// AAL1 is a first factor. It reaches nothing but the second.
	AAL1 Level = 1
	// AAL2 is both factors, or an API key.
	AAL2 Level = 2
)

func (l Level) String() string {
	switch l {
	case AAL1:
		return "aal1"
	case AAL2:
		return "aal2"
	default:
		return "none"
	}
}

// FreshFor is how long after the second factor a login may do what wire.NeedsFresh lists.
const FreshFor = 5 * time.Minute

// AllScopes is the scope that names every flag.
const AllScopes wire.Flag = "*"

// Valid reports whether p is somebody.
func (p Principal) Valid() bool { return p.Kind != "" && p.Key.Valid() && p.Login != "" && p.Level > 0 }

// AuthID is the name of p's WAMP sessions.
func (p Principal) AuthID() string { return p.Key.String() }

// Fresh reports whether the second factor was shown not longer than FreshFor ago. It never was with an API key, which may
// do what its scopes name.
func (p Principal) Fresh(now time.Time) bool {
	age := now.Sub(p.FactorAt)
	return p.Proof == ProofLogin && p.Level >= AAL2 && age >= 0 && age < FreshFor
}

// InScope reports whether p's login reaches as far as flag: an API key does where its scopes name the flag.
func (p Principal) InScope(flag wire.Flag) bool {
	switch p.Proof {
	case ProofLogin:
		return true
	case ProofAPIKey:
		return slices.Contains(p.Scopes, AllScopes) || slices.Contains(p.Scopes, flag)
	default:
		return false
	}
}

// Client is where a request comes from.
type Client struct {
	Address   string // of the connection, without the port
	Agent     string // what the client says of itself
	RequestID string
}

// Noter keeps entries about what was refused, also when there are very many.
type Noter interface {
	Note(ctx context.Context, e audit.Entry)
	// Count keeps only how many there were, and costs who is refused no look at the database.
	Count(e audit.Entry)
}
