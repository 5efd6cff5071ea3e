package account

import (
	"context"
	"time"

	"bulkhead/backend/account/factor"
	"bulkhead/backend/account/throttle"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// enrolWithin is how fresh a first factor must be to enrol a second, and how long its secret waits for a code.
const enrolWithin = 10 * time.Minute

var (
	// errCode is the one answer to a code that is wrong, used, or of nobody.
	errCode = errs.E(wire.Unauthenticated, "the code is wrong or was used before: wait for the next one, and look at the clock of your device")
	// ErrStepUp asks for the second factor again.
	ErrStepUp = errs.E(wire.Denied, "show your second factor again: this asks for one that was shown in the last five minutes")
	// ErrFirstAgain asks for the first factor again.
	ErrFirstAgain = errs.E(wire.Denied, "log in again: a second factor is set up soon after the first was shown")
)

// Enrolled reports whether the user has a second factor.
func (l *Logins) Enrolled(ctx context.Context, p Principal) (bool, error) {
	_, err := l.Store.Factor(ctx, p.Key)
	if errs.KindOf(err) == wire.NotFound {
		return false, nil
	}
	return err == nil, errs.Wrap("account: enrolled", err)
}

// Enrol makes a second factor that waits for its first right code. Who has none needs a fresh first factor; who has one
// must have shown it just now.
func (l *Logins) Enrol(ctx context.Context, c Client, p Principal) (Enrolment, error) {
	r, err := l.record(ctx, p)
	if err != nil {
		return Enrolment{}, err
	}
	enrolled, err := l.Enrolled(ctx, p)
	if err != nil {
		return Enrolment{}, err
	}
	now := l.Now().UTC().Truncate(time.Microsecond)
	switch {
	case enrolled && !r.principal().Fresh(now):
		return Enrolment{}, ErrStepUp
	case !enrolled && now.Sub(r.FirstAt) >= enrolWithin:
		return Enrolment{}, ErrFirstAgain
	}
	made := factor.NewSecret()
	sealed, err := l.Sealer.Seal(made.Text(), enrolmentContext(r.ID))
	if err != nil {
		return Enrolment{}, errs.Wrap("account: enrol", err)
	}
	entry := audit.New(r.actor(c), audit.FactorBegin, r.Who.Project, r.Who.asset())
	if err := l.Store.PutEnrolment(ctx, EnrolmentRecord{Login: r.ID, Sealed: sealed, Replaces: enrolled, BegunAt: now}, entry); err != nil {
		return Enrolment{}, errs.Wrap("account: enrol", err)
	}
	return l.shown(made, r.Who)
}

func (l *Logins) shown(made factor.Secret, u User) (e Enrolment, err error) {
	name := u.Name
	if u.Issuer == LocalIssuer {
		name = u.Subject
	}
	e.Secret = made.Text()
	if e.URI, err = made.URI(l.Issuer, name); err != nil {
		return Enrolment{}, errs.Wrap("account: enrol", err)
	}
	if e.PNG, err = made.PNG(l.Issuer, name); err != nil {
		return Enrolment{}, errs.Wrap("account: enrol", err)
	}
	return e, nil
}

func enrolmentContext(login string) string { return "enrolment|" + login }

func factorContext(user wire.Key) string { return "factor|" + user.String() }

// ConfirmEnrolment takes the first right code of a factor that waits. The login is raised and gets another token, the
// user's other logins end, and the recovery codes are shown this once.
func (l *Logins) ConfirmEnrolment(ctx context.Context, c Client, p Principal, code string) (Session, []secret.Value, error) {
	r, err := l.record(ctx, p)
	if err != nil {
		return Session{}, nil, err
	}
	pending, err := l.Store.Enrolment(ctx, r.ID)
	now := l.Now()
	if errs.KindOf(err) == wire.NotFound || err == nil && now.Sub(pending.BegunAt) >= enrolWithin {
		return Session{}, nil, errs.E(wire.Conflict, "no second factor waits for a code: set one up again")
	}
	if err != nil {
		return Session{}, nil, errs.Wrap("account: confirm enrolment", err)
	}
	made, err := l.Sealer.Open(pending.Sealed, enrolmentContext(r.ID))
	if err != nil {
		return Session{}, nil, errs.As(wire.Internal, err, "")
	}
	step, err := l.first(ctx, c, r, factor.Stored(made), code)
	if err != nil {
		return Session{}, nil, err
	}
	sealed, err := l.Sealer.Seal(made, factorContext(r.User))
	if err != nil {
		return Session{}, nil, errs.Wrap("account: confirm enrolment", err)
	}
	raise, token := l.raise(r, now)
	codes, hashes := factor.NewRecovery()
	entry := audit.New(r.actor(c), audit.FactorEnrol, r.Who.Project, r.Who.asset())
	ended, err := l.Store.Enrol(ctx, raise, FactorRecord{Sealed: sealed, LastStep: step}, hashes, entry)
	l.seen.forget(r.ID)
	if err != nil {
		return Session{}, nil, errs.Wrap("account: confirm enrolment", err)
	}
	l.ended(ended...)
	return Session{Login: raise.Login.Login, Token: token}, codes, nil
}

// first checks the first code of a factor.
func (l *Logins) first(ctx context.Context, c Client, r LoginRecord, made factor.Secret, code string) (int64, error) {
	try, err := l.codes.Begin(r.User.String(), c.Address)
	if err != nil {
		l.refused(ctx, c, audit.FactorRefuse, r.Who, "too many codes from this address")
		return 0, err
	}
	defer try.Done()
	step, ok := made.Match(code, l.Now())
	if !ok {
		l.refused(ctx, c, audit.FactorRefuse, r.Who, "wrong first code of a new factor")
		return 0, errCode
	}
	try.Passed()
	return step, nil
}

// raise gives a login, as it is after a second factor, and its new token.
func (l *Logins) raise(r LoginRecord, at time.Time) (Raise, secret.Value) {
	token := credential{ID: r.ID}.renewed()
	raised := Raise{Login: r, Old: r.Hash}
	at = at.UTC().Truncate(time.Microsecond)
	raised.Login.Level, raised.Login.FactorAt, raised.Login.SeenAt, raised.Login.Hash = AAL2, at, at, token.hash(LoginPrefix)
	raised.Login.ExpiresAt = r.CreatedAt.Add(lives[r.Kind].absolute)
	return raised, token.text(LoginPrefix)
}

// SecondFactor takes six digits or a recovery code: the login is raised, or its factor fresh again, and it gets another
// token while the old one is dead.
func (l *Logins) SecondFactor(ctx context.Context, c Client, p Principal, code string) (Session, error) {
	try, err := l.codes.Begin(p.Key.String(), c.Address)
	if err != nil { // before the database is asked
		known, _ := l.seen.record(ctx, p.Login) // a moment ago it was there
		l.refused(ctx, c, audit.FactorRefuse, known.Who, "too many codes from this address")
		return Session{}, err
	}
	defer try.Done()
	r, err := l.record(ctx, p)
	if err != nil {
		try.Void()
		return Session{}, err
	}
	raise, token := l.raise(r, l.Now())
	action := audit.LoginRaise
	spread, err := l.fewGuesses(r, try, code)
	if err != nil {
		l.refused(ctx, c, audit.FactorRefuse, r.Who, "too many codes for this user from many addresses")
		return Session{}, err
	}
	raise.shown, err = l.match(ctx, r, code)
	if err == nil {
		if raise.Step == 0 {
			action = audit.RecoveryUse
		}
		err = l.Store.RaiseLogin(ctx, raise, audit.New(r.actor(c), action, r.Who.Project, r.asset()).Changed(r.Login, raise.Login.Login))
	}
	l.seen.forget(r.ID)
	switch errs.KindOf(err) {
	case "":
		try.Passed()
		spread.Passed()
		return Session{Login: raise.Login.Login, Token: token}, nil
	case wire.Unauthenticated:
		l.refused(ctx, c, audit.FactorRefuse, r.Who, errs.UserText(err))
		return Session{}, errCode
	default:
		try.Void()
		return Session{}, errs.Wrap("account: second factor", err)
	}
}

// fewGuesses refuses six digits where too many were wrong for one user from all addresses. Where the user's codes were
// right before, and with a recovery code, one gets in all the same: nobody is locked out by others' guesses.
func (l *Logins) fewGuesses(r LoginRecord, try *throttle.Try, code string) (*throttle.Try, error) {
	spread, err := l.spread.Begin(r.User.String(), "")
	if _, recovery := factor.Recovery(code); err != nil && (recovery || try.Known) {
		return nil, nil //nolint:nilnil // nothing is counted
	}
	if err != nil {
		return nil, errs.E(wire.Exhausted, "too many wrong codes were tried for you from many places: use a recovery code, or a place where you have logged in before")
	}
	return spread, nil
}

// match finds what a code shows. Its errors of kind Unauthenticated have the true reason.
func (l *Logins) match(ctx context.Context, r LoginRecord, code string) (shown, error) {
	f, err := l.Store.Factor(ctx, r.User)
	if errs.KindOf(err) == wire.NotFound {
		return shown{}, errs.E(wire.Unauthenticated, "the user has no second factor")
	}
	if err != nil {
		return shown{}, err
	}
	if hash, ok := factor.Recovery(code); ok {
		return shown{Recovery: hash}, nil
	}
	kept, err := l.Sealer.Open(f.Sealed, factorContext(r.User))
	if err != nil {
		return shown{}, errs.As(wire.Internal, err, "")
	}
	step, ok := factor.Stored(kept).Match(code, l.Now())
	switch {
	case !ok:
		return shown{}, errs.E(wire.Unauthenticated, "wrong code")
	case step <= f.LastStep:
		return shown{}, ErrUsed
	default:
		return shown{Step: step}, nil
	}
}

// Approve makes a login of its own for the same user, as a command line's that the user has approved in a browser.
func (l *Logins) Approve(ctx context.Context, c Client, p Principal, kind LoginKind) (Session, error) {
	r, err := l.record(ctx, p)
	if err != nil {
		return Session{}, err
	}
	if !kind.Valid() || r.Level < AAL2 {
		return Session{}, errs.E(wire.Denied, "show your second factor first")
	}
	now := l.Now().UTC().Truncate(time.Microsecond)
	made := LoginRecord{Who: r.Who, Login: Login{
		User: r.User, Kind: kind, Level: AAL2, FirstAt: r.FirstAt, FactorAt: r.FactorAt, CreatedAt: now, SeenAt: now,
		ExpiresAt: now.Add(lives[kind].absolute), Address: c.Address, Agent: cut(c.Agent, 200), Provider: r.Provider,
	}}
	return l.insert(ctx, c, made, secret.Value{}, audit.LoginGrant)
}
