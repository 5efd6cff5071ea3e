package devicegrant

import (
	"context"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// errNoCode is the one answer to a code that is wrong, used, decided or expired.
var errNoCode = errs.E(wire.NotFound, "no login waits under this code: compare it with the one on your screen; it is valid for ten minutes")

// Describe tells who types a code from where the request comes that it belongs to. Wrong codes are counted.
func (g *Grants) Describe(by account.Principal, userCode string) (Asking, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, err := g.find(by, userCode)
	if err != nil {
		return Asking{}, err
	}
	code, _ := typed(userCode)
	return Asking{UserCode: shown(code), From: a.from, AskedAt: a.asked, ExpiresAt: a.expires()}, nil
}

// Approve lets the program that shows a code log in as by. It wants a second factor that was shown just now, since a login on
// a device lives longer than the one that approves it: an unattended browser must not make one.
func (g *Grants) Approve(ctx context.Context, c account.Client, by account.Principal, userCode string) error {
	if by.Proof != account.ProofLogin || !by.Fresh(g.now()) {
		return account.ErrStepUp
	}
	return g.decide(ctx, c, by, userCode, approved, audit.LoginApprove)
}

// Deny ends the request that a code belongs to.
func (g *Grants) Deny(ctx context.Context, c account.Client, by account.Principal, userCode string) error {
	return g.decide(ctx, c, by, userCode, denied, audit.LoginDeny)
}

// decide records the decision, then takes it: what is not recorded does not happen. Meanwhile nobody else decides, so that
// the record has one decision.
func (g *Grants) decide(ctx context.Context, c account.Client, by account.Principal, userCode string, to state, action audit.Action) error {
	a, err := g.hold(by, userCode)
	if err != nil {
		return err
	}
	err = g.record.Record(ctx, entry(by.Actor(c), action, a.from))
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		a.state = pending
		return errs.Wrap("devicegrant: decide", err)
	}
	a.state, a.by = to, by
	return nil
}

// hold keeps others from deciding about a request.
func (g *Grants) hold(by account.Principal, userCode string) (*grant, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, err := g.find(by, userCode)
	if err == nil {
		a.state = deciding
	}
	return a, err
}

// find is called with mu held. Who has no second factor has no business here.
func (g *Grants) find(by account.Principal, userCode string) (*grant, error) {
	now := g.now()
	if !by.Valid() || by.Proof != account.ProofLogin || by.Level != account.AAL2 {
		return nil, errs.E(wire.Denied, "log in with your second factor to approve the login of a device")
	}
	if g.guesses.exhausted(now, by.Key) {
		return nil, errs.E(wire.Exhausted, "too many wrong codes: try again in %d minutes", int(guessWindow.Minutes()))
	}
	code, ok := typed(userCode)
	if ok {
		a := g.users[hashOf(code)]
		if a != nil && a.state == pending && now.Before(a.expires()) {
			return a, nil
		}
	}
	g.guesses.wrong(now, by.Key)
	return nil, errNoCode
}
