package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/secret"
)

func userRows(u httpapi.User) [][]string {
	rows := [][]string{{"name", u.Name}, {"key", u.Key.String()}}
	if u.Login != "" {
		rows = append(rows, []string{"logs in as", u.Login})
	}
	rows = append(rows, []string{"issuer", u.Issuer}, []string{"subject", u.Subject})
	if u.Email != "" {
		rows = append(rows, []string{"e-mail", u.Email})
	}
	return append(rows, []string{"owner", yesNo(u.Owner)}, []string{"suspended", yesNo(u.Suspended)}, []string{"second factor", yesNo(u.Enrolled)}, []string{"created", when(u.CreatedAt)})
}

func (inv *invocation) userCommand() *cobra.Command {
	on := func(method string, more ...string) func(*cobra.Command, []string) (request, error) {
		return func(_ *cobra.Command, args []string) (request, error) {
			return request{method: method, path: path(append([]string{"users", args[0]}, more...)...)}, nil
		}
	}
	return group("user", "Users, named by key, login name, name or e-mail address",
		listing(inv, "list", "List users", arguments(0, 0), at("users"), []string{"KEY", "NAME", "ISSUER", "OWNER", "SUSPENDED", "SECOND FACTOR"}, func(u httpapi.User) []string {
			return []string{u.Key.String(), u.Name, u.Issuer, yesNo(u.Owner), yesNo(u.Suspended), yesNo(u.Enrolled)}
		}),
		acting(inv, "show USER", "Show a user", arguments(1, 1), on(http.MethodGet), userRows),
		inv.userCreate(),
		acting[none](inv, "suspend USER", "Keep a user out, and end what it has open", arguments(1, 1), on(http.MethodPost, "suspend"), nil),
		acting[none](inv, "resume USER", "Let a suspended user in again", arguments(1, 1), on(http.MethodPost, "resume"), nil),
		acting[none](inv, "reset-factor USER", "Take away the second factor of who has lost it; the next login sets one up", arguments(1, 1), on(http.MethodPost, "reset-factor"), nil),
		inv.userSetPassword(),
	)
}

func (inv *invocation) userCreate() *cobra.Command {
	var body httpapi.UserCreate
	var passwordFile string
	c := acting(inv, "create LOGIN", "Create a local account", arguments(1, 1), func(c *cobra.Command, args []string) (request, error) {
		password, err := inv.newPassword(c.Context(), passwordFile)
		body.Login, body.Password = args[0], string(password.Reveal())
		return request{method: http.MethodPost, path: path("users"), body: body}, err
	}, userRows)
	c.Example = "  bulkhead user create alice --name 'Alice Doe'"
	c.Flags().StringVar(&body.Name, "name", "", "name to show")
	c.Flags().StringVar(&body.Email, "email", "", "e-mail address to show")
	c.Flags().BoolVar(&body.Owner, "owner", false, "may administer the server")
	c.Flags().StringVar(&passwordFile, "password-file", "", "file with the first password; without it, it is asked for, or read from standard input")
	return c
}

func (inv *invocation) userSetPassword() *cobra.Command {
	var passwordFile string
	c := acting[none](inv, "set-password [USER]", "Give a local account another password, and end its logins; without USER, yourself", arguments(0, 1), func(c *cobra.Command, args []string) (request, error) {
		password, err := inv.newPassword(c.Context(), passwordFile)
		r := request{method: http.MethodPost, path: path("password"), body: httpapi.UserPassword{Password: string(password.Reveal())}}
		if len(args) > 0 {
			r.path = path("users", args[0], "password")
		}
		return r, err
	}, nil)
	c.Flags().StringVar(&passwordFile, "password-file", "", "file with the password; without it, it is asked for, or read from standard input")
	return c
}

func (inv *invocation) newPassword(ctx context.Context, file string) (secret.Value, error) {
	if file != "" {
		return secretFile(file)
	}
	t := inv.typist()
	password, err := t.secret(ctx, "new password")
	if err != nil || !t.terminal {
		return password, err
	}
	again, err := t.secret(ctx, "again")
	if err == nil && !again.Equal(password) {
		return password, errDiffer
	}
	return password, err
}
