package cli

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/backend/httpapi"
	"bulkhead/wire"
)

func (inv *invocation) apikeyCommand() *cobra.Command {
	return group("apikey", "API keys: what programs log in with",
		inv.apikeyList(),
		inv.apikeyCreate(),
		acting[none](inv, "revoke ID", "Revoke an API key, and end what it has open", arguments(1, 1), func(_ *cobra.Command, args []string) (request, error) {
			return request{method: http.MethodDelete, path: path("apikeys", args[0])}, nil
		}, nil),
	)
}

func (inv *invocation) apikeyList() *cobra.Command {
	var all bool
	c := &cobra.Command{Use: "list [--all]", Short: "List your API keys, also those that have ended", Args: arguments(0, 0)}
	c.Flags().BoolVar(&all, "all", false, "those of everybody, service accounts among them")
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := inv.client()
		if err != nil {
			return err
		}
		filter := url.Values{}
		if all {
			filter.Set("all", "true")
		}
		keys, err := fetchAll[httpapi.APIKey](c.Context(), api, path("apikeys"), filter)
		if err != nil {
			return err
		}
		return inv.print(keys, func() table {
			t := table{head: []string{"ID", "NAME", "HOLDER", "SCOPES", "EXPIRES", "LAST USED", "REVOKED"}}
			for _, k := range keys {
				t.add(k.ID, k.Name, k.Holder, flags(k.Scopes), when(k.ExpiresAt), when(k.LastUsedAt), when(k.RevokedAt))
			}
			return t
		})
	}
	return c
}

func (inv *invocation) apikeyCreate() *cobra.Command {
	var scopes []string
	var expires time.Duration
	var account string
	c := acting(inv, "create NAME", "Create an API key and print it, once", arguments(1, 1), func(c *cobra.Command, args []string) (request, error) {
		if expires < time.Minute || expires > 365*24*time.Hour {
			return request{}, usage(c, "--expires %s: want 1m to 8760h", expires)
		}
		body := httpapi.APIKeyCreate{Name: args[0], ServiceAccount: account, ExpiresInSeconds: int64(expires / time.Second)}
		for _, scope := range scopes {
			body.Scopes = append(body.Scopes, wire.Flag(scope))
		}
		return request{method: http.MethodPost, path: path("apikeys"), body: body}, nil
	}, func(k httpapi.APIKeySecret) [][]string {
		return [][]string{{"id", k.APIKey.ID}, {"key", k.Key}, {"holder", k.APIKey.Holder}, {"scopes", flags(k.APIKey.Scopes)}, {"expires", when(k.APIKey.ExpiresAt)}}
	})
	c.Example = "  bulkhead apikey create ci --scope project.read --scope device.read --expires 720h"
	c.Flags().StringSliceVar(&scopes, "scope", nil, "privilege that it may use, such as device.read; may be repeated; without it, all that its holder has")
	c.Flags().DurationVar(&expires, "expires", 90*24*time.Hour, "when it ends, at most a year")
	c.Flags().DurationVar(&expires, "expires-in", 90*24*time.Hour, "older name of --expires")
	c.Flags().StringVar(&account, "service-account", "", "service account that holds it; without it, you")
	_ = c.Flags().MarkHidden("expires-in") // it exists
	return c
}

func flags(list []wire.Flag) string {
	words := make([]string, len(list))
	for i, f := range list {
		words[i] = string(f)
	}
	return strings.Join(words, " ")
}
