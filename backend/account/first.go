package account

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"bulkhead/backend/account/password"
	"bulkhead/backend/account/throttle"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Limits of logins.
const (
	// firstLife is how long a login lives that was not raised by a second factor.
	firstLife = 15 * time.Minute
	// maxLogins is how many of each level a user has at most: with one more, the oldest ends.
	maxLogins = 30
)

// LocalIssuer is the issuer of the accounts that this server keeps.
const LocalIssuer = "local"

var (
	localName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,63}$`)
	// errPassword is the one answer to a wrong name, a wrong password and a suspended user.
	errPassword = errs.E(wire.Unauthenticated, "name or password is wrong")
	// ErrFull says that a provider makes no more users just in time.
	ErrFull     = errs.E(wire.Denied, "there is no room for new users of this provider: ask your administrator to raise its limit")
	errIdentity = errs.E(wire.Unauthenticated, "this account cannot log in here: ask an administrator of this server")
)

// Admit refuses a client that goes on trying names and passwords in vain, before anything of its next try is read.
func (l *Logins) Admit(c Client) error {
	err := l.passwords.Admit(c.Address)
	if err != nil {
		l.unseen(c, audit.LoginRefuse)
	}
	return err
}

// Password logs in with a local account's name and password: the first factor.
func (l *Logins) Password(ctx context.Context, c Client, kind LoginKind, name string, p secret.Value) (Session, error) {
	if !kind.Valid() {
		return Session{}, errs.E(wire.Invalid, "no such kind of login")
	}
	name = strings.ToLower(strings.TrimSpace(name))
	if !localName.MatchString(name) {
		name = "" // nobody's; it is checked all the same
	}
	try, err := l.passwords.Begin(name, c.Address)
	if err != nil {
		l.refused(ctx, c, audit.LoginRefuse, User{}, "too many tries from this address")
		return Session{}, err
	}
	defer try.Done()
	var who LocalUser
	find := func() (hash string, err error) {
		who, err = l.Users.LocalUser(ctx, name)
		if err != nil && errs.KindOf(err) != wire.NotFound {
			return "", errs.As(wire.Unavailable, err, "logins cannot be checked now")
		}
		return who.PasswordHash, nil
	}
	rank := func() password.Rank { return rankOf(try) }
	right, err := l.Hasher.Verify(ctx, password.Turn{Name: name, Rank: rank(), Still: rank}, find, p)
	if err != nil {
		try.Void()
		if errs.KindOf(err) == wire.Exhausted {
			l.unseen(c, audit.LoginRefuse)
		}
		return Session{}, errs.Wrap("account: check password", err)
	}
	if reason := whyNot(who.User, right); reason != "" {
		l.refused(ctx, c, audit.LoginRefuse, who.User, reason)
		return Session{}, errPassword
	}
	try.Passed()
	return l.begin(ctx, c, kind, who.User, Identity{Issuer: LocalIssuer})
}

func rankOf(try *throttle.Try) password.Rank {
	switch {
	case try.Known:
		return password.Known
	case try.Back():
		return password.Back
	case try.Clean():
		return password.Clean
	default:
		return password.Failed
	}
}

func whyNot(u User, right bool) string {
	switch {
	case !u.Key.Valid():
		return "no such user"
	case !right:
		return "wrong password"
	case u.Suspended:
		return "the user is suspended"
	default:
		return ""
	}
}

// Identified logs in whom a provider has proved: the first factor, whatever the provider says of a second. Who was never
// here becomes a user where the provider's row allows it.
func (l *Logins) Identified(ctx context.Context, c Client, kind LoginKind, who Identity) (Session, error) {
	if !kind.Valid() {
		return Session{}, errs.E(wire.Invalid, "no such kind of login")
	}
	u, err := l.Users.UserBySubject(ctx, who.Project, who.Issuer, who.Subject)
	switch {
	case !believable(who):
		err = errs.E(wire.Unauthenticated, "the provider told no issuer or subject")
	case errs.KindOf(err) == wire.NotFound && who.JustInTime:
		if u, err = l.admit(ctx, c, who); errors.Is(err, ErrFull) {
			l.refused(ctx, c, audit.LoginRefuse, User{Project: who.Project}, "the provider has made as many users as it may (max_users)")
			return Session{}, ErrFull
		}
	case errs.KindOf(err) == wire.NotFound:
	case err != nil:
		return Session{}, errs.As(wire.Unavailable, err, "logins cannot be checked now")
	case u.Suspended:
		err = errs.E(wire.Unauthenticated, "the user is suspended")
	case u.Project != who.Project:
		err = errs.E(wire.Unauthenticated, "the user belongs to a provider of another project")
	}
	switch kind := errs.KindOf(err); kind {
	case "":
	case wire.Unauthenticated, wire.NotFound:
		l.refused(ctx, c, audit.LoginRefuse, u, errs.UserText(err))
		return Session{}, errIdentity
	default:
		return Session{}, errs.Wrap("account: identified", err)
	}
	return l.begin(ctx, c, kind, u, who)
}

// believable reports whether a provider names somebody. No provider speaks for local accounts.
func believable(who Identity) bool {
	return who.Provider.Valid() && who.Issuer != LocalIssuer && who.Issuer != "" && len(who.Issuer) <= 1000 && who.Subject != "" && len(who.Subject) <= 255
}

// admit makes a user of somebody who was never here.
func (l *Logins) admit(ctx context.Context, c Client, who Identity) (User, error) {
	u := User{
		Key: wire.NewKey(), Name: shownName(who), Issuer: who.Issuer, Subject: who.Subject, Email: cut(who.Email, 320),
		Provider: who.Provider, Project: who.Project, CreatedAt: l.Now().UTC().Truncate(time.Microsecond),
	}
	err := l.Users.InsertUser(ctx, u, "", audit.New(u.actor(c), audit.UserCreate, u.Project, u.asset()).Changed(nil, u.told()))
	if errs.KindOf(err) == wire.Conflict { // by the same person's other browser
		return l.Users.UserBySubject(ctx, who.Project, who.Issuer, who.Subject)
	}
	return u, err
}

func shownName(who Identity) string {
	for _, name := range []string{who.Name, who.Email, who.Subject} {
		if name = cut(strings.TrimSpace(strings.Map(printable, name)), 200); name != "" {
			return name
		}
	}
	return "user"
}

// printable keeps names from carrying control characters and those that turn the direction of text.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff {
		return -1
	}
	return r
}

func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most])
	}
	return text
}

// begin makes a login of a first factor.
func (l *Logins) begin(ctx context.Context, c Client, kind LoginKind, u User, who Identity) (Session, error) {
	now := l.Now().UTC().Truncate(time.Microsecond)
	r := LoginRecord{Who: u, Login: Login{
		User: u.Key, Kind: kind, Level: AAL1, FirstAt: now, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(firstLife),
		Address: c.Address, Agent: cut(c.Agent, 200), Provider: who.Provider, SID: cut(who.SID, 255),
	}}
	return l.insert(ctx, c, r, who.IDToken, audit.LoginBegin)
}

// insert keeps a new login and gives its token, once.
func (l *Logins) insert(ctx context.Context, c Client, r LoginRecord, idToken secret.Value, action audit.Action) (Session, error) {
	token := newCredential()
	r.ID, r.Hash = token.ID, token.hash(LoginPrefix)
	if !idToken.IsZero() {
		var err error
		if r.IDToken, err = l.Sealer.Seal(idToken, idTokenContext(r.ID)); err != nil {
			return Session{}, errs.Wrap("account: log in", err)
		}
	}
	entry := audit.New(r.actor(c), action, r.Who.Project, r.asset()).Changed(nil, r.Login)
	ended, err := l.Store.InsertLogin(ctx, r, maxLogins, entry)
	if err != nil {
		return Session{}, errs.Wrap("account: log in", err)
	}
	l.ended(ended...)
	l.strangers.pass(r.ID)
	return Session{Login: r.Login, Token: token.text(LoginPrefix)}, nil
}

func idTokenContext(login string) string { return "login|" + login + "|id_token" }

// IDToken gives what the provider of a login wants to see at logout; a zero provider for a local login.
func (l *Logins) IDToken(ctx context.Context, p Principal) (provider wire.Key, idToken secret.Value, err error) {
	r, err := l.record(ctx, p)
	if err != nil || len(r.IDToken) == 0 {
		return r.Provider, secret.Value{}, err
	}
	idToken, err = l.Sealer.Open(r.IDToken, idTokenContext(r.ID))
	return r.Provider, idToken, errs.As(wire.Internal, err, "")
}

// unseen counts a try that was refused without having been looked at.
func (l *Logins) unseen(c Client, action audit.Action) {
	l.Noter.Count(audit.New(audit.Actor{Kind: audit.Anonymous, ID: "unknown", Address: c.Address}, action, 0, audit.Asset{Kind: "login"}))
}

// refused keeps the true reason where only administrators read it.
func (l *Logins) refused(ctx context.Context, c Client, action audit.Action, u User, reason string) {
	actor, on := u.actor(c), u.asset()
	if !u.Key.Valid() {
		actor = audit.Actor{Kind: audit.Anonymous, ID: "unknown", Address: c.Address, RequestID: c.RequestID}
		on = audit.Asset{Kind: "login"}
	}
	l.Noter.Note(ctx, audit.New(actor, action, u.Project, on).Changed(nil, struct {
		Reason string `json:"reason"`
	}{reason}).Failing())
}
