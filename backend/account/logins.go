package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"math"
	"time"

	"bulkhead/backend/account/factor"
	"bulkhead/backend/account/password"
	"bulkhead/backend/account/throttle"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/logkey"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// LoginRecord is what the server keeps of a login, with the user whose it is.
type LoginRecord struct {
	Login
	Hash [sha256.Size]byte
	Who  User
}

// Proof of a second factor, as it is kept: a step or a recovery code, which is used up.
type shown struct {
	Step     int64 // 0: a recovery code
	Recovery factor.RecoveryHash
}

// Raise changes a login to one with a second factor and another token, and uses up what was shown.
type Raise struct {
	Login LoginRecord       // as it shall be
	Old   [sha256.Size]byte // the token's hash that it must have until then
	shown
}

// FactorRecord is somebody's second factor.
type FactorRecord struct {
	Sealed   []byte
	LastStep int64
}

// EnrolmentRecord is a factor that waits for its first right code.
type EnrolmentRecord struct {
	Login    string
	Sealed   []byte
	Replaces bool
	BegunAt  time.Time
}

// LoginStore keeps logins and second factors. What changes one writes the audit entry in the same transaction.
type LoginStore interface {
	Login(ctx context.Context, id string) (LoginRecord, error) // kind NotFound where there is none
	Logins(ctx context.Context, user wire.Key) ([]Login, error)
	// InsertLogin keeps a new login. Of those of the user with the same level, the ones beyond most end, oldest first.
	InsertLogin(ctx context.Context, r LoginRecord, most int, e audit.Entry) (ended []string, err error)
	SeeLogin(ctx context.Context, id string, seen, ends time.Time) error
	// RaiseLogin is kind Unauthenticated where the login has another token by now, and ErrUsed where what was shown was used.
	RaiseLogin(ctx context.Context, r Raise, e audit.Entry) error
	// EndLogin ends one login of a user; kind NotFound where there is none.
	EndLogin(ctx context.Context, user wire.Key, id string, e audit.Entry) error
	EndLogins(ctx context.Context, user wire.Key, but string, e audit.Entry) (ended []string, err error)
	ReapLogins(ctx context.Context, now time.Time) (ended []string, err error)

	Factor(ctx context.Context, user wire.Key) (FactorRecord, error) // kind NotFound where there is none
	PutEnrolment(ctx context.Context, r EnrolmentRecord, e audit.Entry) error
	Enrolment(ctx context.Context, login string) (EnrolmentRecord, error)
	// Enrol makes the pending factor of the login the user's, raises the login and ends the user's others. It is kind
	// Conflict where the user got a factor meanwhile that this one does not replace.
	Enrol(ctx context.Context, r Raise, f FactorRecord, codes []factor.RecoveryHash, e audit.Entry) (ended []string, err error)
}

// ErrUsed is returned by a store for a code that was used before.
var ErrUsed = errs.E(wire.Unauthenticated, "the code was used before")

// Sealer seals what must be read back.
type Sealer interface {
	Seal(v secret.Value, context string) ([]byte, error)
	Open(sealed []byte, context string) (secret.Value, error)
}

// LoginsConfig is what Logins need; all of it is required but Ended.
type LoginsConfig struct {
	Store  LoginStore
	Users  UserStore
	Sealer Sealer
	Noter  Noter // takes what was refused
	Hasher *password.Hasher
	Log    *slog.Logger
	Now    func() time.Time
	// Issuer is what authenticators show.
	Issuer string
	// Ended is told the id of a login that has ended, so that what it opened can be ended; it must not block.
	Ended func(id string)
}

// Logins proves people, step by step. Make one with NewLogins.
type Logins struct {
	LoginsConfig
	seen      *cache[LoginRecord]
	strangers *strangers
	passwords *throttle.Throttle
	codes     *throttle.Throttle
	spread    *throttle.Throttle // of codes of one user from all addresses
}

// spreadLimits bound guesses at one user's codes from many addresses at once.
var spreadLimits = throttle.Limits{Each: 100, Address: math.MaxInt, Window: 15 * time.Minute, Longest: 24 * time.Hour}

// NewLogins makes Logins. Serve must run beside it.
func NewLogins(c LoginsConfig) *Logins {
	if c.Ended == nil {
		c.Ended = func(string) {}
	}
	return &Logins{
		LoginsConfig: c, seen: newCache(c.Store.Login, c.Now), strangers: newStrangers(c.Now),
		passwords: throttle.New(throttle.Default, c.Now), codes: throttle.New(throttle.Default, c.Now), spread: throttle.New(spreadLimits, c.Now),
	}
}

// errLogin is the one answer to a token that opens nothing.
var errLogin = errs.E(wire.Unauthenticated, "you are not logged in: the login may have ended, so log in again")

// Authenticate tells whose a token is. It is asked at every request; the record behind it is at most a second old. Addresses
// from which wrong ones come ask for others at a bounded rate.
func (l *Logins) Authenticate(ctx context.Context, from Client, token string) (Principal, error) {
	record, err := l.find(ctx, from, token)
	if err != nil {
		return Principal{}, err
	}
	now := l.Now()
	if now.Sub(record.SeenAt) >= seenEvery {
		l.see(ctx, record, now)
	}
	return record.principal(), nil
}

// seenEvery is how exactly it is known when a login was used.
const seenEvery = time.Minute

func (l *Logins) find(ctx context.Context, from Client, token string) (LoginRecord, error) {
	c, ok := parseCredential(LoginPrefix, token)
	if !ok {
		return LoginRecord{}, errNotALogin
	}
	if err := l.strangers.admit(c.ID, from.Address); err != nil {
		return LoginRecord{}, err
	}
	record, err := l.seen.record(ctx, c.ID)
	if err != nil && errs.KindOf(err) != wire.NotFound {
		return LoginRecord{}, errs.As(wire.Unavailable, err, "logins cannot be checked now")
	}
	hash := c.hash(LoginPrefix)
	same := subtle.ConstantTimeCompare(hash[:], record.Hash[:]) == 1
	if err != nil || !same || !record.Live(l.Now()) || record.Who.Suspended {
		l.strangers.fail(from.Address)
		return LoginRecord{}, errLogin
	}
	l.strangers.pass(c.ID)
	return record, nil
}

// see keeps the login from ending as idle. Where that fails the request goes on, and the next one tries again.
func (l *Logins) see(ctx context.Context, r LoginRecord, now time.Time) {
	r.SeenAt = now.UTC().Truncate(time.Microsecond)
	if err := l.Store.SeeLogin(ctx, r.ID, r.SeenAt, r.Ends()); err != nil {
		l.Log.WarnContext(ctx, "the use of a login cannot be kept", logkey.Op, "account: see login", logkey.Error, err)
		return
	}
	l.seen.forget(r.ID)
}

func (r LoginRecord) principal() Principal {
	return Principal{
		Kind: KindUser, Key: r.User, Name: r.Who.Name, Login: r.ID, Proof: ProofLogin, Owner: r.Who.Owner,
		Level: r.Level, FactorAt: r.FactorAt, Until: r.ExpiresAt,
	}
}

// record reads the login that proved p, as it is now.
func (l *Logins) record(ctx context.Context, p Principal) (LoginRecord, error) {
	if p.Proof != ProofLogin || !p.Valid() {
		return LoginRecord{}, errs.E(wire.Denied, "this is for people who log in, not for API keys")
	}
	r, err := l.Store.Login(ctx, p.Login)
	if err != nil && errs.KindOf(err) != wire.NotFound {
		return LoginRecord{}, errs.Wrap("account: login", err)
	}
	if err != nil || r.User != p.Key || !r.Live(l.Now()) || r.Who.Suspended {
		return LoginRecord{}, errLogin
	}
	return r, nil
}

// Serve ends logins, within a second, that were idle for too long or have reached their end, until ctx ends.
func (l *Logins) Serve(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ended, err := l.Store.ReapLogins(ctx, l.Now())
			if err != nil && ctx.Err() == nil {
				l.Log.WarnContext(ctx, "ended logins cannot be removed now", logkey.Op, "account: reap logins", logkey.Error, err)
			}
			l.ended(ended...)
		}
	}
}

// ended forgets logins and tells who has opened something for them.
func (l *Logins) ended(ids ...string) {
	for _, id := range ids {
		l.seen.forget(id)
		l.Ended(id)
	}
}
