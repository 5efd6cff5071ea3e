package cli

import (
	"context"
	"errors"
	"net/http"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Codes of refusals that a login can do something about.
const (
	codeStepUpRequired       = "step_up_required"
	codeSecondFactorRequired = "second_factor_required"
)

// maxCodes is how often a code is asked for that may have been mistyped.
const maxCodes = 3

// mend does what a refused login needs, and says whether to ask the server again. It gives back the refusal, with what to
// type next, where nothing can be done.
func (c *client) mend(ctx context.Context, err error) (again bool, _ error) {
	var refused *refusal
	if !errors.As(err, &refused) {
		return false, err
	}
	switch {
	case refused.code == codeStepUpRequired && isTerminal(c.inv.In):
		return true, c.stepUp(ctx, c.inv.typist())
	case refused.code == codeStepUpRequired:
		return false, errs.E(wire.Denied, "%s\n  type: bulkhead login --step-up, and then this command again", errs.UserText(err))
	case refused.code == codeSecondFactorRequired, refused.status == http.StatusUnauthorized:
		if c.renewed() {
			return true, nil
		}
		return false, errs.E(wire.Unauthenticated, "the login to %s has ended\n  type: bulkhead login", c.context.Server)
	default:
		return false, err
	}
}

// renewed takes the token that another command has put in the place of ours since we read it.
func (c *client) renewed() bool {
	token, err := c.inv.credential(c.context)
	if err != nil || token.Equal(c.key) {
		return false
	}
	c.key = token
	return true
}

// stepUp shows the second factor again. The server gives another token, and forgets the one that was.
func (c *client) stepUp(ctx context.Context, t *typist) error {
	t.say("%s wants a code of your second factor again.", c.context.Server)
	token, err := c.secondFactor(ctx, t)
	if err != nil {
		return err
	}
	return c.keep(token)
}

// keep has the token of this client's context be another.
func (c *client) keep(token secret.Value) error {
	contexts, err := OpenContexts(c.inv.environ)
	if err != nil {
		return err
	}
	c.key = token
	store, err := contexts.putToken(c.context.name, c.context.Login.Store, token)
	if err != nil {
		return errs.As(wire.Unavailable, err, "the login cannot be kept: type: bulkhead login")
	}
	if store == c.context.Login.Store {
		return nil
	}
	c.context.Login.Store = store
	return contexts.Put(c.context.name, c.context)
}
