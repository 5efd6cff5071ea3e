package account

import (
	"time"

	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Identity is what a provider proved of a person: the first factor.
type Identity struct {
	Provider wire.Key // its row; 0: local
	Project  wire.Key // that the provider belongs to; 0: the platform's
	// Issuer and Subject are who it is. Nothing else names a person.
	Issuer, Subject string
	Name            string
	Email           string
	EmailVerified   bool
	ACR             string
	AMR             []string
	AuthTime        time.Time
	SID             string       // the provider's session
	IDToken         secret.Value // what the provider wants to see at logout
	// JustInTime allows to make a user of somebody who was never here.
	JustInTime bool
}

// LoginKind tells where a login lives.
type LoginKind string

// The kinds of login.
const (
	LoginBrowser LoginKind = "browser"
	LoginCLI     LoginKind = "cli"
)

// life is how long a login lives: idle without a request, and absolute at most.
type life struct{ idle, absolute time.Duration }

var lives = map[LoginKind]life{
	LoginBrowser: {30 * time.Minute, 12 * time.Hour},
	LoginCLI:     {12 * time.Hour, 30 * 24 * time.Hour},
}

// Valid reports whether k is one of the kinds.
func (k LoginKind) Valid() bool { return lives[k] != life{} }

// Login is one that a user has.
type Login struct {
	ID    string    `json:"id"`
	User  wire.Key  `json:"user_key"`
	Kind  LoginKind `json:"kind"`
	Level Level     `json:"level"`
	// FirstAt is when the first factor was shown, FactorAt when the second was; zero where it was not.
	FirstAt   time.Time `json:"first_at"`
	FactorAt  time.Time `json:"factor_at,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at"`
	ExpiresAt time.Time `json:"expires_at"` // at the latest
	Address   string    `json:"-"`
	Agent     string    `json:"-"`
	Provider  wire.Key  `json:"provider_key,omitempty"` // 0: local
	// SID is the provider's session behind the login, which it names when that ends there; empty where it told none.
	SID string `json:"-"`
	// IDToken is sealed; see Logins.IDToken.
	IDToken []byte `json:"-"`
}

// Ends is when the login ends if nobody uses it any more.
func (l Login) Ends() time.Time {
	idle := l.SeenAt.Add(lives[l.Kind].idle)
	if idle.Before(l.ExpiresAt) {
		return idle
	}
	return l.ExpiresAt
}

// Live reports whether the login opens anything at a time.
func (l Login) Live(now time.Time) bool { return l.Kind.Valid() && now.Before(l.Ends()) }

// Session is a login in the hands of who made it.
type Session struct {
	Login Login
	// Token is bhs_<id>_<secret>_<checksum>. The server keeps its hash alone.
	Token secret.Value
}

// Enrolment is a second factor that waits for its first right code.
type Enrolment struct {
	URI    secret.Value // otpauth://…, what the QR code says
	Secret secret.Value // in base32, for who types it
	PNG    secret.Value // the QR code as an image
}
