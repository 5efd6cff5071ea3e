package cli

import (
	"context"
	"fmt"
	"net/http"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// loginLocal shows both factors of an account of the server; where there is no second one it sets one up.
func (c *client) loginLocal(ctx context.Context, o loginOptions) error {
	t := c.inv.typist()
	name, password, err := t.firstFactor(ctx, o)
	if err != nil {
		return err
	}
	first, err := fetch[httpapi.LoginToken](ctx, c, request{
		method: http.MethodPost, path: path("login"), body: httpapi.LoginCreate{Name: name, Password: string(password.Reveal())},
	})
	if err != nil {
		return err
	}
	c.key = secret.FromString(first.Token)
	if !first.Enrolled {
		return c.enrol(ctx, t)
	}
	if o.codeFile != "" {
		code, err := secretFile(o.codeFile)
		if err == nil {
			c.key, err = c.showCode(ctx, code)
		}
		return err
	}
	c.key, err = c.secondFactor(ctx, t)
	return err
}

func (t *typist) firstFactor(ctx context.Context, o loginOptions) (name string, password secret.Value, err error) {
	if name = o.user; name == "" {
		if name, err = t.ask(ctx, "name"); err != nil {
			return "", password, err
		}
	}
	if o.passwordFile != "" {
		password, err = secretFile(o.passwordFile)
	} else {
		password, err = t.secret(ctx, "password")
	}
	return name, password, err
}

// secondFactor asks for a code until it is right, or was wrong too often.
func (c *client) secondFactor(ctx context.Context, t *typist) (token secret.Value, err error) {
	err = t.codes(ctx, "code of your second factor, or a recovery code", func(code secret.Value) error {
		token, err = c.showCode(ctx, code)
		return err
	})
	return token, err
}

// codes asks for a code and shows it; at a terminal it may be mistyped.
func (t *typist) codes(ctx context.Context, what string, show func(secret.Value) error) error {
	for tries := 1; ; tries++ {
		code, err := t.secret(ctx, what)
		if err != nil {
			return err
		}
		err = show(code)
		if err == nil || !t.terminal || tries == maxCodes || errs.KindOf(err) != wire.Unauthenticated && errs.KindOf(err) != wire.Invalid {
			return err
		}
		t.say("%s", errs.UserText(err))
	}
}

// enrol sets up a second factor: its QR code or secret goes into an app, which shows the first code.
func (c *client) enrol(ctx context.Context, t *typist) error {
	made, err := fetch[httpapi.EnrolmentSecret](ctx, c, request{method: http.MethodPost, path: path("login", "enrolment")})
	if err != nil {
		return err
	}
	t.say("This account has no second factor yet. Add it to an authenticator app, then type the code that the app shows.")
	if isTerminal(c.inv.Err) {
		if err := writeQR(c.inv.Err, made.URI); err != nil {
			return err
		}
	}
	t.say("secret to type: %s\naddress for apps: %s", made.Secret, made.URI)
	var done httpapi.EnrolmentDone
	err = t.codes(ctx, "code", func(code secret.Value) (err error) {
		done, err = fetch[httpapi.EnrolmentDone](ctx, c, request{
			method: http.MethodPost, path: path("login", "enrolment", "confirm"), body: httpapi.FactorCode{Code: string(code.Reveal())},
		})
		return err
	})
	if err != nil {
		return err
	}
	c.key = secret.FromString(done.Token)
	t.say("Recovery codes, shown this once. Each works once in place of a code, when your app is lost. Keep them apart from it:")
	for _, code := range done.RecoveryCodes {
		fmt.Fprintln(c.inv.Err, "  "+printable(code))
	}
	return nil
}
