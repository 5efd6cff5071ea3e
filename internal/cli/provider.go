package cli

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

func providerRows(p httpapi.Provider) [][]string {
	rows := [][]string{
		{"name", p.Name}, {"key", p.Key.String()}, {"title", p.Title}, {"issuer", p.Issuer}, {"client id", p.ClientID}, {"client secret", yesNo(p.HasSecret)},
		{"algorithms", strings.Join(p.Algorithms, " ")}, {"scopes", strings.Join(p.Scopes, " ")}, {"domains", strings.Join(p.Domains, " ")},
		{"makes users", yesNo(p.JustInTime)}, {"at most", strconv.Itoa(p.MaxUsers)}, {"logout", yesNo(p.Logout)}, {"suspended", yesNo(p.Suspended)}, {"private network", yesNo(p.PrivateNetwork)},
		{"log in at", p.LoginURL}, {"redirect URI", p.RedirectURI}, {"created", when(p.CreatedAt)},
	}
	if p.Logout {
		rows = append(rows, []string{"logout URI", p.LogoutURI})
	}
	return rows
}

func (inv *invocation) providerCommand() *cobra.Command {
	var project string
	one := func(method string) func(*cobra.Command, []string) (request, error) {
		return func(_ *cobra.Command, args []string) (request, error) {
			return request{method: method, path: providerPath(project, args...)}, nil
		}
	}
	c := group("provider", "OpenID Connect providers with which users log in, of the server or of a project",
		ofProject(listing(inv, "list [--project PROJECT]", "List providers", nil, func(*cobra.Command, []string) (string, error) { return providerPath(project), nil },
			[]string{"NAME", "KEY", "TITLE", "ISSUER", "SUSPENDED"}, func(p httpapi.Provider) []string {
				return []string{p.Name, p.Key.String(), p.Title, p.Issuer, yesNo(p.Suspended)}
			}), &project, false),
		acting(inv, "show PROVIDER", "Show a provider, with what it has to be told of this server", arguments(1, 1), one(http.MethodGet), providerRows),
		inv.providerCreate(&project), inv.providerUpdate(&project), inv.providerDemand(&project),
		acting[none](inv, "delete PROVIDER", "Delete a provider; its users cannot log in any more", arguments(1, 1), one(http.MethodDelete), nil),
	)
	c.PersistentFlags().StringVar(&project, "project", "", "the project's providers, in place of the server's")
	return c
}

func providerPath(project string, names ...string) string {
	if project == "" {
		return path(append([]string{"providers"}, names...)...)
	}
	return path(append([]string{"projects", project, "providers"}, names...)...)
}

// providerFlags are the settings of a provider as flags.
type providerFlags struct {
	title, issuer, clientID, secretFile, caFile   string
	algorithms, scopes, domains                   []string
	acr, amr, require                             map[string]string
	nameClaim, emailClaim, verifiedClaim          string
	justInTime, logout, suspended, privateNetwork bool
	maxUsers                                      int
}

func (f *providerFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.title, "title", "", "name for people, on the login page")
	flags.StringVar(&f.issuer, "issuer", "", "https URL, exactly as the provider's discovery document has it")
	flags.StringVar(&f.clientID, "client-id", "", "what the provider calls this server")
	flags.StringVar(&f.secretFile, "client-secret-file", "", "file with the client secret; - reads standard input; without it a public client")
	flags.StringSliceVar(&f.algorithms, "algorithm", nil, "that may sign ID tokens (RS256 and ES256)")
	flags.StringSliceVar(&f.scopes, "scope", nil, "to ask for (openid, profile and email)")
	flags.StringSliceVar(&f.domains, "domain", nil, "of mail addresses whose users are sent to this provider")
	flags.StringToStringVar(&f.acr, "acr", nil, "THEIRS=OURS: demand one of these acr values, and what to call it")
	flags.StringToStringVar(&f.amr, "amr", nil, "THEIRS=OURS: what to call the provider's amr values; others are dropped")
	flags.StringToStringVar(&f.require, "require", nil, "CLAIM=VALUE: claims that the ID token must have")
	flags.StringVar(&f.nameClaim, "name-claim", "", "claim with the user's name (name)")
	flags.StringVar(&f.emailClaim, "email-claim", "", "claim with the user's mail address (email)")
	flags.StringVar(&f.verifiedClaim, "email-verified-claim", "", "claim that says whether it was verified (email_verified)")
	flags.BoolVar(&f.justInTime, "just-in-time", false, "make a user, without privileges, of who logs in for the first time")
	flags.IntVar(&f.maxUsers, "max-users", 0, "how many users it makes so (10000)")
	flags.BoolVar(&f.logout, "logout", false, "log out at the provider too")
	flags.BoolVar(&f.privateNetwork, "private-network", false, "the provider may be at an address that is not public")
	flags.StringVar(&f.caFile, "provider-ca-file", "", "certificate authority that is trusted for the provider in place of the system's")
}

func (f *providerFlags) claims() httpapi.ProviderClaims {
	return httpapi.ProviderClaims{Name: f.nameClaim, Email: f.emailClaim, EmailVerified: f.verifiedClaim, Require: f.require}
}

// files reads what stands in files.
func (f *providerFlags) files(inv *invocation) (password, ca string, err error) {
	if f.secretFile != "" {
		if password, err = inv.readText(f.secretFile); err != nil {
			return "", "", err
		}
	}
	if f.caFile != "" {
		ca, err = inv.readText(f.caFile)
	}
	return password, ca, err
}

// readText reads a file, or standard input where it is -, without the white space around its text.
func (inv *invocation) readText(file string) (string, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(inv.In, maxReply))
	} else {
		text, err = os.ReadFile(file)
	}
	return strings.TrimSpace(string(text)), errs.As(wire.Invalid, err, "%s cannot be read", file)
}

func (inv *invocation) providerCreate(project *string) *cobra.Command {
	var f providerFlags
	c := acting(inv, "create NAME --issuer URL --client-id ID", "Create a provider", arguments(1, 1), func(c *cobra.Command, args []string) (request, error) {
		if err := required(c, "issuer", "client-id"); err != nil {
			return request{}, err
		}
		password, ca, err := f.files(inv)
		return request{method: http.MethodPost, path: providerPath(*project), body: httpapi.ProviderCreate{
			Name: args[0], Title: f.title, Issuer: f.issuer, ClientID: f.clientID, ClientSecret: password, Algorithms: f.algorithms, Scopes: f.scopes,
			Claims: f.claims(), ACR: f.acr, AMR: f.amr, Domains: f.domains, JustInTime: f.justInTime, MaxUsers: f.maxUsers, Logout: f.logout, PrivateNetwork: f.privateNetwork, CA: ca,
		}}, err
	}, providerRows)
	c.Example = "  bulkhead provider create company --issuer https://login.company.example --client-id bulkhead --client-secret-file secret --just-in-time"
	f.add(c)
	return c
}

func (inv *invocation) providerUpdate(project *string) *cobra.Command {
	var f providerFlags
	c := acting(inv, "update PROVIDER", "Change a provider", arguments(1, 1), func(c *cobra.Command, args []string) (request, error) {
		password, ca, err := f.files(inv)
		body := httpapi.ProviderUpdate{
			Title: changed(c, "title", &f.title), Issuer: changed(c, "issuer", &f.issuer), ClientID: changed(c, "client-id", &f.clientID),
			ClientSecret: changed(c, "client-secret-file", &password), CA: changed(c, "provider-ca-file", &ca),
			Algorithms: given(c, "algorithm", &f.algorithms), Scopes: given(c, "scope", &f.scopes), Domains: given(c, "domain", &f.domains),
			ACR: given(c, "acr", &f.acr), AMR: given(c, "amr", &f.amr), JustInTime: given(c, "just-in-time", &f.justInTime), MaxUsers: given(c, "max-users", &f.maxUsers), Logout: given(c, "logout", &f.logout),
			Suspended: given(c, "suspended", &f.suspended), PrivateNetwork: given(c, "private-network", &f.privateNetwork),
		}
		for _, flag := range []string{"name-claim", "email-claim", "email-verified-claim", "require"} {
			if c.Flags().Changed(flag) {
				claims := f.claims()
				body.Claims = &claims
			}
		}
		return request{method: http.MethodPatch, path: providerPath(*project, args[0]), ifMatch: "*", body: body}, err
	}, providerRows)
	c.Example = "  bulkhead provider update company --suspended"
	f.add(c)
	c.Flags().BoolVar(&f.suspended, "suspended", false, "let nobody log in with it; --suspended=false lets them again")
	return c
}

// given is changed for flags of any type.
func given[T any](c *cobra.Command, flag string, value *T) *T {
	if c.Flags().Changed(flag) {
		return value
	}
	return nil
}
