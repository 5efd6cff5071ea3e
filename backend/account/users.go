package account

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"bulkhead/backend/account/password"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// User is somebody who logs in. Issuer and Subject are who it is; name and e-mail address are to show.
type User struct {
	Key       wire.Key
	Name      string
	Issuer    string // LocalIssuer for accounts of this server
	Subject   string // of a local account: the name to log in with
	Email     string
	Provider  wire.Key // 0: local
	Project   wire.Key // that the provider belongs to; 0: the platform's
	Owner     bool
	Suspended bool
	Enrolled  bool // has a second factor
	CreatedAt time.Time
}

// LocalUser is a user of this server's own with the password's hash.
type LocalUser struct {
	User
	PasswordHash string
}

func (u User) actor(c Client) audit.Actor {
	return audit.Actor{
		Kind: audit.User, ID: u.Key.String(), Name: u.Name, Address: c.Address, RequestID: c.RequestID, Issuer: u.Issuer, Subject: u.Subject,
	}
}

func (r LoginRecord) actor(c Client) audit.Actor {
	a := r.Who.actor(c)
	a.Session, a.Assurance = r.ID, r.Level.String()
	return a
}

func (u User) asset() audit.Asset { return audit.Asset{Kind: "user", Key: u.Key, Name: u.Name} }

func (r LoginRecord) asset() audit.Asset { return audit.Asset{Kind: "login", Name: r.ID} }

// told is what the audit log has of a user; what tells of the person stands apart there.
func (u User) told() any {
	return struct {
		UserName  string   `json:"user_name"`
		Issuer    string   `json:"issuer"`
		Subject   string   `json:"subject"`
		Email     string   `json:"email,omitempty"`
		Provider  wire.Key `json:"provider_key,omitempty"`
		Owner     bool     `json:"owner"`
		Suspended bool     `json:"suspended"`
	}{u.Name, u.Issuer, u.Subject, u.Email, u.Provider, u.Owner, u.Suspended}
}

// Holder gives the user as the holder of API keys.
func (u User) Holder() Holder {
	return Holder{Kind: KindUser, Key: u.Key, Name: u.Name, Owner: u.Owner, Suspended: u.Suspended}
}

// UserStore keeps users. What changes one writes the audit entry in the same transaction.
type UserStore interface {
	LocalUser(ctx context.Context, name string) (LocalUser, error) // kind NotFound where there is none
	UserBySubject(ctx context.Context, project wire.Key, issuer, subject string) (User, error)
	User(ctx context.Context, key wire.Key) (User, error)
	// FindUsers gives at most two users whose key, login name, name or e-mail address is text; those by key or login name
	// before others, and then the platform's before those of projects.
	FindUsers(ctx context.Context, text string) ([]User, error)
	Users(ctx context.Context, after wire.Key, limit int) ([]User, error)
	// InsertUser keeps a new user; hash is empty where there is no password. It is ErrFull where its provider has as many as it may.
	InsertUser(ctx context.Context, u User, hash string, e audit.Entry) error
	// SetUser keeps whether a user is an owner and whether it is suspended.
	SetUser(ctx context.Context, key wire.Key, owner, suspended bool, e audit.Entry) error
	SetPassword(ctx context.Context, key wire.Key, hash string, at time.Time, e audit.Entry) error
	DropFactor(ctx context.Context, key wire.Key, e audit.Entry) error // kind NotFound where there is none
}

// Users makes and changes users. Make one with NewUsers.
type Users struct {
	store  UserStore
	hasher *password.Hasher
	logins *Logins
	keys   *Keys
	now    func() time.Time
}

// NewUsers makes Users; what they have open is ended through logins and keys.
func NewUsers(store UserStore, hasher *password.Hasher, logins *Logins, keys *Keys, now func() time.Time) *Users {
	return &Users{store: store, hasher: hasher, logins: logins, keys: keys, now: now}
}

// UserRequest asks for a local user.
type UserRequest struct {
	Name     string // to log in with
	Shown    string // empty: Name
	Email    string
	Password secret.Value
	Owner    bool
}

func (q UserRequest) check() error {
	switch {
	case !localName.MatchString(q.Name):
		return errs.E(wire.Invalid, "a login name has 1 to 64 of a-z, 0-9 and . _ @ + -, and begins with a letter or digit")
	case cut(strings.Map(printable, q.Shown), 200) != q.Shown || strings.TrimSpace(q.Shown) != q.Shown:
		return errs.E(wire.Invalid, "a name has at most 200 characters that can be printed, without spaces around it")
	case utf8.RuneCountInString(q.Email) > 320 || strings.ContainsFunc(q.Email, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return errs.E(wire.Invalid, "an e-mail address has at most 320 characters and no spaces")
	default:
		return password.Check(q.Name, q.Password)
	}
}

// Create makes a local user. Only an owner makes another.
func (s *Users) Create(ctx context.Context, by Principal, actor audit.Actor, q UserRequest) (User, error) {
	if err := q.check(); err != nil {
		return User{}, err
	}
	if q.Owner && !by.Owner {
		return User{}, errs.E(wire.Denied, "only an owner of the platform makes another")
	}
	hash, err := s.hash(ctx, by, q.Password)
	if err != nil {
		return User{}, err
	}
	u := User{
		Key: wire.NewKey(), Name: q.Shown, Issuer: LocalIssuer, Subject: q.Name, Email: q.Email, Owner: q.Owner,
		CreatedAt: s.now().UTC().Truncate(time.Microsecond),
	}
	if u.Name == "" {
		u.Name = q.Name
	}
	err = s.store.InsertUser(ctx, u, hash, audit.New(actor, audit.UserCreate, 0, u.asset()).Changed(nil, u.told()))
	return u, errs.Wrap("account: create user", err)
}

func (s *Users) hash(ctx context.Context, by Principal, p secret.Value) (string, error) {
	hash, err := s.hasher.Hash(ctx, password.Turn{Name: by.AuthID(), Rank: password.Known}, p)
	return hash, errs.Wrap("account: hash password", err)
}

// Find gives the one user whose key, login name, name or e-mail address is text.
func (s *Users) Find(ctx context.Context, text string) (User, error) {
	found, err := s.store.FindUsers(ctx, text)
	switch {
	case err != nil:
		return User{}, errs.Wrap("account: find user", err)
	case len(found) == 0:
		return User{}, errs.E(wire.NotFound, "no such user")
	case len(found) > 1 && !found[0].surely(text, found[1]):
		return User{}, errs.E(wire.Conflict, "several users are called that: name one by its key")
	default:
		return found[0], nil
	}
}

// surely reports whether a text means u, whoever else is called so: by what nobody else can have, or because the other is of a
// project, whose provider may call its users what it likes.
func (u User) surely(text string, other User) bool {
	return u.Key.String() == text || u.Issuer == LocalIssuer && u.Subject == text || u.Project == 0 && other.Project != 0
}

// List gives users in the order of their keys, from the one after after.
func (s *Users) List(ctx context.Context, after wire.Key, limit int) ([]User, error) {
	found, err := s.store.Users(ctx, after, limit)
	return found, errs.Wrap("account: list users", err)
}

// Suspend keeps a user out and ends all that it has open.
func (s *Users) Suspend(ctx context.Context, by Principal, actor audit.Actor, u User) error {
	if u.Key == by.Key {
		return errs.E(wire.Conflict, "you cannot suspend yourself")
	}
	after := u
	after.Suspended = true
	if err := s.set(ctx, actor, audit.UserSuspend, u, after); err != nil {
		return err
	}
	return s.end(ctx, actor, u)
}

// Resume lets a suspended user in again.
func (s *Users) Resume(ctx context.Context, actor audit.Actor, u User) error {
	after := u
	after.Suspended = false
	return s.set(ctx, actor, audit.UserResume, u, after)
}

// SetOwner makes a user an owner of the platform, or no more one.
func (s *Users) SetOwner(ctx context.Context, by Principal, actor audit.Actor, u User, owner bool) error {
	if !by.Owner {
		return errs.E(wire.Denied, "only an owner of the platform makes another")
	}
	if u.Key == by.Key && !owner {
		return errs.E(wire.Conflict, "another owner has to do that")
	}
	if owner && u.Project != 0 { // whoever has the provider says who its users are, and what they are called
		return errs.E(wire.Conflict, "this user logs in by a provider of a project: an owner of the platform has an account of the platform")
	}
	after := u
	after.Owner = owner
	if err := s.set(ctx, actor, audit.UserUpdate, u, after); err != nil {
		return err
	}
	return s.keys.forgetOf(ctx, u.Key)
}

func (s *Users) set(ctx context.Context, actor audit.Actor, action audit.Action, before, after User) error {
	entry := audit.New(actor, action, before.Project, before.asset()).Changed(before.told(), after.told())
	return errs.Wrap("account: change user", s.store.SetUser(ctx, before.Key, after.Owner, after.Suspended, entry))
}

// end ends the logins of a user, and what its API keys have opened.
func (s *Users) end(ctx context.Context, actor audit.Actor, u User) error {
	ended, err := s.logins.Store.EndLogins(ctx, u.Key, "", audit.New(actor, audit.LoginEnd, u.Project, u.asset()))
	s.logins.ended(ended...)
	if err != nil {
		return errs.Wrap("account: end logins", err)
	}
	return s.keys.endOf(ctx, u.Key)
}

// ResetFactor takes a user's second factor away, for who has lost it, and ends its logins: with the next one it enrols
// another.
func (s *Users) ResetFactor(ctx context.Context, actor audit.Actor, u User) error {
	err := s.store.DropFactor(ctx, u.Key, audit.New(actor, audit.FactorReset, u.Project, u.asset()))
	if errs.KindOf(err) == wire.NotFound {
		return errs.E(wire.NotFound, "the user has no second factor")
	}
	if err != nil {
		return errs.Wrap("account: reset factor", err)
	}
	return s.end(ctx, actor, u)
}

// SetPassword gives a local user another password, and ends its logins but the one that asked for it.
func (s *Users) SetPassword(ctx context.Context, by Principal, actor audit.Actor, u User, p secret.Value) error {
	if u.Issuer != LocalIssuer {
		return errs.E(wire.Conflict, "this user's password is its provider's")
	}
	if err := password.Check(u.Subject, p); err != nil {
		return err
	}
	hash, err := s.hash(ctx, by, p)
	if err != nil {
		return err
	}
	at := s.now().UTC().Truncate(time.Microsecond)
	if err := s.store.SetPassword(ctx, u.Key, hash, at, audit.New(actor, audit.PasswordSet, 0, u.asset())); err != nil {
		return errs.Wrap("account: set password", err)
	}
	but := ""
	if by.Key == u.Key {
		but = by.Login
	}
	ended, err := s.logins.Store.EndLogins(ctx, u.Key, but, audit.New(actor, audit.LoginEnd, 0, u.asset()))
	s.logins.ended(ended...)
	return errs.Wrap("account: end logins", err)
}
