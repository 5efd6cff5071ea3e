package cli

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"

	"bulkhead/backend/oauth"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func (inv *invocation) logoutCommand() *cobra.Command {
	c := &cobra.Command{Use: "logout", Short: "End the login of this context, here and on the server", Args: arguments(0, 0)}
	c.RunE = func(c *cobra.Command, _ []string) error { return inv.logout(c.Context()) }
	return c
}

// logout forgets the login here also where the server cannot be told.
func (inv *invocation) logout(ctx context.Context) error {
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return err
	}
	target, err := inv.resolve()
	if err != nil {
		return err
	}
	if target.Login == nil {
		return errs.E(wire.Conflict, "not logged in to %s", target.Server)
	}
	errTold := inv.endOnServer(ctx, target)
	errForget := contexts.forgetToken(target)
	target.Login = nil
	if err := contexts.Put(target.name, target); err != nil {
		return err
	}
	if errForget != nil {
		return errForget
	}
	return errTold
}

func (inv *invocation) endOnServer(ctx context.Context, target Context) error {
	c, err := inv.stranger(target)
	if err != nil {
		return err
	}
	token, err := inv.credential(target)
	if err != nil {
		return nil // there is nothing to end it with
	}
	err = c.form(ctx, oauth.RevocationPath, url.Values{"token": {string(token.Reveal())}, "client_id": {oauth.ClientID}}, nil)
	return errs.As(wire.Unavailable, err, "the login is forgotten here, and %s could not be told: end it on its page /account", target.Server)
}
