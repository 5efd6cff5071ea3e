package cli

import (
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// loginOptions are the ways to log in.
type loginOptions struct {
	local, stepUp                bool
	user, passwordFile, codeFile string
}

func (inv *invocation) loginCommand() *cobra.Command {
	var o loginOptions
	c := &cobra.Command{
		Use:   "login [--local] [--server URL --ca-file FILE]",
		Short: "Log in, in a browser or with --local in this terminal",
		Long: "Without flags it logs in to the server of the current context: it shows an address and a code, and waits until somebody who is logged in there approves.\n" +
			"With --local it asks for the name and the password of an account of the server, and for a code of the second factor; where there is none yet it sets one up.\n" +
			"Without a terminal, name, password and code are read from --user, --password-file and --code-file, and what of these is missing from the lines of standard input, in this order.\n" +
			"The login is kept in the system's keyring, or in a file of mode 0600 where there is none or $BULKHEAD_CONTEXT_DIR is set.",
		Example: "  bulkhead login --server https://bulkhead.example --ca-file ca.pem\n  bulkhead login --local --user owner",
		Args:    arguments(0, 0),
	}
	flags := c.Flags()
	flags.BoolVar(&o.local, "local", false, "with name and password of an account of the server")
	flags.BoolVar(&o.stepUp, "step-up", false, "show the second factor of this login again, for what wants one that was shown in the last five minutes")
	flags.StringVar(&o.user, "user", "", "name to log in with (--local)")
	flags.StringVar(&o.passwordFile, "password-file", "", "file with the password (--local)")
	flags.StringVar(&o.codeFile, "code-file", "", "file with a code of the second factor (--local, --step-up)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case o.stepUp && o.local:
			return usage(c, "--step-up and --local do not go together")
		case !o.local && (o.user != "" || o.passwordFile != ""), !o.local && !o.stepUp && o.codeFile != "":
			return usage(c, "--user, --password-file and --code-file go with --local")
		case inv.target.apiKeyFile != "":
			return usage(c, "--api-key-file is no login")
		case o.stepUp:
			return inv.stepUpCommand(c.Context(), o)
		default:
			return inv.login(c.Context(), o)
		}
	}
	return c
}

func (inv *invocation) login(ctx context.Context, o loginOptions) error {
	contexts, target, err := inv.loginTarget()
	if err != nil {
		return err
	}
	c, err := inv.stranger(target)
	if err != nil {
		return err
	}
	if o.local {
		err = c.loginLocal(ctx, o)
	} else {
		err = c.loginByCode(ctx)
	}
	if err != nil {
		return err
	}
	me, err := fetch[httpapi.Whoami](ctx, c, request{method: http.MethodGet, path: path("whoami")})
	if err != nil {
		return err
	}
	return c.remember(ctx, contexts, me)
}

// remember keeps the login, ends the one that it takes the place of, and makes its context the current one.
func (c *client) remember(ctx context.Context, contexts Contexts, me httpapi.Whoami) error {
	if c.context.Login != nil {
		_ = c.inv.endOnServer(ctx, c.context) // it ends by itself one day
		_ = contexts.forgetToken(c.context)
	}
	store, err := contexts.putToken(c.context.name, contexts.keeper(c.inv.environ), c.key)
	if err != nil {
		return err
	}
	c.context.Login = &Login{User: me.Name, Store: store}
	if err := contexts.Put(c.context.name, c.context); err != nil {
		return err
	}
	if err := contexts.Use(c.context.name); err != nil {
		return err
	}
	return c.inv.print(me, func() table {
		return table{rows: [][]string{{"logged in as", me.Name}, {"server", c.context.Server}, {"context", c.context.name}, {"until", when(me.Until)}}}
	})
}

// loginTarget gives the context to log in to: the one of --server, which may be new, or the current one.
func (inv *invocation) loginTarget() (Contexts, Context, error) {
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return contexts, Context{}, err
	}
	if inv.target.server == "" {
		target, err := inv.resolve()
		return contexts, target, err
	}
	target := Context{Server: inv.target.server, CAFile: inv.target.caFile}
	if err := target.checkServer(); err != nil {
		return contexts, target, err
	}
	if target.name = inv.target.context; target.name == "" {
		target.name = nameOf(target.Server)
	}
	known, err := contexts.Get(target.name)
	switch {
	case errs.KindOf(err) == wire.NotFound:
	case err != nil:
		return contexts, target, err
	case known.Server == target.Server:
		target = known
	case inv.target.context != "":
		return contexts, target, errs.E(wire.Conflict, "the context %s is of %s: choose another name, or type: bulkhead context delete %s", target.name, known.Server, target.name)
	}
	if inv.target.caFile != "" {
		target.CAFile = inv.target.caFile
	}
	return contexts, target, target.absolute()
}

// absolute makes the context work from every folder.
func (c *Context) absolute() (err error) {
	if c.CAFile != "" {
		c.CAFile, err = filepath.Abs(c.CAFile)
	}
	return err
}

var notOfNames = regexp.MustCompile(`[^a-z0-9._-]+`)

// nameOf makes a context's name of a server's URL: another port is another server.
func nameOf(server string) string {
	host := strings.TrimPrefix(server, "https://")
	if u, err := url.Parse(server); err == nil {
		host = u.Host
	}
	name := strings.Trim(notOfNames.ReplaceAllString(strings.ToLower(host), "-"), "-.")
	if len(name) > 60 {
		name = name[:60]
	}
	if !contextName.MatchString(name) {
		return "default"
	}
	return name
}

func (inv *invocation) stepUpCommand(ctx context.Context, o loginOptions) error {
	c, err := inv.client()
	if err != nil {
		return err
	}
	if c.context.Login == nil {
		return errs.E(wire.Invalid, "an API key has no second factor: type: bulkhead login%s", c.context.flag())
	}
	if o.codeFile == "" {
		return c.stepUp(ctx, inv.typist())
	}
	code, err := secretFile(o.codeFile)
	if err != nil {
		return err
	}
	token, err := c.showCode(ctx, code)
	if err != nil {
		return err
	}
	return c.keep(token)
}

// showCode shows a code of the second factor once. The token that was is dead from here on.
func (c *client) showCode(ctx context.Context, code secret.Value) (secret.Value, error) {
	response, err := c.try(ctx, request{method: http.MethodPost, path: path("login", "second-factor"), body: httpapi.FactorCode{Code: string(code.Reveal())}})
	reply, err := decoded[httpapi.LoginToken](c, response, err)
	return secret.FromString(reply.Token), err
}
